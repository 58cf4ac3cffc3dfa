#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds with the sanitizers named and runs the unit tests and the fuzzers' corpora.
#   tools/sanitized.sh BUILD_DIR SANITIZERS
set -eu
build=$1
sanitizers=$2
if [ ! -f "$build/build.ninja" ]; then
	meson setup "$build" -Db_sanitize="$sanitizers" -Db_lundef=false -Dhardening=false -Dwerror_dev=false >/dev/null
fi
ninja -C "$build" >"$build/build.log" 2>&1 || {
	tail -40 "$build/build.log"
	exit 1
}
# A report must fail the test, also in a thread that would go on.
cd "$(dirname "$0")/.."
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp
exec meson test -C "$build" --suite unit --no-rebuild --print-errorlogs --timeout-multiplier 5
