#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A seed for cloud-init (NoCloud): a small FAT image named CIDATA that tells a new system who it is. Attach it as a second, read-only disk.
#   tools/images/seed.sh [OPTION...] OUT
# Options: --hostname NAME        (debian)
#          --password WORD        of the user debian, who may use sudo; the word itself is in the seed
#          --ssh-key FILE         public keys, a line each, that may log in as debian (where the system has an SSH server)
#          --user-data FILE       a cloud-config of your own instead of what the two options above would make
#          --network-config FILE  (DHCP on every network card)
#          --instance-id ID       (new for every seed: cloud-init then sets the system up again)
set -eu

fail() {
	echo "seed.sh: $*" >&2
	exit 2
}

usage() {
	sed -n '3,$ { /^#/ !q; s/^# \{0,1\}//p }' "$0" >&2
	fail "$*"
}

hostname=debian
password=
ssh_key=
user_data=
network_config=
instance=
out=
while [ $# -gt 0 ]; do
	case $1 in
	--*) [ $# -gt 1 ] || usage "$1 needs a value" ;;
	esac
	case $1 in
	--hostname) hostname=$2; shift ;;
	--password) password=$2; shift ;;
	--ssh-key) ssh_key=$2; shift ;;
	--user-data) user_data=$2; shift ;;
	--network-config) network_config=$2; shift ;;
	--instance-id) instance=$2; shift ;;
	-*) usage "unknown option '$1'" ;;
	*) [ -z "$out" ] || usage "two files to write: '$out' and '$1'"; out=$1 ;;
	esac
	shift
done
[ -n "$out" ] || usage "no file to write"
case $hostname in *[!a-zA-Z0-9.-]* | -* | '') fail "--hostname: '$hostname' is no host name" ;; esac
[ -z "$user_data" ] || [ -z "$password$ssh_key" ] || fail "--user-data replaces --password and --ssh-key; give one or the other"
for file in "$ssh_key" "$user_data" "$network_config"; do
	[ -z "$file" ] || [ -r "$file" ] || fail "cannot read $file"
done
[ -z "$ssh_key" ] || grep -q '^[^#]' "$ssh_key" || fail "--ssh-key: there is no key in $ssh_key"
command -v mformat >/dev/null || fail "mformat is not there: run tools/deps.sh images"

# A string of YAML.
quoted() {
	printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"
}

write_user_data() {
	echo "#cloud-config"
	[ -z "$password" ] || printf 'password: %s\nchpasswd: {expire: false}\nssh_pwauth: true\n' "$(quoted "$password")"
	[ -z "$ssh_key" ] || { echo "ssh_authorized_keys:"; sed -n "/^[^#]/ { s/'/''/g; s/.*/- '&'/p }" "$ssh_key"; }
}

work=$(mktemp -d)
trap 'rm -rf "$work" "$out.tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -n "$user_data" ]; then cp "$user_data" "$work/user-data"; else write_user_data >"$work/user-data"; fi
printf 'instance-id: %s\nlocal-hostname: %s\n' "$(quoted "${instance:-$(cat /proc/sys/kernel/random/uuid)}")" "$(quoted "$hostname")" >"$work/meta-data"
set -- "$work/user-data" "$work/meta-data"
if [ -n "$network_config" ]; then
	cp "$network_config" "$work/network-config"
	set -- "$@" "$work/network-config"
fi
rm -f "$out.tmp"
mformat -C -f 1440 -v CIDATA -i "$out.tmp" ::
mcopy -Q -i "$out.tmp" "$@" :: || fail "the files do not fit into a seed of 1.4 MB"
mv "$out.tmp" "$out"
