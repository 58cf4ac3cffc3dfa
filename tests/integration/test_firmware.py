# SPDX-License-Identifier: Apache-2.0
"""Debian's OVMF: disks through GRUB, kernels by fw_cfg, variables, resets, and files that are wrong."""
import os
import re
import shutil
import signal
import subprocess

import pytest
from conftest import data
from vm import VM, run

CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
BIOS = "/usr/share/seabios/bios-256k.bin"
STORE = "/sys/firmware/efi/efivars"
VARIABLE = f"{STORE}/AliothTest-3b8c8162-188c-46a4-aec9-be43f1d65697"


@pytest.fixture
def variables(tmp_path):
    path = tmp_path / "vars.fd"
    shutil.copy(VARS, path)
    return str(path)


# Lines of the debug port.
DEBUG = ("-l", "firmware=debug")


def uefi(variables, *args, code=CODE, memory="512M", log=()):
    return VM(*log, "boot", "--firmware", f"{code},vars={variables}", "--memory", f"size={memory}", *args)


def bios(*args):
    return VM(*DEBUG, "boot", "--firmware", BIOS, "--memory", "size=512M", *args)


def kernel(command, initramfs="initramfs-modules"):
    """Options of a kernel that OVMF starts, which runs a command."""
    return ["--kernel", data("debian12-cloud.bzImage"), "--initramfs", data(initramfs), "--cmdline",
            "console=ttyS0 quiet alioth.run=" + command.replace(" ", "+")]


def test_disk_through_grub_and_resets(variables):
    """The disk's init resets: by UEFI, as Linux does with firmware."""
    with uefi(variables, "--blk", f"path={data('efi.img')},readonly=on") as vm:
        for _ in range(3):
            vm.expect("GRUB boots the test")
            vm.expect("alioth guest ready")
            vm.expect("by UEFI")


def test_kernel_by_fw_cfg_and_power_off(variables):
    """fw_cfg offers ports and DMA (Linux reads items by the port). CMOS tells of 512 MiB and of a second processor, and what
    is written to the debug port is a line of the log; Debian's OVMF itself is no build that writes there."""
    with uefi(variables, "--cpu", "count=2", *kernel(
            "ls -d /sys/firmware/efi; nproc; cat /sys/firmware/qemu_fw_cfg/rev; ports cmos 0x34 0x35 0x5f 0x32;"
            "ports debug from.Linux", "initramfs-programs"), log=DEBUG) as vm:
        vm.expect("/sys/firmware/efi\r?\n2\r?\n3\r?\n 00 1f 01 20\r?\n e9\r?\n")
        assert vm.wait() == 0
        assert re.search(r"firmware.*from.Linux\n", vm.error_text()), vm.error_text()


# What the machine itself has in fw_cfg's directory.
ITEMS = {"etc/e820", "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader", "etc/smbios/smbios-anchor", "etc/smbios/smbios-tables",
         "etc/reserved-memory-end"}


def test_linux_reads_every_item_and_the_oem_strings(variables):
    """By the driver of fw_cfg: of each item as many bytes as its size says. SMBIOS's tables come by fw_cfg too, and are placed by OVMF."""
    with uefi(variables, "--fw-cfg", "name=opt/text,string=hello", "--oem-string", "one, two", "--credential", "name=a.b,value=plain text",
              *kernel("for i in /sys/firmware/qemu_fw_cfg/by_key/*;do echo item $(cat $i/name) $(cat $i/size) $(wc -c <$i/raw);done;"
                      "echo end of items;tr '\\000' '\\n' </sys/firmware/dmi/entries/11-0/raw")) as vm:
        vm.expect("end of items\r?\n")
        vm.expect("one, two\r?\nio.systemd.credential:a.b=plain text\r?\n")
        assert vm.wait() == 0
        items = {name: (int(size), int(count)) for name, size, count in re.findall(r"(?m)^item (\S+) (\d+) (\d+)$", vm.text())}
        assert set(items) == ITEMS | {"opt/text"}, vm.text()
        assert all(size == count > 0 for size, count in items.values()), items
        assert items["etc/e820"] == (20, 20) and items["opt/text"] == (5, 5), items


