#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzzer for a while, from its corpus. New inputs stay in the build folder; a crash stops the run
# and names its input.
#   tools/fuzz.sh BUILD_DIR SECONDS
set -eu
build=$1
seconds=$2
if [ ! -f "$build/build.ninja" ]; then
	CC=clang meson setup "$build" -Dfuzzers=true -Db_sanitize=address,undefined -Db_lundef=false \
		-Dhardening=false -Dwerror_dev=false >/dev/null
fi
ninja -C "$build" >/dev/null
for fuzzer in "$build"/tests/fuzz/fuzz_*; do
	case $fuzzer in *_replay | *.p) continue ;; esac
	[ -x "$fuzzer" ] || continue
	name=${fuzzer##*/fuzz_}
	mkdir -p "$build/found/$name"
	echo "== $name"
	"$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$build/found/$name-" "$build/found/$name" "tests/fuzz/corpus/$name" \
		>"$build/found/$name.log" 2>&1 || {
		tail -40 "$build/found/$name.log"
		exit 1
	}
	grep -E 'number_of_executed_units|peak_rss_mb' "$build/found/$name.log"
done
