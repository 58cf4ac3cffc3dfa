# SPDX-License-Identifier: Apache-2.0
"""The boot loader of linuxboot/: what it finds on disks, and what it says when it finds nothing."""
import gzip
import os
import shutil
import struct
import subprocess

import pytest

from conftest import data
from vm import VM


def loader(*disks, options="", timeout=1):
    args = ["boot", "--kernel", data("linuxboot/vmlinuz"), "--initramfs", data("linuxboot/initramfs"), "--memory", "size=384M",
            "--cmdline", f"console=ttyS0 quiet linuxboot.timeout={timeout} {options}"]
    for disk in disks:
        args += ["--blk", f"path={disk}"]
    return args


def fill_xfs(image, tree):
    """A file system as mkfs.xfs(8) makes it from a prototype: of each folder its entries, then a dollar sign."""
    def entries(folder):
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                yield from (f"{path.name} d--755 0 0", *entries(path), "$")
            else:
                yield f"{path.name} ---644 0 0 {path}"

    prototype = tree.with_suffix(".prototype")
    prototype.write_text("\n".join(["-", "0 0", "d--755 0 0", *entries(tree), "$", ""]))
    with open(image, "wb") as file:
        file.truncate(320 << 20)
    subprocess.run(["/sbin/mkfs.xfs", "-q", "-f", "-p", prototype, image], check=True)


@pytest.fixture
def ext4(tmp_path):
    """Makes a file system with a kernel, an initramfs and some configuration: path in it to text."""
    def make(name, files, kind="ext4"):
        tree = tmp_path / (name + ".tree")
        for path, text in {**files, "boot/vmlinuz": None, "boot/initrd": None}.items():
            file = tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                shutil.copy(data("debian12-cloud.bzImage" if path == "boot/vmlinuz" else "initramfs"), file)
            else:
                file.write_text(text)
        image = str(tmp_path / name)
        if kind == "xfs":
            fill_xfs(image, tree)
        else:
            subprocess.run(["/sbin/mke2fs", "-q", "-t", kind, "-d", tree, image, "32M"], check=True)
        shutil.rmtree(tree)
        return image
    return make


def grub(*entries, head=""):
    """A grub.cfg: each entry a title, an id and the options of its kernel."""
    return head + "".join(f"menuentry '{title}' --class x --id {name} {{\n linux /boot/vmlinuz {options}\n initrd /boot/initrd\n}}\n"
                          for title, name, options in entries)


RUN = "console=ttyS0 quiet alioth.run=echo+from:{}"


def test_grub_entries_of_two_disks_and_the_default(ext4):
    first = ext4("a", {"boot/grub/grub.cfg": grub(("One", "one", RUN.format("one")), ("Two", "two", RUN.format("two")),
                                                  head='set default="${saved_entry}"\n'),
                       "boot/grub/grubenv": "# GRUB Environment Block\nsaved_entry=two\n#####\n"})
    second = ext4("b", {"grub2/grub.cfg": grub(("Three", "three", RUN.format("three")))})
    with VM(*loader(first, second)) as vm:
        vm.expect(r"  1  vda +One\r?\n\* +2  vda +Two\r?\n +3  vdb +Three\r?\n")
        vm.expect("Entry 2 in 1 s")
        vm.expect("\nfrom:two\r?\n")
        assert vm.wait() == 0
    with VM(*loader(first, second, options="linuxboot.entry=three")) as vm:
        vm.expect("\nfrom:three\r?\n")
        assert vm.wait() == 0


