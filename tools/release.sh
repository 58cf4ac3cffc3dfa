#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The static, stripped release binary: BUILD_DIR/alioth.
#   tools/release.sh BUILD_DIR
set -eu
build=$1
if [ ! -f "$build/build.ninja" ]; then
	meson setup "$build" --buildtype=release -Doptimization=2 -Dstatic_binary=true -Db_pie=true \
		-Ddefault_library=static >/dev/null
fi
ninja -C "$build" src/cli/alioth
strip -s -o "$build/alioth" "$build/src/cli/alioth"
echo "release binary: $(stat -c %s "$build/alioth") bytes, $build/alioth"
