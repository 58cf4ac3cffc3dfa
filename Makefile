# SPDX-License-Identifier: Apache-2.0
# A thin front of meson and the scripts in tools/ for people.
BUILD ?= build/dev

.PHONY: all test unit clean
all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup $(BUILD)

unit: all
	meson test -C $(BUILD) --suite unit

test: unit

clean:
	rm -rf build
