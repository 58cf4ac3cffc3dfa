#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `make test` and CI run: the build, the static checks, the proofs, unit tests plain and with
# sanitizers, integration tests on real KVM (the machine's own, or the lab's). One line for each step.
set -eu
cd "$(dirname "$0")/.."
step() {
	printf '== %s\n' "$*"
	"$@"
}
step make -s all
step make -s check
step tools/proof.sh
step meson test -C build/dev --suite unit --no-rebuild --print-errorlogs
step tools/sanitized.sh build/asan address,undefined
step tools/sanitized.sh build/tsan thread
ALIOTH_TEST_TIMEOUT=60 ALIOTH_TESTS='not long' step tools/integration.sh build/dev
echo "all tests passed"
