#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The guest's side of bench_io.py: runs the lines that come in on the console, one after the other, and says when each is done.
stty -echo -onlcr 2>/dev/null
mkdir -p /tmp
echo "io guest ready"
while read -r line; do
	[ "$line" != off ] || exit 0
	(eval "$line") </dev/null 2>&1
	echo "io done:$?"
done
