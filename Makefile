# SPDX-License-Identifier: Apache-2.0
# A thin front of meson and the scripts in tools/, for people.
#
#   make                build/dev, with warnings as errors
#   make demo           a Linux guest to type into (fetches a kernel; KERNEL= and INITRAMFS= override)
#   make demo-disk      a whole Debian on its own disk, to a login prompt (HOW=kernel, firmware or linuxboot)
#   make test           everything that CI runs: check, proofs, unit tests with sanitizers, integration tests
#   make test-full      the same guests with every kernel and vCPU count
#   make check          static checks: format, layers, headers, clang-tidy, cppcheck, shell scripts
#   make release        build/release/alioth: static, stripped
#   make fuzz           each fuzzer for FUZZ_SECONDS (60)
#   make proof          bounded model checking of queues, memory ranges and rate limits with CBMC
#   make coverage       line coverage of the unit and integration tests
#   make bench-boot     start-up against QEMU, in the lab where needed
#   make bench-disk     exec to login of a Debian on its disk, against QEMU
#   make bench-io       disks and network cards against QEMU, in the lab where needed
BUILD ?= build/dev
FUZZ_SECONDS ?= 60

.PHONY: all deps demo demo-disk test test-full unit unit-asan unit-tsan integration check release fuzz proof coverage bench-boot bench-disk bench-io install clean
all: deps
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD)
	ninja -C $(BUILD)

deps:
	@tools/deps.sh build

demo-disk: all
	@tools/deps.sh build lab images
	tools/demo_disk.sh $(BUILD)/src/cli/alioth

demo: all
	@tools/deps.sh build lab
	tools/demo.sh $(BUILD)/src/cli/alioth

test:
	@tools/deps.sh build test lab
	tools/test.sh

unit: all
	@tools/deps.sh build test
	meson test -C $(BUILD) --suite unit --print-errorlogs

unit-asan:
	tools/sanitized.sh build/asan address,undefined

unit-tsan:
	tools/sanitized.sh build/tsan thread

integration: all
	@tools/deps.sh build test lab
	ALIOTH_TESTS='not long' tools/integration.sh $(BUILD)

test-full: all
	@tools/deps.sh build test lab
	ALIOTH_LAB_TIMEOUT=7200 tools/integration.sh $(BUILD)

check: all
	@tools/deps.sh build test
	tools/check.sh $(BUILD)

release:
	@tools/deps.sh build
	tools/release.sh build/release

fuzz:
	@tools/deps.sh build fuzz
	tools/fuzz.sh build/fuzz $(FUZZ_SECONDS)

proof:
	@tools/deps.sh build
	tools/proof.sh

coverage:
	@tools/deps.sh build test lab
	tools/coverage.sh build/coverage

bench-boot: all release
	@tools/deps.sh build lab bench
	tools/bench_boot.sh build/release

bench-io: all release
	@tools/deps.sh build lab bench
	tools/bench_io.sh build/release

bench-disk: all release
	@tools/deps.sh build lab bench images
	tools/bench_disk.sh build/release $(BUILD)/linuxboot/linuxboot

install: all
	meson install -C $(BUILD)

clean:
	rm -rf build
