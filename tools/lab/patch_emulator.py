#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes one assertion out of QEMU's emulator.

    patch_emulator.py QEMU_SYSTEM_X86_64

The emulation of AMD's virtualization ends the emulator (accel/tcg/tcg-accel-ops.c, tcg_handle_interrupt(): "assertion failed:
(bql_locked())") when a guest's guest writes CR8 while KVM waits for its interrupt window: helper_write_crN() calls cpu_interrupt()
without the lock that everybody else holds. Linux writes no CR8 there, UEFI firmware does with each interrupt. What the lock guards
is one bit that the processor sets in its own word, so going on without it does no harm to a test. A binary that looks different is
left as it is.
"""
import os
import sys

# call bql_locked; test %al,%al; je to the assertion; or %ebp,cpu->interrupt_request
ASSERTION = bytes.fromhex("84c07445" "09abd0000000")
PATCHED = bytes.fromhex("84c09090" "09abd0000000")


def main():
    path = os.path.realpath(sys.argv[1])
    with open(path, "rb") as f:
        data = f.read()
    if data.count(ASSERTION) != 1:
        return
    with open(path + ".tmp", "wb") as f:
        f.write(data.replace(ASSERTION, PATCHED))
    os.chmod(path + ".tmp", 0o755)
    os.rename(path + ".tmp", path)


main()
