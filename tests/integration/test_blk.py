# SPDX-License-Identifier: Apache-2.0
"""What the options of --blk do for a real Linux guest."""
import ctypes
import hashlib
import os
import re
import signal
import subprocess
import time

import pytest

from test_devices import QUIET, modules
from vm import TIMEOUT, VM, run


def guest(base, spec, command):
    """Options of a VM with this disk that runs a command."""
    return ["boot", *modules(base), "--blk", spec, "--cmdline", QUIET + "alioth.run=" + command.replace(" ", "+")]


@pytest.mark.parametrize("options", ["api=io_uring", "api=mio", "api=io_uring,direct=on,queues=2,queue_size=64",
                                     "api=mio,cache=none,queues=2,iothreads=2", "cache=writethrough", "api=iouring,iops=2000,bw=64M,id=root"])
def test_ext4_root_with(base, disk, options):
    with VM("boot", *modules(base), "--cpu", "count=2", "--blk", f"path={disk},{options}", "--cmdline",
            QUIET + "alioth.root=/dev/vda") as vm:
        vm.expect("root file system ready: marked")
        assert vm.wait() == 0, vm.error_text()
        assert "io_uring is refused" not in vm.error_text()
    subprocess.run(["/sbin/e2fsck", "-fn", disk], check=True, stdout=subprocess.DEVNULL)
    listing = subprocess.run(["/sbin/debugfs", "-R", "cat /written", disk], check=True, capture_output=True)
    assert listing.stdout == b"written\n"


def pinned(vm):
    """KiB of the monitor's memory that the kernel has pinned."""
    with open(f"/proc/{vm.process.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmPin:\s+(\d+)", f.read()).group(1))


@pytest.mark.parametrize("options", ["registered_memory=on", "registered_memory=on,direct=on,queues=2,iothreads=2"])
def test_registered_memory(base, tmp_path, options):
    """Also after a reboot, when the guest's memory is made of other pages; and with the kernel's files mapped into it."""
    path = tmp_path / "disk.img"
    content = os.urandom(8 << 20)
    path.write_bytes(content)
    digest = hashlib.sha1(content).hexdigest()
    with VM(*guest(base, f"path={path},{options}",
                   "sha1sum /dev/vda; dd if=/dev/vda of=/dev/vda bs=1M count=4 seek=4 conv=fsync,notrunc; sha1sum /dev/vda; "
                   "read x; reboot -f"), "--cpu", "count=2") as vm:
        vm.expect(digest)
        digest = hashlib.sha1(content[:4 << 20] * 2).hexdigest()
        for _ in range(2):
            vm.expect(digest)
            assert 250 << 10 <= pinned(vm) <= 520 << 10, vm.error_text()
            vm.send("\n")
        vm.expect(digest)
        assert "cannot be registered" not in vm.error_text()
    assert path.read_bytes() == content[:4 << 20] * 2


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
        # Linux has as many requests as the queue has entries, where it has more than one queue.
        vm.expect("data\r?\nwrite through\r?\nwrite through\r?\n0 +1\r?\n32\r?\n4096\r?\n")
        assert vm.wait() == 0


def test_throttled_disks_are_slow_and_the_rest_is_not(base, tmp_path):
    """2 MiB at 512 KiB a second, and 200 requests at 50 a second."""
    specs = [("bw", ",bw=512k"), ("iops", ",iops=50"), ("fast", "")]
    for name, _ in specs:
        (tmp_path / name).write_bytes(bytes(4 << 20))
    more = [word for name, limit in specs[1:] for word in ("--blk", f"path={tmp_path / name}{limit}")]
    script = ("echo begin; (dd if=/dev/vda of=/dev/null bs=64k count=32; echo slow bw done) & "
              "(dd if=/dev/vdb of=/dev/null bs=4k count=200 iflag=direct; echo slow iops done) & "
              "dd if=/dev/vdc of=/dev/null bs=64k count=32; echo fast done; wait")
    with VM(*guest(base, f"path={tmp_path / 'bw'},bw=512k", script), *more) as vm:
        vm.expect("begin")
        start = time.monotonic()
        vm.expect("fast done")
        for _ in range(2):
            vm.expect("slow (bw|iops) done")
            assert time.monotonic() - start > 3.5
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


def resized(vm, sectors):
    """The guest's driver says so, and its script that the size is another."""
    vm.expect(rf"virtio_blk virtio0: \[vda\] new size: {sectors} 512-byte logical blocks")
    vm.expect(f"now {sectors}\r?\n")


@pytest.mark.parametrize("options", ["api=io_uring", *(pytest.param(o, marks=pytest.mark.long) for o in (
    "api=mio", "api=io_uring,direct=on", "api=io_uring,bw=64M,packed=off"))])
