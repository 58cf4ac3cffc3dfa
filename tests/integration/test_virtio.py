# SPDX-License-Identifier: Apache-2.0
"""The virtio transport under Linux drivers: both ring formats, drivers that go and come."""
import hashlib
import os
import subprocess

import pytest
from conftest import data, in_lab
from test_devices import QUIET, modules
from test_net import tap
from vm import VM

# Bits of /sys/bus/virtio/devices/*/features, the first one leftmost.
EVENT_IDX, VERSION_1, PACKED, RING_RESET = 29, 32, 34, 40
# An emulated host takes more than half a second for each round of a device.
MANY = 100 if in_lab() else 1000


def shell(text):
    return QUIET + "alioth.run=" + text.replace(" ", "+")


@pytest.mark.parametrize("packed", ("on", "off"))
def test_root_file_system_on_either_ring(base, disk, packed):
    """The same image and kernel; Linux takes packed rings when it is offered them."""
    with VM("boot", *modules(base), "--blk", f"path={disk},packed={packed}", "--entropy", "--cmdline",
            QUIET + "alioth.root=/dev/vda") as vm:
        vm.expect("root file system ready: marked")
        assert vm.wait() == 0
    subprocess.run(["/sbin/e2fsck", "-fn", disk], check=True, stdout=subprocess.DEVNULL)
    listing = subprocess.run(["/sbin/debugfs", "-R", "cat /written", disk], check=True, capture_output=True)
    assert listing.stdout == b"written\n"


@pytest.mark.parametrize("packed", ("on", "off"))
def test_features_that_linux_takes(base, disk, packed):
    with VM("boot", *modules(base), "--blk", f"path={disk},packed={packed}", "--cmdline",
            shell("cat /sys/bus/virtio/devices/virtio0/features")) as vm:
        bits = vm.expect(r"\n([01]{64})\r?\n").group(1).decode()
        assert vm.wait() == 0
    assert [bits[i] for i in (EVENT_IDX, VERSION_1)] == ["1", "1"]
    assert bits[PACKED] == ("1" if packed == "on" else "0")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network interface")
@pytest.mark.parametrize("packed,rounds", [("on", 8), ("off", 8), pytest.param("on", MANY, marks=pytest.mark.long),
                                           pytest.param("off", MANY, marks=pytest.mark.long)])
def test_drivers_that_go_and_come(tmp_path, disk, packed, rounds):
    """The driver of each device and the transport's are unbound and bound many times, each time with I/O."""
    rings = f"packed={packed}"
    agent, console = tmp_path / "agent", tmp_path / "console"
    with tap() as name, VM("boot", "--kernel", data("debian13-cloud.bzImage"), "--initramfs", data("initramfs-rounds"), "--memory",
                           "size=256M", "--cpu", "count=2", "--blk", f"path={disk},{rings}", "--entropy", rings, "--net",
                           f"tap,if={name},{rings}", "--pmem", f"path={tmp_path}/pmem,size=32M,{rings}", "--balloon",
                           f"size=4M,{rings}", "--console", "stdio", "--console", f"log,path={console},device=virtio,{rings}",
                           "--console", f"log,path={agent},name=agent", "--watchdog", "--cmdline",
                           shell(f"rebind_rounds.sh {rounds}; md5sum </dev/vda")) as vm:
        for _ in range(13):
            vm.expect(f"by .*: {rounds} rounds", timeout=120 + rounds)
        vm.expect("rebind rounds: 0 failures, 0 complaints")
        digest = vm.expect("([0-9a-f]{32})  -").group(1)
        assert vm.wait() == 0
        assert "error" not in vm.error_text().lower() and "expired" not in vm.error_text(), vm.error_text()
    with open(disk, "rb") as f:
        assert hashlib.md5(f.read()).hexdigest().encode() == digest
    said = [f"{driver} {n + 1}" for driver in ("virtio_console", "virtio-pci") for n in range(rounds)]
    assert agent.read_text().splitlines() == said
    assert console.read_text().splitlines() == said
