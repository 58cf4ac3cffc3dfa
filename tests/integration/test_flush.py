# SPDX-License-Identifier: Apache-2.0
"""The monitor is killed under a guest that writes and flushes: what was flushed is on the disk."""
import random
import re
import struct
import subprocess
import time
import zlib

import pytest
from conftest import data
from test_blk import needs_qemu_img, qemu_img
from test_devices import QUIET
from vm import VM

BLOCK = 4096
BLOCKS = 2048
MAGIC = 0x616C696F74686477
MASK = (1 << 64) - 1


def mix(value):
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & MASK
    return value ^ value >> 31


def place(seed, sequence):
    """As disk_writer.c."""
    return mix(seed << 40 & MASK ^ sequence) % BLOCKS


class Expected:
    """For each block of the disk, the newest write that is known to be stable: (seed, sequence), or None for zeros."""

    def __init__(self):
        self.stable = [None] * BLOCKS

    def acknowledge(self, seed, end):
        for sequence in range(1, end):
            self.stable[place(seed, sequence)] = (seed, sequence)

    def check(self, disk, seed):
        """Each block is the stable one, or one that this run wrote later; and it is whole."""
        newer = 0
        for i in range(BLOCKS):
            block = disk[i * BLOCK:(i + 1) * BLOCK]
            stable = self.stable[i]
            if not any(block):
                assert stable is None, f"block {i} is lost: {stable} was flushed"
                continue
            magic, wrote, sequence, where = struct.unpack_from("<QQQQ", block)
            assert magic == MAGIC and where == i, f"block {i} is not a block of its own: {block[:32].hex()}"
            assert zlib.crc32(block[:-4]) == struct.unpack_from("<I", block, BLOCK - 4)[0], f"block {i} is torn"
            if (wrote, sequence) != stable:
                assert wrote == seed, f"block {i} is of run {wrote}, {sequence}; flushed: {stable}"
                assert stable is None or stable < (wrote, sequence), f"block {i} is {(wrote, sequence)}, before {stable}"
                self.stable[i] = (wrote, sequence)
                newer += 1
        return newer


def write_and_kill(base, spec, seed, direct, acks):
    """Kills the monitor some time after so many flushes; the number before which all blocks are stable."""
    args = list(base)
    args[args.index("--initramfs") + 1] = data("initramfs-programs")
    with VM("boot", *args, "--blk", spec, "--cmdline",
            QUIET + f"alioth.run=disk_writer+/dev/vda+{seed}+{direct}") as vm:
        for _ in range(acks):
            vm.expect(r"ack (\d+)\r?\n")
        time.sleep(random.random() / 10)
        vm.process.kill()
        vm.wait()
        return max(int(n) for n in re.findall(rb"ack (\d+)\r?\n", vm.output))


@needs_qemu_img
@pytest.mark.parametrize("kind,options,create", [
    ("raw", "api=io_uring", ""), ("qcow2", "", "cluster_size=4k"),
    pytest.param("raw", "api=mio,direct=on", "", marks=pytest.mark.long),
    pytest.param("raw", "api=io_uring,cache=writethrough", "", marks=pytest.mark.long),
    pytest.param("qcow2", "", "cluster_size=64k", marks=pytest.mark.long),
    pytest.param("qcow2", "", "cluster_size=2M", marks=pytest.mark.long)])
def test_what_was_flushed_is_there(base, tmp_path, kind, options, create):
    path, raw = str(tmp_path / "disk"), str(tmp_path / "raw")
    qemu_img("create", "-q", "-f", kind, *(["-o", create] if create else []), path, str(BLOCKS * BLOCK))
    expected = Expected()
    spec = f"path={path},format={kind}" + (f",{options}" if options else "")
    for seed in range(1, 4):
        acknowledged = write_and_kill(base, spec, seed, seed % 2, random.randint(1, 40))
        expected.acknowledge(seed, acknowledged)
        if kind == "qcow2":
            check = subprocess.run(["qemu-img", "check", "-q", "-f", kind, path], check=False, capture_output=True, text=True)
            assert check.returncode in (0, 3), check.stdout  # 3: clusters that nobody uses, and no error
        qemu_img("convert", "-f", kind, "-O", "raw", path, raw)
        with open(raw, "rb") as f:
            newer = expected.check(f.read(), seed)
        print(f"{spec.replace(path, 'disk')}: killed after {acknowledged} blocks, {newer} newer ones were there")