def test_a_file_that_somebody_resized(base, tmp_path, options):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 << 20))
    script = ("s=8192; while :; do n=$(cat /sys/block/vda/size); [ $n = $s ] || { s=$n; echo now $s; "
              "dd if=/dev/zero of=/dev/vda bs=512 seek=$((s - 1)) count=1 conv=fsync; echo last:$?; "
              "dd if=/dev/zero of=/dev/vda bs=512 seek=$s count=1 conv=fsync; echo past:$?; }; sleep 0.1; done & "
              "(while :; do dd if=/dev/vda of=/dev/null bs=64k; done) 2>/dev/null & sleep 1; echo ready; read line")
    args = guest(base, f"path={path},{options}", script)
    args[args.index("--cmdline") + 1] = args[args.index("--cmdline") + 1].replace("quiet", "loglevel=6")
    with VM(*args) as vm:
        vm.expect("\nready")
        for size in (8 << 20, 2 << 20, 6 << 20):
            os.truncate(path, size)
            vm.signal(signal.SIGUSR1)
            resized(vm, size // 512)
            vm.expect("last:0")
            vm.expect("past:1")
        vm.send("\n")
        assert vm.wait() == 0, vm.error_text()
    assert os.stat(path).st_size == 6 << 20


def test_bad_options_are_one_error(base, disk):
    for spec, text in (("api=aio", "'aio'"), ("queue_size=3", "out of range"), ("queue_size=48", "not a power of two"),
                       ("format=vmdk", "vmdk"), ("cache=unsafe", "unsafe"), ("iops=-1", "-1"), ("queues=64", "out of range"),
                       ("iothreads=2", "more than queues=1"), ("queues=2,iothreads=2,format=qcow2", "one thread")):
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


class Library:
    """A VM of the library, in this process."""

    def __init__(self, *options):
        self.lib = ctypes.CDLL(os.path.join(os.environ.get("ALIOTH_BUILD", "build/dev"), "src/libalioth.so"))
        for name in ("alioth_spec_create", "alioth_spec_set", "alioth_vm_create", "alioth_vm_boot", "alioth_vm_wait",
                     "alioth_vm_resize_disk"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.lib.alioth_error_format.restype = ctypes.c_char_p
        spec = ctypes.c_void_p(self.lib.alioth_spec_create())
        self.vm = ctypes.c_void_p()
        for name, value in options:
            assert not self.lib.alioth_spec_set(spec, name.encode(), value.encode())
        assert not self.error(self.lib.alioth_vm_create(spec, None, ctypes.byref(self.vm)))
        self.lib.alioth_spec_free(spec)
        assert not self.error(self.lib.alioth_vm_boot(self.vm))

    def error(self, error):
        return self.lib.alioth_error_format(ctypes.c_void_p(error)).decode() if error else ""

    def resize(self, disk, size):
        return self.error(self.lib.alioth_vm_resize_disk(self.vm, disk.encode(), ctypes.c_uint64(size)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.alioth_vm_free(self.vm)


def wait_for(path, text):
    deadline = time.monotonic() + TIMEOUT
    while text not in path.read_text(errors="replace").replace("\r", ""):
        assert time.monotonic() < deadline, path.read_text(errors="replace")
        time.sleep(0.1)


@needs_qemu_img
@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_the_library_resizes_a_disk(base, tmp_path, form):
    path, console = tmp_path / "disk.img", tmp_path / "console"
    qemu_img("create", "-q", "-f", form, str(path), "4M")
    script = ("n=0; while [ $n != 1048576 ]; do n=$(cat /sys/block/vda/size); sleep 0.1; done; echo grown; "
              "dd if=/dev/zero of=/dev/vda bs=64k seek=8190 count=2 conv=fsync; echo status:$?")
    args = modules(base)
    options = dict(zip((a[2:] for a in args[::2]), args[1::2]))
    with Library(*options.items(), ("blk", f"path={path},format={form},id=data"), ("console", f"log,path={console}"),
                 ("cmdline", "console=ttyS0 loglevel=6 alioth.run=" + script.replace(" ", "+"))) as vm:
        wait_for(console, "alioth guest ready")
        assert 'no disk "other"' in vm.resize("other", 8 << 20)
        assert "not a multiple of 512" in vm.resize("data", (8 << 20) + 1)
        assert ("cannot be made smaller" in vm.resize("data", 1 << 20)) == (form == "qcow2")
        assert vm.resize("data", 512 << 20) == ""
        wait_for(console, "[vda] new size: 1048576 512-byte logical blocks")
        wait_for(console, "grown\n")
        wait_for(console, "status:0\n")
    if form == "qcow2":
        qemu_img("check", "-f", form, str(path))
    assert "(536870912 bytes)" in qemu_img("info", "-f", form, str(path))
