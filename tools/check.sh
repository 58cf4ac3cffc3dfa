#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Static checks; quiet when all is well.
#   tools/check.sh BUILD_DIR
set -eu
build=$1
status=0
fail() {
	echo "check: $1"
	status=1
}

tools/check_layers.py || fail "layers"
tools/check_locks.py || fail "locks"

# shellcheck disable=SC2046 # file names of this repository have no spaces
clang-format --dry-run -Werror $(git ls-files '*.c' '*.h') || fail "format: clang-format -i the files above"

for header in $(git ls-files 'src/*.h' 'include/*.h'); do
	printf '#include "%s"\n' "$header" |
		gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-function -Wno-unused-parameter -I. -Isrc -Iinclude \
			-fsyntax-only -x c - || fail "$header does not compile alone"
done

if git grep -nE '\bioctl ?\(' -- 'src/*.c' ':!src/sys/*'; then
	fail "ioctl() outside src/sys"
fi
if git grep -nE '#[ ]*if.*(__x86_64__|__aarch64__)' -- 'src/*' ':!src/sys/*' ':!src/arch/*'; then
	fail "architecture conditionals outside src/sys and src/arch"
fi

# shellcheck disable=SC2046
shellcheck -x -S warning -e SC1091,SC2154,SC2034,SC2187,SC2016 $(git ls-files '*.sh' tools .ci | xargs grep -lE '^#!/(bin/sh|usr/bin/env bash|bin/bash)') || fail "shellcheck"

# Only what tidy can compile: the database names each file of src/ once.
git ls-files 'src/*.c' | xargs -P 2 -n 8 clang-tidy -p "$build" --quiet --extra-arg=-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang 2>/dev/null || fail "clang-tidy"

# Suppressions: cppcheck does not follow the cleanup attribute, container_of, with_lock, compound literals as arguments.
cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	--suppress=missingIncludeSystem --suppress=nullPointerRedundantCheck --suppress=nullPointer --suppress=nullPointerArithmetic --suppress=uninitvar --suppress=internalAstError --error-exitcode=1 \
	-D_GNU_SOURCE -Isrc -Iinclude src || fail "cppcheck"
exit $status
