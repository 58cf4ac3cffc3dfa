# SPDX-License-Identifier: Apache-2.0
"""What the options of --blk do for a real Linux guest."""
import os
import subprocess
import time

import pytest

from test_devices import QUIET, modules
from vm import VM, run


def guest(base, spec, command):
    """Options of a VM with this disk that runs a command."""
    return ["boot", *modules(base), "--blk", spec, "--cmdline", QUIET + "alioth.run=" + command.replace(" ", "+")]


@pytest.mark.parametrize("options", ["api=io_uring", "api=mio", "api=io_uring,direct=on,queues=2,queue_size=64",
                                     "api=mio,cache=none", "cache=writethrough", "iops=2000,bw=64M,id=root"])
def test_ext4_root_with(base, disk, options):
    with VM("boot", *modules(base), "--cpu", "count=2", "--blk", f"path={disk},{options}", "--cmdline",
            QUIET + "alioth.root=/dev/vda") as vm:
        vm.expect("root file system ready: marked")
        assert vm.wait() == 0, vm.error_text()
        assert "io_uring is refused" not in vm.error_text()
    subprocess.run(["/sbin/e2fsck", "-fn", disk], check=True, stdout=subprocess.DEVNULL)
    listing = subprocess.run(["/sbin/debugfs", "-R", "cat /written", disk], check=True, capture_output=True)
    assert listing.stdout == b"written\n"


@pytest.mark.parametrize("api", ["io_uring", "mio"])
def test_discard_returns_space(base, tmp_path, api):
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * (8 << 20))
    before = os.stat(path).st_blocks
    with VM(*guest(base, f"path={path},api={api}",
                   "blkdiscard -o 1048576 -l 4194304 /dev/vda; echo status:$?; cat /sys/block/vda/queue/discard_max_bytes")) as vm:
        vm.expect("status:0\r?\n1073741824")
        assert vm.wait() == 0
    assert os.stat(path).st_blocks <= before - (4 << 20) // 512
    assert path.read_bytes()[5 << 20:] == b"x" * (3 << 20)
    with VM(*guest(base, f"path={path},api={api},discard=off", "blkdiscard /dev/vda; echo status:$?")) as vm:
        vm.expect("status:1")
        assert vm.wait() == 0


def test_the_guest_sees_the_options(base, tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 << 20))
    with VM(*guest(base, f"path={path},id=data,queues=2,queue_size=32,cache=writethrough",
                   "cd /sys/block/vda; cat serial; echo; cat queue/write_cache cache_type; ls mq; cat queue/nr_requests "
                   "queue/physical_block_size"), "--cpu", "count=2") as vm:
        vm.expect("data\r?\nwrite through\r?\nwrite through\r?\n0 +1\r?\n")
        vm.expect("4096")
        assert vm.wait() == 0


def test_a_throttled_disk_is_slow_and_the_rest_is_not(base, tmp_path):
    slow, fast = tmp_path / "slow.img", tmp_path / "fast.img"
    slow.write_bytes(bytes(4 << 20))
    fast.write_bytes(bytes(4 << 20))
    with VM(*guest(base, f"path={slow},bw=512k",
                   "echo begin; (dd if=/dev/vda of=/dev/null bs=64k count=32; echo slow done) & "
                   "dd if=/dev/vdb of=/dev/null bs=64k count=32; echo fast done; wait"), "--blk", f"path={fast}") as vm:
        vm.expect("begin")
        start = time.monotonic()
        vm.expect("fast done")
        vm.expect("slow done")
        assert time.monotonic() - start > 3.5  # 2 MiB at 512 KiB/s
        assert vm.wait() == 0


@pytest.mark.parametrize("options", ["api=io_uring", "api=mio"])
def test_a_full_host_is_an_error_in_the_guest_and_no_hang(base, tmp_path, options):
    if os.geteuid():
        pytest.skip("mounting needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mount], check=True)
    try:
        path = mount / "disk.img"
        with open(path, "wb") as f:
            f.truncate(16 << 20)
        with VM(*guest(base, f"path={path},{options}",
                       "dd if=/dev/zero of=/dev/vda bs=1M count=16 conv=fsync; echo write:$?; "
                       "dd if=/dev/vda of=/dev/null bs=64k count=16; echo read:$?")) as vm:
            vm.expect("write:1")
            vm.expect("read:0")
            assert vm.wait() == 0
            assert "write failed: No space left on device" in vm.error_text()
    finally:
        subprocess.run(["umount", mount], check=True)


def test_without_io_uring_the_disk_works_and_a_line_says_so(base, disk):
    limit = "/proc/sys/kernel/io_uring_disabled"
    if not os.access(limit, os.W_OK):
        pytest.skip("this host cannot refuse io_uring")
    with open(limit, "w", encoding="ascii") as f:
        f.write("2")
    try:
        with VM("boot", *modules(base), "--blk", f"path={disk}", "--cmdline", QUIET + "alioth.root=/dev/vda") as vm:
            vm.expect("root file system ready: marked")
            assert vm.wait() == 0
            assert vm.error_text().count("io_uring is refused (Operation not permitted)") == 1
    finally:
        with open(limit, "w", encoding="ascii") as f:
            f.write("0")


def test_bad_options_are_one_error(base, disk):
    for spec, text in (("api=aio", "'aio'"), ("queue_size=3", "out of range"), ("queue_size=48", "not a power of two"),
                       ("format=vmdk", "vmdk"), ("cache=unsafe", "unsafe"), ("iops=-1", "-1"), ("queues=64", "out of range")):
        status, _, err = run("boot", *base, "--blk", f"path={disk},{spec}")
        assert status == 2 and text in err, (spec, status, err)


def qemu_img(*args):
    return subprocess.run(["qemu-img", *args], check=True, capture_output=True, text=True).stdout


needs_qemu_img = pytest.mark.skipif(subprocess.run(["sh", "-c", "command -v qemu-img"], check=False,
                                                   stdout=subprocess.DEVNULL).returncode, reason="no qemu-img")


@needs_qemu_img
@pytest.mark.parametrize("how", ["plain", "compressed", "overlay"])
def test_ext4_root_on_qcow2(base, disk, tmp_path, how):
    path, back = str(tmp_path / "root.qcow2"), str(tmp_path / "back.raw")
    spec = f"path={path},format=qcow2"
    if how == "overlay":
        qemu_img("create", "-q", "-f", "qcow2", "-b", disk, "-F", "raw", path)
        spec += f",backing={disk}"
    else:
        qemu_img("convert", "-f", "raw", "-O", "qcow2", *(["-c", "-o", "compression_type=zstd"] if how == "compressed" else []),
                 disk, path)
    with open(disk, "rb") as f:
        before = f.read()
    with VM("boot", *modules(base), "--blk", spec, "--cmdline", QUIET + "alioth.root=/dev/vda") as vm:
        vm.expect("root file system ready: marked")
        assert vm.wait() == 0, vm.error_text()
    qemu_img("check", "-f", "qcow2", path)
    qemu_img("convert", "-f", "qcow2", "-O", "raw", path, back)
    subprocess.run(["/sbin/e2fsck", "-fn", back], check=True, stdout=subprocess.DEVNULL)
    listing = subprocess.run(["/sbin/debugfs", "-R", "cat /written", back], check=True, capture_output=True)
    assert listing.stdout == b"written\n"
    with open(disk, "rb") as f:
        assert f.read() == before
