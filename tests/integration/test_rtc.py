# SPDX-License-Identifier: Apache-2.0
"""The real-time clock under Linux's driver."""
import os
import time

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


def test_without_the_option_there_is_none(base):
    with VM("boot", *base, "--cmdline", QUIET + f"alioth.run=ls+{RTC}") as vm:
        vm.expect("No such file")
        assert vm.wait() == 0