@pytest.mark.parametrize("kind", ["ext4", "ext2"])
def test_an_entry_for_one_start(ext4, kind):
    """As grub-reboot leaves it: taken once, and not at all where it could not be forgotten."""
    env = "# GRUB Environment Block\nsaved_entry=one\nnext_entry=two\n"
    head = 'if [ "${next_entry}" ]; then set default="${next_entry}"; set next_entry=; save_env next_entry; else set default="${saved_entry}"; fi\n'
    disk = ext4("a", {"boot/grub/grub.cfg": grub(("One", "one", RUN.format("one")), ("Two", "two", RUN.format("two")), head=head),
                      "boot/grub/grubenv": env.ljust(1024, "#")}, kind)
    with VM(*loader(disk + ",readonly=on")) as vm:
        vm.expect("vda: the entry for the next start in /boot/grub/grubenv is not taken, as it could not be forgotten: ")
        vm.expect("\nfrom:one\r?\n")
        assert vm.wait() == 0
    # With what version 1.0 of Linux's RAID has in front of a device's end.
    with open(disk, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.truncate(size + (1 << 20))
        file.seek(size + (1 << 20) - 8192)
        file.write(struct.pack("<I", 0xa92b4efc))
    with VM(*loader(disk)) as vm:
        vm.expect("could not be forgotten: it is on a part of a RAID")
        vm.expect("\nfrom:one\r?\n")
        assert vm.wait() == 0
    os.truncate(disk, size)
    for entry in ("two", "one"):
        with VM(*loader(disk)) as vm:
            vm.expect(f"\nfrom:{entry}\r?\n")
            assert vm.wait() == 0
    after = subprocess.run(["/sbin/debugfs", "-R", "cat /boot/grub/grubenv", disk], check=True, capture_output=True, text=True).stdout
    assert after == "# GRUB Environment Block\nsaved_entry=one\n".ljust(1024, "#")


@pytest.mark.long
def test_a_system_on_xfs(ext4):
    """Its menu is read and its default started; nothing is written to it."""
    disk = ext4("a", {"boot/grub/grub.cfg": grub(("One", "one", RUN.format("one")), ("Two", "two", RUN.format("two")),
                                                 head='set default="${saved_entry}"\n'),
                      "boot/grub/grubenv": "# GRUB Environment Block\nsaved_entry=two\n".ljust(1024, "#")}, "xfs")
    with VM(*loader(disk + ",readonly=on")) as vm:
        vm.expect(r"\* +2  vda +Two\r?\n")
        vm.expect("\nfrom:two\r?\n")
        assert vm.wait() == 0


def test_an_archive_behind_one_of_odd_size(ext4, tmp_path):
    """Archives that are not compressed, as those of microcode and of settings, begin at multiples of four bytes."""
    disk = ext4("a", {"boot/grub/grub.cfg": grub(("One", "one", "console=ttyS0 quiet alioth.run=cat+/told")).replace(
        "initrd /boot/initrd", "initrd /boot/first /boot/second")})
    first, second, told = (tmp_path / n for n in ("first", "second", "told"))
    with open(data("initramfs"), "rb") as file:
        packed = gzip.compress(file.read(), 1, mtime=0)
    # Behind its end the kernel skips zeros.
    first.write_bytes(packed + bytes(1 if len(packed) % 4 == 0 else 0))
    told.write_text("from the second archive\n")
    with open(second, "wb") as file:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], check=True, cwd=tmp_path, input=b"told\n", stdout=file)
    for file in (first, second):
        subprocess.run(["/sbin/debugfs", "-w", "-R", f"write {file} /boot/{file.name}", disk], check=True, capture_output=True)
    with VM(*loader(disk)) as vm:
        vm.expect("\nfrom the second archive\r?\n")
        assert vm.wait() == 0


def test_the_menu_answers(ext4):
    disk = ext4("a", {"boot/grub/grub.cfg": grub(("One", "one", RUN.format("one")), ("Bad", "bad", "x")).replace("/boot/vmlinuz x", "/gone")})
    with VM(*loader(disk, timeout=600)) as vm:
        vm.expect("Entry 1 in")
        vm.send("7\n")
        vm.expect("A number of the list")
        vm.send("2\n")
        vm.expect("no disk has the files of this entry: /gone")
        vm.expect("Power off in")
        vm.send("s\n")
        vm.expect("# ")
        vm.send("echo she''ll; exit\n")
        vm.expect("shell")
        vm.expect("Entry 1 in")
        vm.send("1\n")
        vm.expect("\nfrom:one\r?\n")
        assert vm.wait() == 0


