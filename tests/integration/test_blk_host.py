# SPDX-License-Identifier: Apache-2.0
"""Block devices of the host as a Linux guest's disks: what they are, what they cannot read, and when they do not answer."""
import contextlib
import os
import re
import signal
import subprocess

import pytest
from conftest import data
from host_disk import Mapped, host_disks, null_disk, written  # noqa: F401 (a fixture)
from test_blk import guest, needs_qemu_img, qemu_img
from vm import VM, run

MIB = 1 << 20
pytestmark = pytest.mark.usefixtures("host_disks")


def content(path):
    with open(path, "rb") as f:
        return f.read()


@needs_qemu_img
def test_block_devices_are_disks(base):
    """With sectors of either size, by every way to them; the last one holds an image."""
    script = ("for d in vda vdb vdc vdd; do cat /sys/block/$d/size /sys/block/$d/queue/logical_block_size; "
              "yes alioth | dd of=/dev/$d bs=64k seek=16 count=16 iflag=fullblock conv=notrunc,fsync; "
              "blkdiscard -o 1048576 -l 524288 /dev/$d; echo discarded:$?; "
              "dd if=/dev/$d bs=64k skip=24 count=8 iflag=direct | uniq; done 2>/dev/null; echo end; read x")
    with contextlib.ExitStack() as stack:
        disks = [stack.enter_context(null_disk(f"disk{i}", blocksize=size, discard=1)) for i, size in enumerate((4096, 512, 512, 512))]
        qemu_img("create", "-q", "-f", "qcow2", disks[3], "8M")
        more = [f"path={disks[1]},direct=on,queues=2,iothreads=2", f"path={disks[2]},api=mio", f"path={disks[3]},format=qcow2"]
        with VM(*guest(base, f"path={disks[0]}", script), *(word for spec in more for word in ("--blk", spec))) as vm:
            for sectors, size in ((32768, 4096), (32768, 512), (32768, 512), (16384, 512)):
                vm.expect(f"\\n{sectors}\\r?\\n{size}\\r?\\ndiscarded:0\\r?\\n\\w*\\r?\\nalioth\\r?\\n")
            vm.expect("end")
            for disk, options in ((disks[0], ""), (disks[1], ",readonly=on"), (disks[3], ",format=qcow2")):
                status, _, err = run("boot", *base, "--blk", f"path={disk}{options}")
                assert status == 1 and "in use by" in err, (status, err)
            vm.send("\n")
            assert vm.wait() == 0, vm.error_text()
            assert "failed" not in vm.error_text()
        text = (b"alioth\n" * MIB)[:MIB]
        for disk in disks[:3]:
            assert content(disk) == bytes(MIB + MIB // 2) + text[MIB // 2:] + bytes(14 * MIB)
        qemu_img("check", "-q", "-f", "qcow2", disks[3])


def test_a_device_that_the_host_uses_is_refused(base, tmp_path):
    """And what a guest has cannot be mounted meanwhile. For a lock of a moment, such as udev's, a VM waits."""
    with null_disk("disk0") as disk:
        subprocess.run(["mkfs.ext4", "-q", disk], check=True)
        subprocess.run(["mount", disk, tmp_path], check=True)
        try:
            status, _, err = run("boot", *base, "--blk", f"path={disk}")
            assert status == 1 and "in use by the host" in err, (status, err)
        finally:
            subprocess.run(["umount", tmp_path], check=True)
        with subprocess.Popen(["flock", "--shared", disk, "sh", "-c", "echo locked; sleep 1"], stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            vm = VM(*guest(base, f"path={disk}", "mount /dev/vda /mnt; echo mounted:$?; read x"))
        with vm:
            vm.expect("mounted:0")
            refused = subprocess.run(["mount", disk, tmp_path], check=False, capture_output=True, text=True)
            assert refused.returncode and "busy" in refused.stderr + refused.stdout, refused
            vm.process.kill()


@pytest.mark.long
def test_a_block_device_that_somebody_resized(base):
    script = ("echo ready; for n in 16384 4096; do until [ $(cat /sys/block/vda/size) = $n ]; do sleep 0.1; done; "
              "dd if=/dev/zero of=/dev/vda bs=512 seek=$((n - 1)) count=1 conv=notrunc,fsync; echo $n last:$?; done")
    with null_disk("disk0") as disk, Mapped("part", disk, 0, 8192) as part:
        with VM(*guest(base, f"path={part.path}", script)) as vm:
            vm.expect("ready")
            for sectors in (16384, 4096):
                part.resize(sectors)
                vm.signal(signal.SIGUSR1)
                vm.expect(f"{sectors} last:0")
            assert vm.wait() == 0, vm.error_text()


def test_bad_sectors_are_errors_of_their_own(base):
    """Page 512 of each disk is bad. Through the host's page cache it is the flush that cannot write it, and no later flush is trusted."""
    script = ("r() { dd if=/dev/$1 of=/dev/null bs=4k skip=$2 count=1 iflag=direct; echo read $1 $2:$?; }; "
              "w() { dd if=/dev/zero of=/dev/$1 bs=4k seek=$2 count=1 oflag=direct conv=notrunc,fsync; echo write $1 $2:$?; }; "
              "for d in vda vdb vdc; do for n in 511 512 513; do r $d $n; done; for n in 511 512 513; do w $d $n; done; "
              "r $d 511; r $d 513; w $d 514; done 2>/dev/null")
    with contextlib.ExitStack() as stack:
        disks = [stack.enter_context(null_disk(f"disk{i}", badblocks="+4096-4103")) for i in range(3)]
        with VM(*guest(base, f"path={disks[0]}", script), "--blk", f"path={disks[1]},direct=on", "--blk",
                f"path={disks[2]},api=mio") as vm:
            for disk, later in (("vda", 1), ("vdb", 0), ("vdc", 1)):
                for line in ("read {} 511:0", "read {} 512:1", "read {} 513:0", "write {} 511:0", "write {} 512:1",
                             f"write {{}} 513:{later}", "read {} 511:0", "read {} 513:0", f"write {{}} 514:{later}"):
                    vm.expect(line.format(disk) + "\r?\n")
            assert vm.wait() == 0, vm.error_text()
            for i, failed in enumerate(("flush", "write", "flush")):
                for what in ("read", failed):
                    assert f"virtio-blk-{i}: {what} failed: Input/output error" in vm.error_text(), vm.error_text()


def test_a_disk_that_does_not_answer_holds_nothing_else(base, tmp_path):
    """Reads and writes of three disks hang on the host until it lets them go. Meanwhile others do all that is asked of them."""
    quick = [tmp_path / name for name in ("quick.img", "other.img")]
    for path in quick:
        path.write_bytes(bytes(8 * MIB))
    script = ("echo ready; read x; for d in vda vdb vdc; do "
              "(dd if=/dev/$d of=/dev/null bs=4k skip=64 count=1 iflag=direct; echo $d read:$?) & "
              "(dd if=/dev/zero of=/dev/$d bs=4k seek=128 count=1 oflag=direct; echo $d written:$?) & "
              "until grep -q 1.*1 /sys/block/$d/inflight; do sleep 0.1; done; done; "
              "for d in vdd vde; do dd if=/dev/$d of=/dev/null bs=4k count=500 iflag=direct; "
              "dd if=/dev/zero of=/dev/$d bs=4k count=500 oflag=direct conv=notrunc,fsync; echo quick $d:$?; done; "
              "cat /sys/block/vd?/inflight; wait; echo end")
    with null_disk("disk0") as disk, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(Mapped(f"slow{i}", disk, i * 8192, 8192)) for i in range(3)]
        more = [f"path={slow[1].path},direct=on", f"path={slow[2].path},api=mio,direct=on", f"path={quick[0]}", f"path={quick[1]},api=mio"]
        with VM(*guest(base, f"path={slow[0].path},cache=writethrough", script), *(word for s in more for word in ("--blk", s))) as vm:
            vm.expect("ready")
            for mapped in slow:
                mapped.hold()
            vm.send("\n")
            vm.expect("quick vdd:0")
            vm.expect("quick vde:0")
            vm.expect(r"(\s+1\s+1\r?\n){3}(\s+0\s+0\r?\n){2}")
            assert not re.search(rb"vd[abc] (read|written):", vm.output)
            for mapped in slow:
                mapped.release()
            vm.expect("end")
            assert vm.wait() == 0, vm.error_text()
            for name in ("vda", "vdb", "vdc"):
                assert f"{name} read:0" in vm.text() and f"{name} written:0" in vm.text()


def test_a_reset_and_the_end_wait_for_a_disk_that_does_not_answer(base):
    """What it still does would otherwise reach the memory of the next system, or nobody."""
    script = ("dd if=/dev/vda of=/dev/null bs=4k count=8 iflag=direct; echo started:$?; read x; "
              "(dd if=/dev/vda of=/dev/null bs=4k skip=64 count=1 iflag=direct) & "
              "until grep -q 1 /sys/block/vda/inflight; do sleep 0.1; done; echo held; read how; $how -f")
    with null_disk("disk0") as disk, Mapped("slow", disk, 0, 8192) as slow:
        with VM(*guest(base, f"path={slow.path},direct=on", script)) as vm:
            for starts, how in ((1, "reboot"), (2, "poweroff")):
                vm.expect("started:0")
                slow.hold()
                vm.send("\n")
                vm.expect("\nheld")
                vm.send(f"{how}\n")
                with pytest.raises(subprocess.TimeoutExpired):
                    vm.process.wait(2)
                assert vm.output.count(b"started:0") == starts
                slow.release()
            assert vm.wait() == 0, vm.error_text()


def test_the_guest_chooses_when_writes_are_stable(base):
    """CONFIG_WCE: what it writes through is on the host's disk without a flush, and what it writes back is after one."""
    script = ("cd /sys/block/vda; w() { yes | dd of=/dev/vda bs=64k seek=$1 count=16 iflag=fullblock oflag=direct conv=notrunc; }; "
              "cat cache_type; echo write through >cache_type; cat cache_type queue/write_cache; w 0; echo through; read x; "
              "echo write back >cache_type; cat cache_type queue/write_cache; w 16; sync; dd if=/dev/null of=/dev/vda conv=notrunc,fsync; "
              "echo back")
    with null_disk("disk0") as disk, VM(*guest(base, f"path={disk}", script)) as vm:
        vm.expect("write back\r?\nwrite through\r?\nwrite through\r?\n")
        vm.expect("\nthrough")
        assert written(disk) == MIB // 512
        vm.send("\n")
        vm.expect("write back\r?\nwrite back\r?\n")
        vm.expect("\nback")
        assert vm.wait() == 0, vm.error_text()
        assert written(disk) == 2 * MIB // 512
        assert content(disk)[:2 * MIB] == b"y\n" * MIB


@contextlib.contextmanager
def ext4(folder):
    """A folder of a file system that can zero ranges, which the lab's memory file system cannot."""
    image, mount = folder / "ext4.img", folder / "ext4"
    with open(image, "wb") as f:
        f.truncate(32 * MIB)
    mount.mkdir()
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", mount], check=True)


@needs_qemu_img
def test_zeros_are_one_request_and_keep_or_give_back_space(base, tmp_path):
    """fallocate on a disk: -z keeps the space, -p need not. Linux would write zeros itself where the device does not know the request."""
    script = ("cat /sys/block/vda/queue/write_zeroes_max_bytes; for d in vda vdb vdc vdd vde; do "
              "/bin/fallocate -z -o 1048576 -l 2097152 /dev/$d && /bin/fallocate -p -o 4194304 -l 2097152 /dev/$d; "
              "echo $d:$? $(cat /sys/block/$d/stat); done")
    with null_disk("disk0") as device, ext4(tmp_path) as folder:
        files = [tmp_path / "kept.img", tmp_path / "disk.img", folder / "disk.img"]
        for path in (*files, device):
            with open(path, "wb") as f:
                f.write(b"x" * 8 * MIB)
                os.fsync(f.fileno())
        qcow2 = tmp_path / "disk.qcow2"
        qemu_img("convert", "-f", "raw", "-O", "qcow2", str(files[0]), str(qcow2))
        blocks = [os.stat(path).st_blocks for path in files]
        args = guest(base, f"path={files[0]},discard=off", script)
        args[args.index("--initramfs") + 1] = data("initramfs-programs")
        more = [f"path={files[1]},api=mio", f"path={files[2]}", f"path={device}", f"path={qcow2},format=qcow2"]
        with VM(*args, *(word for spec in more for word in ("--blk", spec))) as vm:
            vm.expect("33554432\r?\n")
            for disk in ("vda", "vdb", "vdc", "vdd", "vde"):
                # Of the statistics: writes (and fallocate's two flushes), those that were merged, sectors.
                vm.expect(rf"{disk}:0 \d+ \d+ \d+ \d+ 4 0 8192 ")
            assert vm.wait() == 0, vm.error_text()
        freed = [before - os.stat(path).st_blocks for before, path in zip(blocks, files)]
        qemu_img("convert", "-f", "qcow2", "-O", "raw", str(qcow2), str(tmp_path / "back"))
        expected = b"".join(b"x" * MIB if keep else bytes(MIB) for keep in (1, 0, 0, 1, 0, 0, 1, 1))
        for path in (*files, device, tmp_path / "back"):
            assert content(path)[:8 * MIB] == expected, path
    assert freed[0] == 0 and freed[1] == 4096 and abs(freed[2] - 4096) < 64, freed
    qemu_img("check", "-q", "-f", "qcow2", str(qcow2))
