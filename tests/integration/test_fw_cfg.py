# SPDX-License-Identifier: Apache-2.0
"""What the guest is told by name: fw_cfg items under Linux's driver, OEM strings and credentials of SMBIOS."""
import hashlib
import os

from conftest import data
from vm import VM, run

QUIET = "console=ttyS0 quiet "
ITEMS = "/sys/firmware/qemu_fw_cfg/by_name"


def modules(base):
    args = list(base)
    args[args.index("--initramfs") + 1] = data("initramfs-modules")
    return args


def test_linux_reads_every_item(base, tmp_path):
    # Linux reads a byte at a time, and each page from the item's start: not a large file.
    content = os.urandom(9000)
    (tmp_path / "content").write_bytes(content)
    name = "opt/" + "n" * 51
    with VM("boot", *modules(base), "--fw-cfg", "name=opt/org.example/text,string=hello there",
            "--fw-cfg", f"name=opt/file,file={tmp_path}/content", "--fw-cfg", f"name={name},string=long",
            "--cmdline", QUIET + f"alioth.run=cd+{ITEMS};cat+opt/org.example/text/raw+{name}/raw;"
            "md5sum+opt/file/raw;cat+opt/file/size;hexdump+-C+etc/e820/raw;"
            "find+/sys/firmware/qemu_fw_cfg/by_key+-name+raw|xargs+cat|wc+-c;cat+../rev") as vm:
        vm.expect("hello therelong")
        vm.expect(hashlib.md5(content, usedforsecurity=False).hexdigest())
        vm.expect("\n9000\r?\n")
        # 256 MiB from 0, and nothing else.
        vm.expect("00000000  00 00 00 00 00 00 00 00  00 00 00 10 00 00 00 00")
        vm.expect(f"\n{9000 + 20 + 11 + 4}\r?\n3\r?\n")
        assert vm.wait() == 0


def test_items_survive_a_reboot_once(base):
    with VM("boot", *modules(base), "--fw-cfg", "name=opt/a,string=still", "--cmdline",
            QUIET + f"panic=-1 alioth.run=cat+{ITEMS}/opt/a/raw;ls+-1+{ITEMS}+{ITEMS}/opt;reboot+-f") as vm:
        for _ in range(3):
            vm.expect("still")
            vm.expect("etc\r?\nopt\r?\n")
            vm.expect("\na\r?\n")


def test_without_items_there_is_no_device(base):
    with VM("boot", *modules(base), "--cmdline", QUIET + f"alioth.run=ls+{ITEMS}") as vm:
        vm.expect("No such file")
        assert vm.wait() == 0


def test_oem_strings_and_credentials(base, tmp_path):
    (tmp_path / "key").write_bytes(b"line\n\0")
    with VM("boot", *base, "--oem-string", "one, two", "--credential", "name=a.b,value=plain text",
            "--credential", f"name=bin,file={tmp_path}/key", "--cmdline",
            QUIET + "alioth.run=tr+'\\000'+'\\n'+</sys/firmware/dmi/entries/11-0/raw") as vm:
        vm.expect("one, two\r?\nio.systemd.credential:a.b=plain text\r?\nio.systemd.credential.binary:bin=bGluZQoA\r?\n")
        assert vm.wait() == 0


def test_bad_items(base, tmp_path):
    def fails(status, text, *args):
        ended, _, err = run("boot", *base, *args)
        assert ended == status and text in err, (ended, err)

    fails(2, "has 60 bytes; 1 to 55 are possible", "--fw-cfg", "name=opt/" + "n" * 56 + ",string=x")
    fails(2, "give one of file and string", "--fw-cfg", "name=opt/a")
    fails(1, "No such file", "--fw-cfg", f"name=opt/a,file={tmp_path}/none")
    fails(1, "is a directory", "--fw-cfg", f"name=opt/a,file={tmp_path}")
    fails(2, "two items have name=opt/a", "--fw-cfg", "name=opt/a,string=1", "--fw-cfg", "name=opt/a,string=2")
    fails(1, "one of that name already", "--fw-cfg", "name=etc/e820,string=1")
    fails(1, "No such file", "--credential", f"name=a,file={tmp_path}/none")
    (tmp_path / "large").write_bytes(bytes(100000))
    fails(1, "do not fit", "--credential", f"name=a,file={tmp_path}/large")
    (tmp_path / "huge").write_bytes(bytes(2 << 20))
    fails(1, "at most 1 MiB", "--credential", f"name=a,file={tmp_path}/huge")
