#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command that boots a guest: directly where this machine's KVM runs guests, otherwise in the lab. Ctrl-A X in the guest is a way to
# leave, not a failure.
#   tools/on_kvm.sh ALIOTH_BINARY [OPTION OF THE LAB...] -- COMMAND [ARGUMENT...]
set -eu
alioth=$1
shift
options=
while [ "$1" != -- ]; do
	options="$options $1"
	shift
done
shift
how="Leave with Ctrl-A X or ${LEAVE:-poweroff -f}."
status=0
if "$alioth" check >/dev/null 2>&1; then
	echo "KVM works here: the guest runs directly. $how" >&2
	"$@" || status=$?
else
	echo "KVM does not run guests here ($("$alioth" check --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["reason"])'))." >&2
	echo "The guest runs in an emulated host with real KVM. $how" >&2
	# shellcheck disable=SC2086 # words
	"$(dirname "$0")/lab/lab" run --timeout 86400 $options -- "$@" || status=$?
fi
[ $status = 8 ] || exit $status
