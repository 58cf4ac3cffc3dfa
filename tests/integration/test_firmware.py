# SPDX-License-Identifier: Apache-2.0
"""Debian's OVMF: disks through GRUB, kernels by fw_cfg, variables, resets, and files that are wrong."""
import shutil

import pytest
from conftest import data
from vm import VM, run

CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
STORE = "/sys/firmware/efi/efivars"
VARIABLE = f"{STORE}/AliothTest-3b8c8162-188c-46a4-aec9-be43f1d65697"


@pytest.fixture
def variables(tmp_path):
    path = tmp_path / "vars.fd"
    shutil.copy(VARS, path)
    return str(path)


def uefi(variables, *args):
    return VM("boot", "--firmware", f"{CODE},vars={variables}", "--memory", "size=512M", *args)


def kernel(command):
    """Options of a kernel that OVMF starts, which runs a command."""
    return ["--kernel", data("debian12-cloud.bzImage"), "--initramfs", data("initramfs-modules"), "--cmdline",
            "console=ttyS0 quiet alioth.run=" + command.replace(" ", "+")]


def test_disk_through_grub_and_resets(variables):
    """The disk's init resets: by UEFI, as Linux does with firmware."""
    with uefi(variables, "--blk", f"path={data('efi.img')},readonly=on") as vm:
        for _ in range(3):
            vm.expect("GRUB boots the test")
            vm.expect("alioth guest ready")
            vm.expect("by UEFI")


def test_kernel_by_fw_cfg_and_power_off(variables):
    with uefi(variables, "--cpu", "count=2", *kernel("ls -d /sys/firmware/efi; nproc; date +%s")) as vm:
        vm.expect("/sys/firmware/efi\r?\n2\r?\n")
        assert vm.wait() == 0


def test_variables_persist(variables):
    mount = f"mount -t efivarfs none {STORE}; "
    with uefi(variables, *kernel(mount + f"printf '\\007\\000\\000\\000kept' >{VARIABLE}; echo written")) as vm:
        vm.expect("written")
        assert vm.wait() == 0
    with uefi(variables, *kernel(mount + f"tail -c 4 {VARIABLE}; rm -f {VARIABLE}")) as vm:
        vm.expect("kept")
        assert vm.wait() == 0


@pytest.mark.long
def test_without_a_system_there_is_the_shell(variables):
    with uefi(variables) as vm:
        vm.expect("UEFI Interactive Shell")
        vm.expect("Shell>")
        vm.send("reset -s\r")
        assert vm.wait() == 0


@pytest.mark.long
def test_without_variables():
    with VM("boot", "--firmware", CODE, "--memory", "size=512M", *kernel("echo started")) as vm:
        vm.expect("started")
        assert vm.wait() == 0


def test_bad_files(variables, tmp_path):
    def fails(text, firmware):
        status, _, err = run("boot", "--firmware", firmware, "--console", "null")
        assert status == 1 and text in err, (status, err)

    odd = tmp_path / "odd.fd"
    odd.write_bytes(bytes(5000))
    fails("No such file", f"{tmp_path}/none")
    fails("is a directory", str(tmp_path))
    fails("Cannot write the firmware's variables", f"{CODE},vars={tmp_path}")
    fails("not a multiple of 4 KiB", str(odd))
    fails("not a multiple of 4 KiB", f"{CODE},vars={odd}")
    shutil.copy("/usr/share/OVMF/OVMF_VARS.fd", tmp_path / "2m.fd")
    fails("are not those of this firmware", f"{CODE},vars={tmp_path}/2m.fd")
    with uefi(variables, "--console", "null"):
        fails("in use by another virtual machine", f"{CODE},vars={variables}")
