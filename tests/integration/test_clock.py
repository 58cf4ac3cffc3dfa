# SPDX-License-Identifier: Apache-2.0
"""What time it is in a guest."""
import os
import re
import signal
import time

import pytest

from conftest import data, in_lab
from vm import VM

BUILD = os.environ.get("ALIOTH_BUILD", "build/dev")
CMDLINE = "console=ttyS0 quiet "


# The monotonic clock, and the scheduler's, which is kvm-clock from the start.
CLOCKS = "head -n 3 /sys/kernel/debug/sched/debug"


def shell(vm):
    vm.expect("guest ready")
    vm.expect("# ")
    vm.send("mount -t debugfs none /sys/kernel/debug; echo moun''ted\n")
    vm.expect("mounted\r?\n")


def lost_ticks(text):
    """Seconds that Linux did not count, from what CLOCKS prints. Until it has chosen its clock source, in the first seconds, it counts ticks
    under any monitor: there are none before its processor's timer runs, and those are lost that come while interrupts are off."""
    ktime, scheduler = re.search(r"ktime +: ([\d.]+)\s+sched_clk +: ([\d.]+)", text).groups()
    return (float(scheduler) - float(ktime)) / 1000


def guest_time(vm, readings=10):
    """The guest's wall clock with the ticks that it lost, the host's right before and after it was read, and the lost ticks: the closest of
    some readings."""
    best = None
    for _ in range(readings):
        before = time.time()
        vm.send(f"{CLOCKS}; adjtimex | grep -E 'time.tv_(sec|usec)'; echo read''\n")
        match = vm.expect(r"(ktime.*\s+sched_clk.*)\s(?:.|\n)*?tv_sec: +(\d+)\s+-?time.tv_usec: +(\d+)(?:.|\n)*?read\r?\n")
        after = time.time()
        lost = lost_ticks(match.group(1).decode())
        guest = int(match.group(2)) + int(match.group(3)) / 1e6 + lost
        if best is None or after - before < best[2] - best[0]:
            best = (before, guest, after, lost)
    return best


def offset_of(times):
    """How far the guest is ahead of the host, in seconds: at least, at most."""
    before, guest, after, _ = times
    return guest - after, guest - before


def assert_right(times):
    """Right to 100 ms. What Linux itself loses is seconds in the lab, whose processor is emulated."""
    least, most = offset_of(times)
    assert most >= -0.1 and least <= 0.1, times
    assert times[3] <= 0.1 or in_lab(), times


def test_the_clock_that_kvm_gives_is_right():
    """Read by a program that needs nothing else."""
    with VM("boot", "--kernel", f"{BUILD}/tests/guest/clock.elf") as vm:
        before = time.time()
        match = vm.expect(r"wall clock (\d+) s (\d+) ms\r?\n")
        after = time.time()
        guest = int(match.group(1)) + int(match.group(2)) / 1000
        assert before - 0.1 <= guest <= after + 0.1
        vm.expect("PASS")
        assert vm.wait() == 0


@pytest.mark.parametrize("busy", ["", " busy"])
def test_a_guest_is_told_that_its_monitor_was_stopped(busy):
    """Wherever the stop finds its processor: in the guest, or, with a busy monitor, mostly there."""
    with VM("boot", "--kernel", f"{BUILD}/tests/guest/clock.elf", "-c", "stopped=100" + busy) as vm:
        with pytest.raises(AssertionError):
            vm.expect("told", timeout=2)
        for _ in range(5):
            vm.signal(signal.SIGSTOP)
            time.sleep(2)
            vm.signal(signal.SIGCONT)
            vm.expect("told")
            # It may be told by its thread and by the monitor.
            with pytest.raises(AssertionError):
                vm.expect("FAIL", timeout=1)
            vm.seen = len(vm.output)


@pytest.mark.parametrize("kernel", ["debian12-cloud", "debian13-generic"])
def test_wall_clock_is_right_at_boot(base, kernel):
    base[base.index("--kernel") + 1] = data(f"{kernel}.bzImage")
    with VM("boot", *base, "--cmdline", CMDLINE) as vm:
        shell(vm)
        assert_right(guest_time(vm))
        vm.send("cat /sys/devices/system/clocksource/clocksource0/current_clocksource; poweroff -f\n")
        vm.expect("\n(kvm-clock|tsc)\r?\n")
        assert vm.wait() == 0


def test_wall_clock_is_right_after_a_reboot(base):
    with VM("boot", *base, "--cmdline", CMDLINE + "reboot=k") as vm:
        shell(vm)
        vm.send("reboot -f\n")
        shell(vm)
        assert_right(guest_time(vm))


@pytest.mark.parametrize("cpus,rounds", [(1, 1), pytest.param(2, 3, marks=pytest.mark.long)])
def test_a_stopped_monitor_leaves_a_sane_clock(base, cpus, rounds):
    """After SIGSTOP and SIGCONT the guest's clock is as right as before, and no processor takes itself for locked up."""
    with VM("boot", *base, "--cpu", f"count={cpus}", "--cmdline", CMDLINE) as vm:
        shell(vm)
        # A processor that does not schedule for twice this time is locked up.
        vm.send("echo 4 >/proc/sys/kernel/watchdog_thresh && dmesg -c >/dev/null && echo thresh''old\n")
        vm.expect("threshold")
        # Busy, as one that wakes from idling has nothing to complain of.
        vm.send(f"for i in $(seq {cpus}); do while :; do :; done & done\n")
        least, most = offset_of(guest_time(vm, 3))
        for _ in range(rounds):
            vm.signal(signal.SIGSTOP)
            time.sleep(12)
            vm.signal(signal.SIGCONT)
            time.sleep(2)
            least_now, most_now = offset_of(guest_time(vm, 3))
            assert least_now - 0.1 <= most and most_now + 0.1 >= least, (least, most, least_now, most_now)
        vm.send("echo be''gin; dmesg | grep -iE 'soft lockup|stall|unstable|blocked for'; echo e''nd\n")
        complaints = vm.expect(r"begin\r?\n((?:.|\n)*?)end\r?\n").group(1)
        assert complaints == b"", complaints
        vm.send("poweroff -f\n")
        assert vm.wait() == 0
