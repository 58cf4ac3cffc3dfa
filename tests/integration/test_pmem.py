# SPDX-License-Identifier: Apache-2.0
"""Persistent memory under Linux's virtio_pmem and nd_pmem drivers."""
import hashlib
import os
import subprocess
import time

import pytest

from conftest import data
from test_devices import QUIET, modules
from vm import VM, run

MIB = 1 << 20


def guest(base, spec, command, *more):
    return ["boot", *modules(base), "--pmem", spec, *more, "--cmdline", QUIET + "alioth.run=" + command.replace(" ", "+")]


def content(path, name):
    return subprocess.run(["/sbin/debugfs", "-R", f"cat {name}", path], check=True, capture_output=True).stdout


def test_a_root_file_system_with_dax(base, disk):
    with VM("boot", *modules(base), "--pmem", f"path={disk}", "--cmdline",
            QUIET + "root=/dev/pmem0 rootfstype=ext4 rootflags=dax") as vm:
        vm.expect("root file system ready: marked")
        vm.expect("dax")
        assert vm.wait() == 0, vm.error_text()
    subprocess.run(["/sbin/e2fsck", "-fn", disk], check=True, stdout=subprocess.DEVNULL)
    assert content(disk, "/written") == b"written\n"


def test_what_was_synced_outlives_a_kill(base, tmp_path):
    path = tmp_path / "pmem"
    with VM(*guest(base, f"path={path},size=34M",
                   "cat /sys/block/pmem0/size /sys/block/pmem0/queue/dax /sys/bus/nd/devices/region0/size; "
                   "echo acknowledged | dd of=/dev/pmem0 bs=4096 seek=8703 conv=fsync; echo synced; sleep 600")) as vm:
        vm.expect(f"{34 * MIB // 512}\r?\n1\r?\n{34 * MIB}\r?\n")
        vm.expect("\nsynced")
        vm.process.kill()
    assert os.stat(path).st_size == 34 * MIB
    with open(path, "rb") as f:
        f.seek(8703 * 4096)
        assert f.read() == b"acknowledged\n" + bytes(4096 - 13)


def test_discarded_writes_are_gone_after_a_reset(base, disk):
    with open(disk, "rb") as f:
        before = f.read()
    script = ("mount -o dax /dev/pmem0 /mnt; ls /mnt/once; echo once:$?; echo x > /mnt/once; sync; cat /mnt/once; "
              "umount /mnt; echo unmounted; reboot -f")
    with VM(*guest(base, f"path={disk},discard_writes=on", script)) as vm:
        for _ in range(2):
            vm.expect("once:1\r?\nx\r?\nunmounted")
    with open(disk, "rb") as f:
        assert f.read() == before


