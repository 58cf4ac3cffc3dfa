# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Sourced by the lab's scripts: where things are kept between runs, for all checkouts of this user.
lab_cache=${ALIOTH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/alioth}
lab_dir=$(cd "$(dirname "$0")" && pwd)

lab_fail() {
	echo "${0##*/}: $*" >&2
	exit 125
}

# Runs a function with a lock, so that checkouts that start at the same time make things once.
#   lab_locked NAME FUNCTION ARGUMENTS...
lab_locked() (
	mkdir -p "$lab_cache"
	exec 9>"$lab_cache/$1.lock"
	flock 9
	shift
	"$@"
)