def test_loader_entries(ext4):
    entry = "title {0}\nversion {0}\nlinux /boot/vmlinuz\ninitrd /boot/initrd\noptions console=ttyS0 quiet\noptions alioth.run=echo+from:{0}\n"
    disk = ext4("a", {"loader/entries/x-6.9.conf": entry.format("6.9"), "loader/entries/x-6.10.conf": entry.format("6.10"),
                      "loader/loader.conf": "timeout 1\ndefault x-6.9.conf\n"})
    with VM(*loader(disk)) as vm:
        vm.expect(r" +1  vda +6.10\r?\n\* +2  vda +6.9\r?\n")
        vm.expect("\nfrom:6.9\r?\n")
        assert vm.wait() == 0


def test_a_default_that_is_not_there_is_told(ext4):
    disk = ext4("a", {"loader/entries/x.conf": "linux /boot/vmlinuz\n", "loader/loader.conf": "default y*\n",
                      "boot/grub/grub.cfg": grub(("One", "one", RUN.format("one")), head='set default="gone"\n')})
    with VM(*loader(disk)) as vm:
        vm.expect("vda: none of its entries is the default 'gone'\r?\n")
        vm.expect(r"vda: none of its entries is the default 'y\*'\r?\n")
        vm.expect("\nfrom:one\r?\n")
        assert vm.wait() == 0


def fat(path, sectors, files):
    """Makes a FAT file system, or fills a partition with one ("IMAGE@@OFFSET"): path in it to content."""
    mtools = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}
    create = [] if "@@" in path else ["-C"]
    subprocess.run(["mformat", "-i", path, *create, "-T", str(sectors), "-h", "64", "-s", "32", "::"], check=True, env=mtools)
    for folder in sorted({"/".join(parts[:n]) for parts in (name.split("/") for name in files) for n in range(1, len(parts))}):
        subprocess.run(["mmd", "-i", path, f"::/{folder}"], check=True, env=mtools)
    for name, content in files.items():
        subprocess.run(["mcopy", "-i", path, "-", f"::/{name}"], check=True, env=mtools, input=content)


def test_loader_conf_of_the_other_boot_partition(ext4, tmp_path):
    """As systemd-boot has it: loader.conf on the EFI system partition, entries on the one beside it."""
    entry = "title {0}\nversion {0}\nlinux /boot/vmlinuz\ninitrd /boot/initrd\noptions console=ttyS0 quiet\noptions alioth.run=echo+from:{0}\n"
    boot = ext4("boot", {"loader/entries/x-1.conf": entry.format("1"), "loader/entries/x-2.conf": entry.format("2")})
    disk = str(tmp_path / "disk")
    with open(disk, "wb") as file, open(boot, "rb") as content:
        file.truncate(44 << 20)
        file.seek(10 << 20)
        shutil.copyfileobj(content, file)
    subprocess.run(["/sbin/sfdisk", "-q", disk], check=True, text=True, input="label: gpt\nstart=1MiB, size=8MiB, type=uefi\nstart=10MiB, size=32MiB\n")
    fat(f"{disk}@@1M", 8 << 11, {"loader/loader.conf": b"default x-1.conf\n"})
    with VM(*loader(disk)) as vm:
        vm.expect("vda1: vfat without boot entries")
        vm.expect(r" +1  vda2 +2\r?\n\* +2  vda2 +1\r?\n")
        vm.expect("\nfrom:1\r?\n")
        assert vm.wait() == 0


