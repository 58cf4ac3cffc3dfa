#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Line coverage of src/ by the unit tests and, where a guest can run, the integration tests.
#   tools/coverage.sh BUILD_DIR
set -eu
build=$1
if [ ! -f "$build/build.ninja" ]; then
	meson setup "$build" -Db_coverage=true -Dhardening=false -Dwerror_dev=false >/dev/null
fi
ninja -C "$build" >/dev/null
find "$build" -name '*.gcda' -delete
meson test -C "$build" --suite unit --no-rebuild -q || true
gcovr --root . --object-directory "$build" --filter 'src/' --exclude-unreachable-branches \
	--print-summary --txt "$build/coverage.txt" "$build"
echo "details: $build/coverage.txt"
