# SPDX-License-Identifier: Apache-2.0
"""Block devices of the host, for tests: null_blk with memory, which may have bad sectors, and device mapper, which can keep what it is
asked. They need root and a kernel with these modules; the lab's has them."""
import contextlib
import os
import subprocess
import time

import pytest

from conftest import data, in_lab
from vm import TIMEOUT

CONFIG = "/sys/kernel/config"


def command(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)


def insert_lab_modules():
    """As the lab's kernel is not the machine's: what tools/integration.sh took from its package."""
    folder = data("lab-modules")
    for name in sorted(os.listdir(folder)):
        options = ["nr_devices=0"] if "null_blk" in name else []
        # Some are there already, as others need them too.
        subprocess.run(["busybox", "insmod", f"{folder}/{name}", *options], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def host_disks():
    if os.geteuid():
        pytest.skip("block devices of the host need root")
    if in_lab():
        insert_lab_modules()
    elif any(subprocess.run(["modprobe", *words], check=False).returncode for words in (["null_blk", "nr_devices=0"], ["dm-mod"])):
        pytest.skip("this host has no null_blk, or no device mapper")
    if not os.path.isdir(f"{CONFIG}/nullb"):
        command("mount", "-t", "configfs", "configfs", CONFIG)


@contextlib.contextmanager
def null_disk(name, **attributes):
    """A disk of 16 MiB that keeps its bytes in memory; attributes are null_blk's. Its path."""
    folder = f"{CONFIG}/nullb/{name}"
    os.mkdir(folder)
    try:
        for key, value in {"memory_backed": 1, "size": 16, **attributes, "power": 1}.items():
            with open(f"{folder}/{key}", "w", encoding="ascii") as f:
                f.write(str(value))
        deadline = time.monotonic() + TIMEOUT
        while not os.path.exists(f"/dev/{name}"):
            assert time.monotonic() < deadline, f"no /dev/{name}"
            time.sleep(0.1)
        yield f"/dev/{name}"
    finally:
        os.rmdir(folder)


def written(path):
    """Sectors that have been written to this block device."""
    with open(f"/sys/block/{os.path.basename(path)}/stat", encoding="ascii") as f:
        return int(f.read().split()[6])


class Mapped:
    """Part of a block device as one of its own, which keeps its requests between hold() and release()."""

    def __init__(self, name, device, first, sectors):
        self.name = name
        self.place = f"{device} {first}"
        command("dmsetup", "create", name, "--table", f"0 {sectors} linear {self.place}")
        device = subprocess.run(["dmsetup", "info", "-c", "--noheadings", "-o", "blkdevname", name], check=True, capture_output=True)
        self.path = f"/dev/{device.stdout.decode().strip()}"

    def resize(self, sectors):
        command("dmsetup", "reload", self.name, "--table", f"0 {sectors} linear {self.place}")
        command("dmsetup", "resume", self.name)

    def hold(self):
        command("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)

    def release(self):
        command("dmsetup", "resume", self.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()
        command("dmsetup", "remove", "--retry", self.name)
