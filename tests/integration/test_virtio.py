# SPDX-License-Identifier: Apache-2.0
"""The virtio transport under Linux drivers: both ring formats, drivers that go and come."""
import subprocess

import pytest
from conftest import data
from vm import VM

QUIET = "console=ttyS0 quiet "
# Bits of /sys/bus/virtio/devices/*/features, the first one leftmost.
EVENT_IDX, VERSION_1, PACKED, RING_RESET = 29, 32, 34, 40


def modules(base):
    args = list(base)
    args[args.index("--initramfs") + 1] = data("initramfs-modules")
    return args


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


@pytest.mark.parametrize("packed", ("on", "off"))
def test_drivers_that_go_and_come(base, disk, packed):
    """The disk's driver and the transport's are unbound and bound many times, each time with I/O."""
    virtio = "V=/sys/bus/virtio/drivers/virtio_blk;D=$(ls $V|grep virtio);"
    pci = "P=/sys/bus/pci/drivers/virtio-pci;B=$(ls $P|grep :);"
    loop = ("for i in $(seq 50);do echo $D >$V/unbind;echo $D >$V/bind;"
            "dd if=/dev/vda of=/dev/null bs=64k count=4 2>/dev/null||echo failed;done;")
    whole = ("for i in $(seq 25);do echo $B >$P/unbind;echo $B >$P/bind;"
             "dd if=/dev/vda of=/dev/null bs=64k count=4 2>/dev/null||echo failed;done;")
    end = "md5sum </dev/vda;dmesg|grep -v ommand.line|grep -c -e I.O.error -e needs.reset;echo rounds done"
    with open(disk, "rb") as f:
        digest = subprocess.run(["/usr/bin/md5sum"], stdin=f, check=True, capture_output=True).stdout.split()[0].decode()
    with VM("boot", *modules(base), "--blk", f"path={disk},packed={packed}", "--cmdline",
            shell(virtio + loop + pci + whole + end)) as vm:
        vm.expect(digest + r"  -\r?\n0\r?\nrounds done", timeout=300)
        assert vm.wait() == 0
