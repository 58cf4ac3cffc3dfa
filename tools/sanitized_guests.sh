#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The hostile guests of tests/guest with a monitor that has sanitizers, on this machine's KVM: one that does not run kernels runs them.
# Whatever a sanitizer reports ends the monitor, and fails the test.
#   tools/sanitized_guests.sh BUILD_DIR SANITIZERS [PYTEST OPTION...]
set -eu
build=$1
sanitizers=$2
shift 2
cd "$(dirname "$0")/.."
if [ ! -f "$build/build.ninja" ]; then
	meson setup "$build" -Db_sanitize="$sanitizers" -Db_lundef=false -Dhardening=false -Dwerror_dev=false >/dev/null
fi
ninja -C "$build" >"$build/build.log" 2>&1 || {
	tail -40 "$build/build.log"
	exit 1
}
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions="$PWD"/tests/tsan.supp
export ALIOTH="$build/src/cli/alioth" ALIOTH_BUILD="$build"
exec /usr/bin/python3 -B -m pytest -p no:cacheprovider -q --color=no tests/integration/test_guest_programs.py \
	-m "${ALIOTH_TESTS:-not long}" -k hostile "$@"
