# SPDX-License-Identifier: Apache-2.0
"""The watchdog under Linux's i6300esb driver."""
import select
import signal
import time

import pytest

from conftest import data
from lib import LibVM
from test_devices import QUIET
from vm import VM, TIMEOUT, run

# Restarts it once in a minute: with a time-out of two seconds that is a guest that hangs.
HANG = "watchdog -T 2 -t 60 /dev/watchdog; sleep 60"
# The same, and says once a second that it runs.
TICK = "watchdog -T 2 -t 60 /dev/watchdog; while sleep 1; do echo tick; done"


def said(vm, seconds):
    """All that the console has after so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert vm._pump(deadline)
    return vm.output


def guest(options, script):
    return ["boot", "--kernel", data("debian13-cloud.bzImage"), "--initramfs", data("initramfs-devices"), "--memory", "size=256M",
            "--watchdog", *options, "--cmdline",
            QUIET + "alioth.run=" + f"cat /sys/class/watchdog/watchdog0/bootstatus; {script}".replace(" ", "+")]


def test_a_guest_that_hangs_is_reset_and_can_tell(tmp_path):
    with VM(*guest([], HANG)) as vm:
        vm.expect("guest ready\r?\n0\r?\n")
        vm.expect("guest ready\r?\n32\r?\n")  # WDIOF_CARDRESET
        assert "The guest's watchdog has expired" in vm.error_text()
        vm.process.kill()


@pytest.mark.parametrize("options,status", [(["--no-reboot"], 6), (["action=poweroff"], 9)])
def test_the_end_of_a_guest_that_hangs(options, status):
    with VM(*guest(options, HANG)) as vm:
        assert vm.wait() == status
        assert "The guest's watchdog has expired" in vm.error_text()


def test_without_an_action_the_guest_goes_on():
    with VM(*guest(["action=none"], "watchdog -T 2 -t 60 /dev/watchdog; sleep 8; echo goes on")) as vm:
        vm.expect("goes on")
        assert vm.wait() == 0
        assert vm.error_text().count("The guest's watchdog has expired") == 1


def test_a_pause_lasts_until_a_second_signal():
    with VM(*guest(["action=pause"], TICK)) as vm:
        vm.expect("tick")
        deadline = time.monotonic() + TIMEOUT
        while "The guest's watchdog has expired" not in vm.error_text():
            assert vm._pump(deadline) and time.monotonic() < deadline
        before = said(vm, 1)
        assert said(vm, 4) == before
        vm.signal(signal.SIGTERM)  # the button, which a guest that stands still does not see
        time.sleep(1)
        assert vm.process.poll() is None
        vm.signal(signal.SIGTERM)
        assert vm.wait() == 7


@pytest.mark.long
def test_a_pause_ends_when_the_library_says_so(tmp_path):
    arguments = guest(["action=pause"], TICK)
    options = {name[2:]: value for name, value in zip(arguments[1::2], arguments[2::2])}
    with LibVM(tmp_path / "console", options) as vm:
        vm.expect("tick")
        deadline = time.monotonic() + TIMEOUT
        while select.select([vm.console], [], [], 5)[0]:
            assert time.monotonic() < deadline, "it does not stop"
            assert vm.console.recv(4096)
        vm.resume()
        vm.expect("tick")
        vm.expect("tick")


def test_a_guest_that_pets_it_is_left_alone():
    with VM(*guest([], "watchdog -T 8 -t 1 /dev/watchdog; sleep 20; echo goes on")) as vm:
        vm.expect("goes on")
        assert vm.wait() == 0
        assert "expired" not in vm.error_text()


def test_a_bad_action_is_one_error():
    status, _, err = run("boot", "--kernel", data("debian13-cloud.bzImage"), "--watchdog", "action=explode")
    assert status == 2 and "explode" in err
