# SPDX-License-Identifier: Apache-2.0
"""Power, resets, signals, exit statuses."""
import base64
import signal
import subprocess
import time

import pytest

from conftest import data
from vm import VM

QUIET = "console=ttyS0 quiet "


def shell(vm):
    """Waits for the prompt of the guest's shell."""
    vm.expect("guest ready")
    vm.expect("# ")


@pytest.mark.parametrize("how", ["", "reboot=k", "reboot=a", "reboot=p"])
def test_every_way_to_reset_works(base, how):
    """Also the one that the kernel takes when it is told nothing: a jump to the BIOS."""
    with VM("boot", *base, "--no-reboot", "--cmdline", f"{QUIET}{how} alioth.run=reboot+-f;sleep+60") as vm:
        vm.expect("guest ready")
        assert vm.wait() == 6


def test_triple_fault_is_told_apart(base):
    with VM("-l", "info", "boot", *base, "--cmdline", QUIET + "reboot=t alioth.run=reboot+-f;sleep+60") as vm:
        vm.expect("guest ready")
        assert vm.wait() == 5


def test_guest_panic_is_told_apart(base):
    args = list(base)
    args[args.index("--initramfs") + 1] = data("initramfs-modules")
    with VM("boot", *args, "--pvpanic", "--cmdline",
            QUIET + "alioth.run=echo+c>/proc/sysrq-trigger;sleep+60") as vm:
        vm.expect("guest ready")
        assert vm.wait() == 4


def without_power_off(table):
    """A DSDT that names no state "off" and that Linux prefers, as its revision is later."""
    table = bytearray(table.replace(b"_S5_", b"XS5_"))
    table[24:28] = (int.from_bytes(table[24:28], "little") + 1).to_bytes(4, "little")
    table[9] = (table[9] - sum(table)) % 256
    return table


@pytest.mark.long
def test_power_off_by_pvpanic(tmp_path):
    """Linux 6.9 and later ask pvpanic where nothing else powers the machine off: here, ACPI does not know how."""
    def args(initramfs, script):
        return ["-l", "info", "boot", "--kernel", data("debian13-cloud.bzImage"), "--initramfs", initramfs, "--memory", "size=256M",
                "--pvpanic", "--cmdline", QUIET + "alioth.run=" + script]

    modules = data("initramfs-devices")
    with VM(*args(modules, "base64+/sys/firmware/acpi/tables/DSDT;echo+end:")) as vm:
        table = base64.b64decode(vm.expect(r"guest ready\s+([A-Za-z0-9/+=\s]+)end:").group(1))
        assert vm.wait() == 0
        assert "by pvpanic" not in vm.error_text()
    folder = tmp_path / "kernel/firmware/acpi"
    folder.mkdir(parents=True)
    (folder / "dsdt.aml").write_bytes(without_power_off(table))
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"kernel/firmware/acpi/dsdt.aml\n", cwd=tmp_path, check=True,
                             capture_output=True).stdout
    with open(modules, "rb") as f:
        (tmp_path / "initramfs").write_bytes(archive + f.read())
    with VM(*args(str(tmp_path / "initramfs"), "echo+the+last+word")) as vm:
        vm.expect("the last word")
        assert vm.wait() == 0
        assert "Power-off, by pvpanic" in vm.error_text()


def test_reboots_come_up_again(base):
    with VM("boot", *base, "--cpu", "count=4", "--cmdline", QUIET + "reboot=k") as vm:
        for _ in range(3):
            shell(vm)
            vm.send("nproc; reboot -f\n")
            vm.expect("\n4\r?\n")
        shell(vm)
        vm.send("poweroff -f\n")
        assert vm.wait() == 0


@pytest.mark.long
def test_hundred_reboots(base):
    """Every start of the guest prints its processors and resets the machine."""
    with VM("boot", *base, "--cpu", "count=4", "--cmdline",
            QUIET + "reboot=k alioth.run=echo+cpus:$(nproc);reboot+-f;sleep+60") as vm:
        for _ in range(101):
            vm.expect("cpus:4\r?\n")
        assert vm.process.poll() is None


def test_sigterm_presses_the_power_button_and_a_second_one_ends(base):
    with VM("boot", *base, "--cmdline", QUIET) as vm:
        shell(vm)
        vm.signal(signal.SIGTERM)
        time.sleep(1)
        assert vm.process.poll() is None  # this guest has no daemon that listens to the button
        vm.signal(signal.SIGTERM)
        assert vm.wait() == 7


def test_power_button_reaches_the_guest(base):
    with VM("boot", *base, "--cmdline", QUIET) as vm:
        shell(vm)
        vm.send("sleep 4; grep Ged /proc/interrupts; poweroff -f\n")
        time.sleep(1)
        vm.signal(signal.SIGTERM)
        vm.expect(r":\s+1\s+IO-APIC\s+9-fasteoi\s+ACPI:Ged")
        assert vm.wait() == 0


def test_power_button_times_out(base):
    with VM("boot", *base, "--power-button-timeout", "1", "--cmdline", QUIET) as vm:
        shell(vm)
        vm.signal(signal.SIGINT)
        assert vm.wait() == 7


def test_kill_leaves_nothing_waiting(base):
    with VM("boot", *base, "--cpu", "count=2", "--cmdline", QUIET) as vm:
        vm.expect("guest ready")
        vm.signal(signal.SIGKILL)
        assert vm.wait() == -signal.SIGKILL
