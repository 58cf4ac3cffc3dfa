#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches a stock Debian kernel into the cache, and prints its folder: boot/vmlinuz, and modules under lib/modules. Or Debian 13's
# QEMU, for the emulated host, with every library that it needs, and prints the path of a script that starts it. The machine's own
# package configuration is left alone: a private state of apt, with the machine's mirror, knows Debian 12 and 13. debian13-cbmc is the
# model checker for `make proof`, which Debian 12 does not have, in the same way. debian12-kexec is the folder of kexec-tools, for guests:
# on the machine itself the package would take part in its reboots. debian13-ovmf is a folder with that release's firmware,
# debian13-passt a script as QEMU's.
#   tools/lab/fetch.sh debian12-cloud|debian12-generic|debian12-kexec|debian13-cloud|debian13-generic|debian13-qemu|debian13-cbmc|debian13-ovmf|debian13-passt
set -eu
# shellcheck source=tools/lab/common.sh
. "$(dirname "$0")/common.sh"

case ${1-} in
debian12-*) suite=bookworm ;;
debian13-*) suite=trixie ;;
*) lab_fail "usage: fetch.sh debian12-cloud|debian12-generic|debian12-kexec|debian13-cloud|debian13-generic|debian13-qemu|debian13-cbmc|debian13-ovmf|debian13-passt" ;;
esac
case $1 in
*-qemu) package=qemu-system-x86 ;;
*-cbmc) package=cbmc ;;
*-kexec) package=kexec-tools ;;
*-ovmf) package=ovmf ;;
*-passt) package=passt ;;
*-cloud) package=linux-image-cloud-amd64 ;;
*-generic) package=linux-image-amd64 ;;
*) lab_fail "unknown kernel '$1'" ;;
esac

apt=$lab_cache/apt-$suite
kernel=$lab_cache/kernels/$1
program=$lab_cache/$1

write_apt_config() {
	# What an update would read is known without ever having made one.
	site=$(apt-get update --print-uris | sed -n "s,^'\(.*\)/dists/.*,\1,p" | grep -v security | head -n 1)
	[ -n "$site" ] || lab_fail "apt has no package source to derive Debian's mirror from"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	: >"$apt/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $suite main" >"$apt/sources.list"
	cat >"$apt/apt.conf" <<-CONF
		Dir::State "$apt";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt/cache";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		APT::Architecture "amd64";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
	CONF
}

read_lists() {
	write_apt_config
	export APT_CONFIG="$apt/apt.conf"
	apt-get update -q >"$apt/log" 2>&1 || { cat "$apt/log" >&2; lab_fail "cannot read the package lists"; }
}

