# SPDX-License-Identifier: Apache-2.0
"""What a disk is made of: raw images stay raw whatever is in them, and qcow2 images of every kind that qemu-img makes; it is the judge."""
import hashlib
import os
import shutil

from conftest import data
from test_blk import guest, needs_qemu_img, qemu_img
from vm import VM

MIB = 1 << 20


@needs_qemu_img
def test_a_raw_disk_is_raw_whatever_the_guest_writes(base, tmp_path):
    """Such as the header of an image that stands on a file of the host: the guest has its own bytes and its size, also after a reboot of
    the guest, and with another run of the monitor, which is told that the disk is raw, or nothing."""
    secret, header = tmp_path / "secret", tmp_path / "header"
    secret.write_bytes(b"of the host " * (2 * MIB // 12) + bytes(8))
    qemu_img("create", "-q", "-f", "qcow2", "-b", str(secret), "-F", "raw", str(header))
    image = header.read_bytes()
    image += bytes(-len(image) % 512)
    header.write_bytes(image)
    disks = [tmp_path / "disk", tmp_path / "copy"]
    disks[0].write_bytes(bytes(MIB))
    before, after = bytes(MIB), image + bytes(MIB - len(image))
    script = ("cat /sys/block/vda/size; md5sum </dev/vda; dd if=/dev/vdb of=/dev/vda bs=64k conv=notrunc,fsync; echo written:$?; "
              "read x; reboot -f")
    with VM(*guest(base, f"path={disks[0]}", script), "--blk", f"path={header},readonly=on") as vm:
        vm.expect(f"2048\r?\n{hashlib.md5(before).hexdigest()}")
        vm.expect("written:0")
        vm.send("\n")
        vm.expect(f"2048\r?\n{hashlib.md5(after).hexdigest()}")
        vm.expect("written:0")
    shutil.copy(disks[0], disks[1])
    script = "cat /sys/block/vda/size /sys/block/vdb/size; md5sum </dev/vda; md5sum </dev/vdb"
    with VM(*guest(base, f"path={disks[0]},format=raw", script), "--blk", f"path={disks[1]}") as vm:
        digest = hashlib.md5(after).hexdigest()
        vm.expect(f"2048\r?\n2048\r?\n{digest}.*\r?\n{digest}")
        assert vm.wait() == 0
    assert disks[0].read_bytes() == disks[1].read_bytes() == after


def images(folder, content):
    """Images of this content, by each way to make them: the options of a disk, and its path."""
    ways = {"v2": ["-o", "compat=0.10"], "lazy": ["-o", "lazy_refcounts=on,cluster_size=4k"], "zlib": ["-c"],
            "v2-zlib": ["-c", "-o", "compat=0.10"], "base": ["-c", "-o", "cluster_size=16k"]}
    for name, options in ways.items():
        qemu_img("convert", "-f", "raw", "-O", "qcow2", *options, str(content), str(folder / name))
    for name, options, backing, form in (("v2-on-raw", ["-o", "compat=0.10"], content, "raw"), ("on-qcow2", [], folder / "base", "qcow2")):
        qemu_img("create", "-q", "-f", "qcow2", *options, "-b", str(backing), "-F", form, str(folder / name))
        ways[name] = f",backing={backing},backing_format={form}"
    del ways["base"]
    return {f"path={folder / name},format=qcow2{options if isinstance(options, str) else ''}": folder / name
            for name, options in ways.items()}


@needs_qemu_img
def test_qcow2_images_of_every_kind_hold_what_a_raw_one_does(base, tmp_path):
    raw, content = tmp_path / "raw", tmp_path / "content"
    text = b"".join(b"%06d compresses well\n" % i for i in range(MIB // 23))
    content.write_bytes((os.urandom(MIB) + text + text[::-1]).ljust(4 * MIB, b"\0"))
    shutil.copy(content, raw)
    disks = images(tmp_path, content)
    below = {path: path.read_bytes() for path in (content, tmp_path / "base")}
    names = [f"/dev/vd{letter}" for letter in "abcdefg"[:1 + len(disks)]]
    args = guest(base, f"path={raw}", f"disk_changes.sh {' '.join(names)}")
    args[args.index("--initramfs") + 1] = data("initramfs-programs")
    with VM(*args, *(word for spec in disks for word in ("--blk", spec))) as vm:
        for name in names:
            vm.expect(f"{name} changed:0\r?\n")
        assert vm.wait() == 0, vm.error_text()
        assert "failed" not in vm.error_text() and "corrupt" not in vm.error_text()
    assert raw.read_bytes() != below[content]
    for path in disks.values():
        assert "No errors were found" in qemu_img("check", "-f", "qcow2", str(path))
        assert "identical" in qemu_img("compare", "-f", "raw", "-F", "qcow2", str(raw), str(path))
    assert all(path.read_bytes() == before for path, before in below.items())
