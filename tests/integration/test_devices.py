# SPDX-License-Identifier: Apache-2.0
"""Disks and entropy under a real Linux driver."""
import subprocess

import smaps
from conftest import data
from vm import VM, run

QUIET = "console=ttyS0 quiet "


def modules(base):
    args = list(base)
    args[args.index("--initramfs") + 1] = data("initramfs-modules")
    return args


def test_root_file_system_on_a_disk(base, disk):
    with VM("boot", *modules(base), "--blk", f"file,path={disk}", "--cmdline", QUIET + "alioth.root=/dev/vda") as vm:
        vm.expect("root file system ready: marked")
        assert vm.wait() == 0
    subprocess.run(["/sbin/e2fsck", "-fn", disk], check=True, stdout=subprocess.DEVNULL)
    listing = subprocess.run(["/sbin/debugfs", "-R", "cat /written", disk], check=True, capture_output=True)
    assert listing.stdout == b"written\n"


def test_readonly_disk_stays_as_it_is(base, disk):
    with open(disk, "rb") as f:
        before = f.read()
    with VM("boot", *modules(base), "--blk", f"path={disk},readonly=on", "--cmdline",
            QUIET + "alioth.run=cat+/sys/block/vda/ro;echo+x>/dev/vda;echo+status:$?") as vm:
        vm.expect("\n1\r?\n")
        vm.expect("status:1")
        assert vm.wait() == 0
    with open(disk, "rb") as f:
        assert f.read() == before


def test_disk_order_and_serials(base, tmp_path):
    args = []
    for i, size in enumerate((1, 2, 3)):
        path = tmp_path / f"{i}.img"
        path.write_bytes(bytes(size << 20))
        args += ["--blk", f"path={path}" + (",serial=third" if i == 2 else "")]
    with VM("boot", *modules(base), *args, "--cmdline",
            QUIET + "alioth.run=cat+/sys/block/vda/size+/sys/block/vdb/size+/sys/block/vd*/serial;cd+/sys/block;"
            "readlink+vdc/device") as vm:
        vm.expect("2048\r?\n4096\r?\nvirtio-blk-0virtio-blk-1third")
        assert vm.wait() == 0


def test_two_vms_do_not_share_a_disk(base, disk):
    with VM("boot", *base, "--blk", disk, "--cmdline", QUIET) as vm:
        vm.expect("guest ready")
        status, _, err = run("boot", *base, "--blk", disk, "--cmdline", QUIET)
        assert status == 1
        assert "in use by another virtual machine" in err


def test_entropy(base):
    with VM("boot", *modules(base), "--entropy", "--cmdline",
            QUIET + "alioth.run=cat+/sys/class/misc/hw_random/rng_current;head+-c64+/dev/hwrng|wc+-c") as vm:
        vm.expect("virtio_rng.0")
        vm.expect("\n64\r?\n")
        assert vm.wait() == 0


def test_forty_disks(base, tmp_path):
    args = []
    for i in range(40):
        path = tmp_path / f"{i}.img"
        path.write_bytes(bytes(4096 * (i + 1)))
        args += ["--blk", f"path={path}"]
    with VM("boot", *modules(base), *args, "--cmdline",
            QUIET + "alioth.run=ls+-d+/sys/block/vd*|wc+-l;cat+/sys/block/vda/size+/sys/block/vdan/size") as vm:
        vm.expect("\n40\r?\n8\r?\n320\r?\n")
        assert vm.wait() == 0


def test_memory_of_the_monitor_stays_small(base, disk):
    """96 MiB through a disk leave nothing behind."""
    with VM("boot", *modules(base), "--blk", disk, "--cmdline",
            QUIET + "alioth.run=cat+/dev/vda+/dev/vda+/dev/vda|wc+-c;sleep+60") as vm:
        vm.expect("100663296")
        private = smaps.private_kib(vm.process.pid, 256)
        print(f"private memory besides the guest's: {private} KiB")
        assert 100 < private < 2048
        vm.process.kill()
