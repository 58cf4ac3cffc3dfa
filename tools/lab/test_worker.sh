#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs files of tests, each in an emulated host of its own, until a list is empty; several of these may share the list. What a file
# prints comes in one piece.
#   tools/lab/test_worker.sh DIR MIB COMMAND...
# DIR/files: the list, a line each, which gets shorter. DIR/failed: gets those that failed. MIB: memory of a host.
# COMMAND: runs the tests of the file that is its last argument.
set -eu
dir=$1
memory=$2
shift 2

# One line of the list at a time.
next_file() (
	flock 9
	head -n 1 "$dir/files"
	sed -i 1d "$dir/files"
) 9>"$dir/lock"

in_lab() {
	for attempt in 1 2 3; do
		status=0
		# One emulated processor: with two, a guest's processor now and then finds its page tables empty, or hangs, with any monitor.
		setpriv --pdeathsig TERM tools/lab/lab run --cpus 1 --mem "$memory" --timeout "${ALIOTH_LAB_TIMEOUT:-900}" -- "$@" || status=$?
		[ $status = 125 ] || return $status
		echo "attempt $attempt: the lab itself failed"
	done
	return 125
}

while file=$(next_file) && [ -n "$file" ]; do
	status=0
	output=$(in_lab "$@" "$file" 2>&1) || status=$?
	# 5: no test of this file was chosen.
	[ $status = 0 ] || [ $status = 5 ] || echo "$file" >>"$dir/failed"
	printf -- '-- %s\n%s\n' "$file" "$output"
done