def test_a_panic_after_a_reset(variables, tmp_path):
    """Debug port and pvpanic are as they were; which start it is, is told by the disk."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(65536))
    with uefi(variables, "--pvpanic", "--blk", f"path={disk}", *kernel(
            "ports debug from.Linux;if grep -q second /dev/vda;then echo c>/proc/sysrq-trigger;sleep 60;fi;"
            "echo second>/dev/vda;sync;reboot -f", "initramfs-programs"), log=DEBUG) as vm:
        for _ in range(2):
            vm.expect("guest ready")
            vm.expect(" e9\r?\n")
        assert vm.wait() == 4
        assert len(re.findall(r"firmware.*from.Linux\n", vm.error_text())) == 2, vm.error_text()


def test_variables_persist(variables):
    mount = f"mount -t efivarfs none {STORE}; "
    with uefi(variables, *kernel(mount + f"printf '\\007\\000\\000\\000kept' >{VARIABLE}; echo written")) as vm:
        vm.expect("written")
        assert vm.wait() == 0
    with uefi(variables, *kernel(mount + f"tail -c 4 {VARIABLE}; rm -f {VARIABLE}")) as vm:
        vm.expect("kept")
        assert vm.wait() == 0


@pytest.mark.long
@pytest.mark.parametrize("gib", [3, 5])
def test_memory_above_4_gib(variables, gib):
    """Of more than 2 GiB the rest is above 4 GiB; what is missing is what Linux takes for itself."""
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < (gib << 30) + (1 << 29):
        pytest.skip("the host has too little memory")
    command = "head -n 1 /proc/meminfo; grep System.RAM /proc/iomem"
    with uefi(variables, "--blk", f"path={data('efi.img')},readonly=on", *kernel(command), memory=f"{gib}G") as vm:
        total = int(vm.expect(r"MemTotal: +(\d+) kB").group(1))
        assert (gib << 20) * 0.93 < total < gib << 20
        vm.expect(rf"100000000-{(gib + 2 << 30) - 1:x} : System RAM")
        assert vm.wait() == 0


@pytest.mark.long
def test_ovmf_of_debian_13(tmp_path):
    """Variables of its own, GRUB on a disk and Linux behind it, resets, and a kernel with two processors."""
    variables = str(tmp_path / "vars.fd")
    shutil.copy(data("ovmf-debian13/OVMF_VARS_4M.fd"), variables)
    code = data("ovmf-debian13/OVMF_CODE_4M.fd")
    with uefi(variables, "--blk", f"path={data('efi.img')},readonly=on", code=code) as vm:
        for _ in range(2):
            vm.expect("GRUB boots the test")
            vm.expect("by UEFI")
    mount = f"mount -t efivarfs none {STORE}; "
    with uefi(variables, "--cpu", "count=2", *kernel(mount + f"nproc; printf '\\007\\000\\000\\000kept' >{VARIABLE}"), code=code) as vm:
        vm.expect("\n2\r?\n")
        assert vm.wait() == 0
    with uefi(variables, *kernel(mount + f"tail -c 4 {VARIABLE}"), code=code) as vm:
        vm.expect("kept")
        assert vm.wait() == 0


@pytest.mark.long
def test_ovmf_of_2_mib(tmp_path):
    """The older size, with variables and in one file, whose variables are gone with the machine."""
    variables = str(tmp_path / "vars.fd")
    shutil.copy("/usr/share/OVMF/OVMF_VARS.fd", variables)
    code = "/usr/share/OVMF/OVMF_CODE.fd"
    mount = f"mount -t efivarfs none {STORE}; "
    with uefi(variables, *kernel(mount + f"printf '\\007\\000\\000\\000kept' >{VARIABLE}; echo written"), code=code) as vm:
        vm.expect("written")
        assert vm.wait() == 0
    with uefi(variables, *kernel(mount + f"tail -c 4 {VARIABLE}"), code=code) as vm:
        vm.expect("kept")
        assert vm.wait() == 0
    with VM("boot", "--firmware", "/usr/share/ovmf/OVMF.fd", "--memory", "size=512M", "--blk", f"path={data('efi.img')},readonly=on") as vm:
        for _ in range(2):
            vm.expect("GRUB boots the test")
            vm.expect("by UEFI")


@pytest.mark.parametrize("cpus", [1, pytest.param(2, marks=pytest.mark.long)])
def test_bios_boots_a_disk(cpus):
    """GRUB by the first sector, Linux, and a reset by ACPI."""
    with bios("--blk", f"path={data('efi.img')},readonly=on", "--cpu", f"count={cpus}") as vm:
        for _ in range(2):
            vm.expect("Booting from Hard Disk")
            vm.expect("GRUB boots the test")
            vm.expect("alioth guest ready")
        assert b"by UEFI" not in vm.output
        assert vm.error_text().count("SeaBIOS (version") >= 2, vm.error_text()  # on the debug port


def ends_by_force(vm):
    """A boot loader does not look at the power button: the time after it ends the machine."""
    vm.signal(signal.SIGTERM)
    assert vm.wait(60) == 7


def test_disks_that_do_not_boot(tmp_path, variables):
    """Without a boot loader and with a damaged partition table: the firmware says so, and can be ended."""
    empty, damaged = tmp_path / "empty", tmp_path / "damaged"
    empty.write_bytes(bytes(1 << 20))
    damaged.write_bytes(bytes(446) + b"\xa5" * 64 + b"\x55\xaa" + b"EFI PART" + b"\xff" * 8184 + bytes(1 << 20))
    disks = ["--blk", f"path={empty}", "--blk", f"path={damaged}", "--power-button-timeout", "1"]
    with bios(*disks) as vm:
        vm.expect("No bootable device")
        ends_by_force(vm)
    with uefi(variables, *disks) as vm:
        vm.expect("BdsDxe: failed to (load|start) Boot")
        vm.expect("Shell>")
        ends_by_force(vm)
    with uefi(variables, "--console", "null") as vm:  # the file is free again, and as it should be
        assert vm.process.poll() is None


@pytest.mark.long
def test_sigterm_in_grub(tmp_path, variables):
    disk = str(tmp_path / "disk.img")
    shutil.copy(data("efi.img"), disk)
    with open(tmp_path / "grub.cfg", "w", encoding="ascii") as f:
        f.write('set timeout=-1\nmenuentry "waits" {\n\techo started\n}\n')
    subprocess.run(["mcopy", "-o", "-i", disk + "@@1M", tmp_path / "grub.cfg", "::/EFI/debian/grub.cfg"], check=True,
                   env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
    options = ["--blk", f"path={disk}", "--power-button-timeout", "1"]
    for machine in (lambda: uefi(variables, *options), lambda: bios(*options)):
        with machine() as vm:
            vm.expect("waits")
            ends_by_force(vm)


@pytest.mark.long
def test_firmware_that_needs_another_machine_is_told(tmp_path):
    """A build for Secure Boot waits for ever where there is no system management mode, and says nothing itself."""
    variables = str(tmp_path / "vars.fd")
    shutil.copy("/usr/share/OVMF/OVMF_VARS_4M.ms.fd", variables)
    with uefi(variables, "--power-button-timeout", "1", code="/usr/share/OVMF/OVMF_CODE_4M.secboot.fd") as vm:
        vm.expect_error("secboot.fd\" has written nothing to the serial port for 20 s")
        assert not vm.output
        ends_by_force(vm)


@pytest.mark.long
def test_an_efi_program_instead_of_a_kernel(variables, tmp_path):
    """GRUB, which finds nothing of its own then."""
    program = tmp_path / "grub.efi"
    subprocess.run(["mcopy", "-i", data("efi.img") + "@@1M", "::/EFI/BOOT/BOOTX64.EFI", program], check=True,
                   env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
    with uefi(variables, "--kernel", str(program)) as vm:
        vm.expect("grub> ")
        vm.send("halt\r")
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
    def fails(text, firmware, *args):
        status, _, err = run("boot", "--firmware", firmware, "--console", "null", *args)
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
    shutil.copy(CODE, tmp_path / "code.fd")
    fails("are image and variables swapped?", f"{VARS},vars={tmp_path}/code.fd")
    (tmp_path / "zeros.fd").write_bytes(bytes(16 << 20))
    fails("no code at the reset vector", f"{tmp_path}/zeros.fd")
    (tmp_path / "empty").touch()
    fails("It is empty", f"{CODE},vars={variables}", "--kernel", f"{tmp_path}/empty")
    fails("neither a bzImage nor an EFI program", CODE, "--kernel", data("debian12-cloud.vmlinux"))
    fails("is a directory", CODE, "--kernel", data("debian12-cloud.bzImage"), "--initramfs", str(tmp_path))
    with uefi(variables, "--console", "null"):
        fails("in use by another virtual machine", f"{CODE},vars={variables}")