def unified_image(**sections):
    """A unified kernel image without a stub: headers, then sections at multiples of 512 bytes."""
    at, headers, body = 1024, b"", b""
    for name, content in sections.items():
        padded = content.ljust(-(-len(content) // 512) * 512, b"\0")
        headers += f".{name}".encode().ljust(8, b"\0") + struct.pack("<IIII16x", len(content), 0, len(padded), at)
        at += len(padded)
        body += padded
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 0, 0)
    return (b"MZ".ljust(0x3c, b"\0") + struct.pack("<I", 64) + coff + headers).ljust(1024, b"\0") + body


def test_unified_kernel_images(tmp_path):
    disk = str(tmp_path / "esp")
    with open(data("debian12-cloud.bzImage"), "rb") as kernel, open(data("initramfs"), "rb") as initramfs:
        parts = {"linux": kernel.read(), "initrd": initramfs.read()}
    images = {f"EFI/Linux/os-{version}.efi": unified_image(osrel=f'NAME=x\nPRETTY_NAME="An OS {version}"\n'.encode(), uname=version.encode(),
                                                           cmdline=RUN.format(version).encode() + b"\n", **parts)
              for version in ("6.9", "6.10")}
    fat(disk, 131072, {**images, "EFI/Linux/broken.efi": b"MZ"})
    with VM(*loader(disk)) as vm:
        vm.expect("vda1?: /EFI/Linux/broken.efi is no unified kernel image")
        vm.expect(r"\* +1  vda1? +An OS 6.10\r?\n +2  vda1? +An OS 6.9\r?\n")
        vm.expect("\nfrom:6.10\r?\n")
        assert vm.wait() == 0
    with VM(*loader(disk, options="linuxboot.entry=os-6.9.efi")) as vm:
        vm.expect("\nfrom:6.9\r?\n")
        assert vm.wait() == 0


def test_disks_without_a_system_are_told(tmp_path):
    """Garbage where a partition table was, a file system without entries, an empty disk: a line for each, then the end."""
    damaged, plain, empty = (tmp_path / n for n in ("damaged", "plain", "empty"))
    damaged.write_bytes(bytes(446) + b"\xa5" * 64 + b"\x55\xaa" + b"EFI PART" + b"\xff" * 8184 + bytes(4 << 20))
    empty.write_bytes(bytes(1 << 20))
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", plain, "8M"], check=True)
    with VM(*loader(damaged, plain, empty)) as vm:
        vm.expect("vda.*: no (partition table|file system)")
        vm.expect("vdc: no partition table")
        vm.expect("vdb: ext4 without boot entries")
        vm.expect("LinuxBoot: no disk has a boot entry")
        vm.expect("Power off in 30 s")
        assert vm.wait() == 0
    with VM(*loader()) as vm:
        vm.expect("no disk\r?\n")
        vm.expect("Power off in 30 s")
        vm.send("p\n")
        assert vm.wait() == 0


def test_a_damaged_disk_does_not_stop_the_loader(ext4, tmp_path):
    """A second disk that wants a panic at errors, and has one: its root directory is garbage. It is not written to either."""
    first = ext4("a", {"boot/grub/grub.cfg": grub(("One", "one", RUN.format("one")))})
    second = tmp_path / "b"
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", second, "8M"], check=True)
    subprocess.run(["/sbin/tune2fs", "-e", "panic", second], check=True, stdout=subprocess.DEVNULL)
    listing = subprocess.run(["/sbin/debugfs", "-R", "blocks /", second], check=True, capture_output=True, text=True).stdout
    stats = subprocess.run(["/sbin/dumpe2fs", "-h", second], check=True, capture_output=True, text=True).stdout
    size = next(int(line.split()[-1]) for line in stats.splitlines() if line.startswith("Block size:"))
    with open(second, "r+b") as file:
        file.seek(int(listing.split()[0]) * size)
        file.write(b"\xa5" * size)
    before = second.read_bytes()
    with VM(*loader(first, second)) as vm:
        vm.expect("vdb: ext4 without boot entries")
        vm.expect("\nfrom:one\r?\n")
        assert vm.wait() == 0
    assert second.read_bytes() == before


def test_files_that_are_no_kernel_are_told(ext4):
    hostile = grub(("Text", "a", ""), ("Folder", "b", ""), ("Link", "c", ""))
    for name, path in (("a", "/boot/grub/grub.cfg"), ("b", "/boot"), ("c", "/../../init")):
        hostile = hostile.replace(f"--id {name} {{\n linux /boot/vmlinuz", f"--id {name} {{\n linux {path}")
    disk = ext4("a", {"boot/grub/grub.cfg": hostile})
    with VM(*loader(disk, timeout=600)) as vm:
        vm.expect("Entry 1 in")
        vm.send("1\n")
        vm.expect("cannot load /boot/grub/grub.cfg of vda: it is no kernel that this one can start")
        for number, path in ((2, "/boot"), (3, "/../../init")):
            vm.expect("Power off in")
            vm.send(f"{number}\n")
            vm.expect(f"no disk has the files of this entry: {path}")
        vm.expect("Power off in")
        vm.send("p\n")
        assert vm.wait() == 0
