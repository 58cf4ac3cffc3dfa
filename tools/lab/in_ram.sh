#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In the lab: runs a command with some programs (and their libraries) and folders in memory, under the names that they have, so that
# opening and reading them does not measure the shared file system.
#   tools/lab/in_ram.sh PROGRAM_OR_FOLDER... -- COMMAND [ARGUMENT...]
set -eu
ram=$(mktemp -d)

bind() {
	mkdir -p "$ram$(dirname "$1")"
	cp -aL "$1" "$ram$1"
	mount --bind "$ram$1" "$1"
}

while [ "$1" != -- ]; do
	path=$(realpath "$1")
	bind "$path"
	if [ -f "$path" ]; then
		for library in $(ldd "$path" 2>/dev/null | grep -o '/[^ ]*'); do
			library=$(realpath "$library")
			[ -e "$ram$library" ] || bind "$library"
		done
	fi
	shift
done
shift
exec "$@"
