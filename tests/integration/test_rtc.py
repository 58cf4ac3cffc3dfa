# SPDX-License-Identifier: Apache-2.0
"""The real-time clock under Linux's driver."""
import os
import time

from conftest import data
from vm import VM

BUILD = os.environ.get("ALIOTH_BUILD", "build/dev")

QUIET = "console=ttyS0 quiet "
RTC = "/sys/class/rtc/rtc0"


def test_time_alarm_and_setting(base):
    with VM("boot", *base, "--rtc", "--cmdline", QUIET + f"alioth.run=cat+{RTC}/name;echo+is+$(cat+{RTC}/since_epoch);"
            f"echo+$(($(cat+{RTC}/since_epoch)-(0-2)))>{RTC}/wakealarm;sleep+5;"
            "grep+rtc0+/proc/interrupts;date+-u+-s+2031-02-03;hwclock+-u+-w;hwclock+-u+-r") as vm:
        vm.expect("rtc_cmos")
        told = int(vm.expect(r"is (\d+)\s").group(1))
        # The console may be late, the clock may not.
        assert abs(told - time.time()) < 60
        vm.expect(r": +[1-9]\d* .*rtc0")
        vm.expect("Mon Feb  3 00:00:.. UTC 2031")
        vm.expect("Mon Feb  3 00:00:.. 2031")
        assert vm.wait() == 0


def test_it_agrees_with_the_clock_that_kvm_gives():
    """To its second: both are read by one program, right after each other."""
    with VM("boot", "--kernel", f"{BUILD}/tests/guest/clock.elf", "--rtc", "-c", "rtc") as vm:
        vm.expect(r"real-time clock \d+ s")
        vm.expect("PASS")
        assert vm.wait() == 0


def test_an_alarm_after_a_reboot(base):
    with VM("boot", *base, "--rtc", "--cmdline", QUIET + "reboot=k") as vm:
        for end in ("reboot -f", "poweroff -f"):
            vm.expect("guest ready")
            vm.expect("# ")
            vm.send(f"echo $(($(cat {RTC}/since_epoch)+2)) >{RTC}/wakealarm; sleep 5; grep rtc0 /proc/interrupts; {end}\n")
            vm.expect(r": +[1-9]\d* .*rtc0")
        assert vm.wait() == 0


def test_registers_of_memory_and_the_century(base):
    """As old systems read them: KiB below 640 KiB, above 1 MiB (twice), 64 KiB above 16 MiB and above 4 GiB, further processors."""
    args = list(base)
    args[args.index("--initramfs") + 1] = data("initramfs-programs")
    with VM("boot", *args, "--cpu", "count=2", "--rtc", "--cmdline", QUIET + "alioth.run="
            "ports+cmos+0x15+0x16+0x17+0x18+0x30+0x31;ports+cmos+0x34+0x35+0x5b+0x5c+0x5d+0x5f;ports+cmos+0x32;"
            "date+-u+-s+2105-02-03;hwclock+-u+-w;ports+cmos+0x32+0x09;hwclock+-u+-r") as vm:
        vm.expect("80 02 ff ff ff ff\r?\n 00 0f 00 00 00 01\r?\n 20\r?\n")
        vm.expect(" 21 05\r?\n")
        vm.expect("Feb  3 00:00:.. 2105")
        assert vm.wait() == 0


def test_without_the_option_there_is_none(base):
    with VM("boot", *base, "--cmdline", QUIET + f"alioth.run=ls+{RTC}") as vm:
        vm.expect("No such file")
        assert vm.wait() == 0