fetch_kernel() {
	[ ! -e "$kernel/boot/vmlinuz" ] || return 0
	echo "fetching the kernel $1 ..." >&2
	read_lists
	real=$(apt-cache depends "$package" | awk '/Depends: linux-image/ { print $2; exit }')
	[ -n "$real" ] || lab_fail "no kernel behind $package"
	work=$(mktemp -d "$lab_cache/fetch.XXXXXX")
	(cd "$work" && apt-get download -q "$real" >"$apt/log" 2>&1) ||
		{ cat "$apt/log" >&2; rm -rf "$work"; lab_fail "cannot download $real"; }
	dpkg -x "$work"/*.deb "$work/root"
	ln -s "$(cd "$work/root/boot" && echo vmlinuz-*)" "$work/root/boot/vmlinuz"
	# One place for modules, whatever the release.
	[ -d "$work/root/lib/modules" ] || { mkdir -p "$work/root/lib" && mv "$work/root/usr/lib/modules" "$work/root/lib/"; }
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$work/root" "$(ls "$work/root/lib/modules")"
	mkdir -p "$lab_cache/kernels"
	mv "$work/root" "$kernel"
	rm -rf "$work"
}

# Packages are only unpacked.
#   fetch_packages NAME APT-COMMAND...   into $work/tree, without documentation
fetch_packages() {
	name=$1
	shift
	echo "fetching $name ..." >&2
	read_lists
	work=$(mktemp -d "$lab_cache/fetch.XXXXXX")
	mkdir -p "$work/debs/partial" "$work/tree"
	(cd "$work/debs" && "$@" -o "Dir::Cache::archives=$work/debs" >"$apt/log" 2>&1) || { cat "$apt/log" >&2; rm -rf "$work"; lab_fail "cannot download $name"; }
	for deb in "$work"/debs/*.deb; do
		dpkg -x "$deb" "$work/tree"
	done
	rm -rf "$work/tree/usr/share/doc" "$work/tree/usr/share/man" "$work/tree/usr/share/locale"
}

finish_fetch() {
	mv "$work/tree" "$program"
	rm -rf "$work"
}

# A program of Debian 13 that runs with its own loader and libraries, whatever release the machine has.
#   fetch_program NAME APT-COMMAND...   standard input is the script that starts the program
fetch_program() {
	fetch_packages "$@"
	{
		cat <<-'SCRIPT'
			#!/bin/sh
			here=$(dirname "$(readlink -f "$0")")
			libraries=$here/usr/lib/x86_64-linux-gnu
		SCRIPT
		cat
	} >"$work/tree/$name"
	chmod 755 "$work/tree/$name"
	finish_fetch
}

fetch_qemu() {
	[ -e "$program/qemu" ] || fetch_program qemu \
		apt-get install -q -y --no-install-recommends --download-only qemu-system-x86 <<-'SCRIPT'
		export QEMU_MODULE_DIR="$libraries/qemu"
		exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$libraries/pulseaudio" \
			"$here/usr/bin/qemu-system-x86_64" -L "$here/usr/share/qemu" -L "$here/usr/share/seabios" "$@"
	SCRIPT
	[ -e "$program/patched" ] || { "$lab_dir/patch_emulator.py" "$program/usr/bin/qemu-system-x86_64" && touch "$program/patched"; }
}

# Without the gcc that the package depends on: it calls the machine's own as preprocessor.
fetch_cbmc() {
	[ -e "$program/cbmc" ] || fetch_program cbmc \
		apt-get download -q cbmc minisat zlib1g libstdc++6 libgcc-s1 libc6 <<-'SCRIPT'
		exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$here/usr/lib" "$here/usr/bin/cbmc" "$@"
	SCRIPT
}

# With the libraries that no Debian has without asking for them.
fetch_kexec() {
	[ ! -e "$program/sbin/kexec" ] || return 0
	fetch_packages kexec-tools apt-get download -q kexec-tools libxenmisc4.17 libxencall1 libxendevicemodel1 libxenevtchn1 \
		libxenforeignmemory1 libxengnttab1 libxentoolcore1 libxentoollog1
	finish_fetch
}

fetch_ovmf() {
	[ ! -e "$program/OVMF_CODE_4M.fd" ] || return 0
	fetch_packages ovmf apt-get download -q ovmf
	mv "$work/tree/usr/share/OVMF" "$program"
	rm -rf "$work"
}

# With vhost-user, which Debian 12's has not.
fetch_passt() {
	[ -e "$program/passt" ] || fetch_program passt apt-get download -q passt libc6 <<-'SCRIPT'
		exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$here/usr/bin/passt" "$@"
	SCRIPT
}

if [ "$package" = passt ]; then
	lab_locked fetch fetch_passt
	echo "$program/passt"
elif [ "$package" = ovmf ]; then
	lab_locked fetch fetch_ovmf
	echo "$program"
elif [ "$package" = kexec-tools ]; then
	lab_locked fetch fetch_kexec
	echo "$program"
elif [ "$package" = cbmc ]; then
	lab_locked fetch fetch_cbmc
	echo "$program/cbmc"
elif [ "$package" = qemu-system-x86 ]; then
	lab_locked fetch fetch_qemu
	echo "$program/qemu"
else
	lab_locked fetch fetch_kernel "$1"
	echo "$kernel"
fi