@pytest.mark.parametrize("kernel,initramfs", [("debian12-cloud", "initramfs-programs"), ("debian13-cloud", "initramfs-rounds")])
def test_a_mapped_file_is_memory_for_disks(base, disk, tmp_path, kernel, initramfs):
    """Direct I/O of a disk to and from a mapped DAX file: the buffers are persistent memory, without a copy in RAM. The newer driver
    finds that in a BAR."""
    image = tmp_path / "disk.img"
    text = b"from the disk   " * (MIB // 16)
    image.write_bytes(text + bytes(MIB))
    script = ("mount -o dax /dev/pmem0 /mnt; dd if=/dev/zero of=/mnt/copy bs=1M count=1; mapped_io /dev/vda /mnt/copy 1048576; "
              "umount /mnt; sync")
    args = guest(base, f"path={disk}", script, "--blk", f"path={image}")
    args[args.index("--initramfs") + 1] = data(initramfs)
    args[args.index("--kernel") + 1] = data(kernel + ".bzImage")
    with VM(*args) as vm:
        vm.expect("mapped_io: done")
        assert vm.wait() == 0, vm.error_text()
    assert image.read_bytes() == text + text
    assert content(disk, "/copy") == text


def test_several_and_much_memory(base, tmp_path):
    args = []
    for i, size in enumerate((2, 130, 6)):
        args += ["--pmem", f"path={tmp_path / str(i)},size={size}M"]
    options = modules(base)
    options[options.index("size=256M")] = "size=2100M"
    with VM("boot", *options, *args, "--cmdline",
            QUIET + "alioth.run=" + "cat /sys/block/pmem*/size /sys/bus/nd/devices/region?/resource".replace(" ", "+")) as vm:
        vm.expect("4096\r?\n266240\r?\n12288\r?\n0x108000000\r?\n0x110000000\r?\n0x120000000\r?\n")
        assert vm.wait() == 0, vm.error_text()


def newer(command, *more):
    """A guest whose driver knows SHMEM_REGION: Linux 6.12."""
    return ["boot", "--kernel", data("debian13-cloud.bzImage"), "--initramfs", data("initramfs-debian13-cloud"), "--memory",
            "size=256M", *more, "--cmdline", QUIET + "alioth.run=" + command.replace(" ", "+")]


def test_a_driver_that_looks_for_a_bar_finds_it_there(base, tmp_path):
    path = tmp_path / "pmem"
    content = os.urandom(34 * MIB)
    path.write_bytes(content)
    script = ("cd /sys/bus/virtio/devices/virtio0; cat features; head -n3 ../resource|tail -n1; cat /sys/bus/nd/devices/region0/resource; "
              "grep namespace0 /proc/iomem; md5sum </dev/pmem0; echo acknowledged|dd of=/dev/pmem0 bs=4096 seek=8703 conv=fsync; "
              "echo synced; sleep 600")
    with VM(*newer(script, "--pmem", f"path={path}")) as vm:
        taken = vm.expect(r"([01]{64})\r?\n").group(1)
        first, last = (int(x, 16) for x in vm.expect(r"(0x[0-9a-f]+) (0x[0-9a-f]+) 0x\w+\r?\n").groups())
        resource = int(vm.expect(r"(0x[0-9a-f]+)\r?\n").group(1), 16)
        inside = [int(x, 16) for x in vm.expect(r"([0-9a-f]+)-([0-9a-f]+) : namespace0").groups()]
        vm.expect(hashlib.md5(content).hexdigest())
        vm.expect("\nsynced")
        vm.process.kill()
    assert taken.startswith(b"1"), taken
    assert last - first + 1 == 64 * MIB and first % (64 * MIB) == 0
    assert resource == first and inside == [first, first + 34 * MIB - 1]
    assert path.read_bytes()[8703 * 4096:][:13] == b"acknowledged\n"


def test_bars_that_the_guest_places_anew_lose_nothing(base, tmp_path):
    """Linux gives the larger one the place of the other: the configuration still says where both are."""
    args, sums = [], []
    for size in (2, 34):
        content = os.urandom(size * MIB)
        (tmp_path / str(size)).write_bytes(content)
        args += ["--pmem", f"path={tmp_path / str(size)}"]
        sums.append(hashlib.md5(content).hexdigest())
    script = ("cd /sys/bus/virtio/devices;md5sum </dev/pmem0;md5sum </dev/pmem1;for i in 0 1;do echo 1 >virtio$i/../remove;done;"
              "echo 1 >/sys/bus/pci/rescan;. devices.sh;within_time [ -b /dev/pmem1 ];"
              "for i in /dev/pmem?;do md5sum <$i;done;cat */features;echo new|dd of=/dev/pmem1 bs=4096 conv=fsync;echo done:$?")
    with VM(*newer(script, *args)) as vm:
        for digest in sums + sums:
            vm.expect(digest)
        taken = [vm.expect(r"([01]{64})\r?\n").group(1) for _ in range(2)]
        vm.expect("done:0")
        assert vm.wait() == 0, vm.error_text()
        assert "no shared memory 0" in vm.error_text()
    assert not any(t.startswith(b"1") for t in taken), taken
    assert (tmp_path / "34").read_bytes()[:4] == b"new\n"
    assert hashlib.md5((tmp_path / "2").read_bytes()).hexdigest() == sums[0]


def test_a_full_host_holds_the_guest_until_there_is_space(base, tmp_path):
    """A page that the host cannot give: KVM tries until it can, or gives up and the VM ends with an error."""
    if os.geteuid():
        pytest.skip("mounting needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mount], check=True)
    try:
        with VM(*guest(base, f"path={mount / 'pmem'},size=16M",
                       "dd if=/dev/zero of=/dev/pmem0 bs=1M count=16 conv=fsync; echo write:$?")) as vm:
            vm.expect("guest ready")
            while os.statvfs(mount).f_bfree:
                time.sleep(0.1)
            time.sleep(1)
            subprocess.run(["mount", "-o", "remount,size=64m", mount], check=True)
            status = vm.wait()
            assert (status == 0 and "write:0" in vm.text()) or (status == 3 and "Bad address" in vm.error_text()), status
    finally:
        subprocess.run(["umount", mount], check=True)


def test_bad_files_are_one_error(base, tmp_path):
    odd = tmp_path / "odd"
    odd.write_bytes(bytes(MIB))
    for spec, status, text in ((f"path={odd}", 1, "not a multiple of 2 MiB"), (f"path={tmp_path}/none", 1, "No such file"),
                               (f"path={odd},size=3M", 2, "not a multiple of 2M"), ("size=2M", 2, "path"),
                               ("path=/dev/null", 1, "neither a file nor a block device")):
        got, _, err = run("boot", *base, "--pmem", spec)
        assert got == status and text in err, (spec, got, err)
