# SPDX-License-Identifier: Apache-2.0
"""Boots the bare-metal programs of tests/guest, one feature each. They print PASS and power off."""
import contextlib
import itertools
import json
import os
import select
import signal
import socket
import threading

import pytest

import smaps
import test_net
import vm
from test_net import vhost  # noqa: F401
from test_virtio_console import connect

BUILD = os.environ.get("ALIOTH_BUILD", "build/dev")


def program(name):
    return f"{BUILD}/tests/guest/{name}.elf"


@contextlib.contextmanager
def cable():
    """Both ends of a network cable: one is a card's (fd=), one the test's."""
    guest, host = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with guest, host:
        yield guest, host


ASK, ANSWER = b"\x88\xb5", b"\x88\xb6"
# A network's end that is no friend either: parts of headers, and more than a packet may be.
NONSENSE = [bytes(n) for n in (1, 5, 11, 12, 13, 25, 60000, 66000)]


def answer(link, header, nonsense, stop):
    """Answers questions of hostile_net.c, which come behind `header` bytes, and takes everything else away."""
    for count in itertools.count():
        while not select.select([link], [], [], 0.2)[0]:
            if stop.is_set():
                return
        with contextlib.suppress(OSError):  # an end that does not take what it gets, or is gone
            frame = link.recv(1 << 17)[header:]
            if frame[12:14] == ASK:
                if nonsense:
                    link.send(nonsense[count % len(nonsense)], socket.MSG_DONTWAIT)
                link.send(bytes(header) + frame[6:12] + frame[:6] + ANSWER + frame[14:], socket.MSG_DONTWAIT)


@contextlib.contextmanager
def answering(link, header=0, nonsense=()):
    stop = threading.Event()
    thread = threading.Thread(target=answer, args=(link, header, nonsense, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def expect_pass_and_little_memory(machine, timeout):
    """The end of a program that was told to stay: what it did has not made the monitor grow. Alone it has less than 1 MiB."""
    machine.expect("PASS", timeout=timeout)
    private = smaps.private_kib(machine.process.pid, 1024)
    print(f"private memory besides the guest's: {private} KiB")
    assert private < 2048 or smaps.is_sanitized(machine.process.pid)
    machine.send("x")
    assert machine.wait() == 0


@pytest.mark.parametrize("entry", ["--kernel", "--pvh"])
@pytest.mark.parametrize("name", ["hello", "cpuid", "exceptions", "timer", "pci_scan"])
def test_program(name, entry):
    status, out, err = vm.run("boot", entry, program(name))
    assert "PASS" in out, out + err
    assert status == 0


@pytest.mark.parametrize("what", ["ports", "memory"])
def test_accesses_where_nothing_is(what):
    status, out, err = vm.run("boot", "--kernel", program("sweep"), "-c", what, timeout=vm.TIMEOUT)
    assert "PASS" in out, out + err
    assert status == 0


@pytest.mark.parametrize("name,cpus", [("hostile_cpu", 1), ("hostile_ioapic", 1), ("hostile_ports", 1), ("hostile_virtio", 2)])
def test_what_a_hostile_guest_does_harms_only_itself(name, cpus, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"\x5a" * 65536)
    status, out, err = vm.run("boot", "--kernel", program(name), "-c", f"cpus={cpus}", "--cpu", f"count={cpus}", "--entropy",
                              "--pvpanic", "--blk", f"path={disk}", timeout=vm.TIMEOUT)
    assert "PASS" in out, out + err
    assert status == 0
    assert disk.read_bytes() == b"\x5a" * 65536


def test_configuration_space_of_every_device_under_hostile_writes(tmp_path):
    disk, pmem, lines = (tmp_path / name for name in ("disk", "pmem", "lines"))
    disk.write_bytes(b"\x5a" * 65536)
    pmem.write_bytes(b"\x5a" * (2 << 20))
    with cable() as (guest, _):
        status, out, err = vm.run("boot", "--kernel", program("hostile_pci"), "--entropy", "--pvpanic",
                                  # Its registers are in configuration space: it is started, and locked.
                                  "--watchdog", "action=none", "--balloon",
                                  "size=1M,free_page_reporting=on", "--blk", f"path={disk}", "--pmem", f"path={pmem}",
                                  "--console", "stdio", "--console", f"log,path={lines},name=lines", "--net",
                                  f"fd={guest.fileno()}", timeout=2 * vm.TIMEOUT, pass_fds=(guest.fileno(),))
    assert "PASS" in out, out + err
    assert status == 0
    assert out.count(": done\r\n") == 9, out  # the host bridge, and what is above
    assert disk.read_bytes() == b"\x5a" * 65536
    # Its BAR was, for a while, where the program writes a few zeroes: those it finds.
    assert pmem.read_bytes().replace(b"\0", b"") in [b"\x5a" * ((2 << 20) - n) for n in range(17)]


@pytest.mark.parametrize("requests", [300, pytest.param(70000, marks=pytest.mark.long)])
def test_a_hostile_driver_of_packed_queues_harms_only_itself(requests, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"\x5a" * 65536)
    status, out, err = vm.run("boot", "--kernel", program("hostile_packed"), "-c", f"cpus=2 requests={requests}", "--entropy",
                              "--blk", f"path={disk}", "--cpu", "count=2", timeout=vm.TIMEOUT + requests / 100)
    assert "PASS" in out, out + err
    assert status == 0
    assert disk.read_bytes() == b"\x5a" * 65536


@pytest.mark.parametrize("requests", [300, pytest.param(10000, marks=pytest.mark.long)])
def test_a_hostile_driver_of_the_balloon_harms_only_itself(requests):
    with vm.VM("boot", "--kernel", program("hostile_balloon"), "-c", f"requests={requests} stay", "--balloon",
               "free_page_reporting=on") as machine:
        expect_pass_and_little_memory(machine, 2 * vm.TIMEOUT + requests / 10)


@pytest.mark.parametrize("requests", [300, pytest.param(10000, marks=pytest.mark.long)])
def test_a_hostile_driver_of_the_console_harms_only_itself(requests, tmp_path):
    """One of its ports ends at a client that never reads, and the last one in a file: every line is there, and once."""
    lines = tmp_path / "lines"
    slow = tmp_path / "slow"
    with vm.VM("boot", "--kernel", program("hostile_console"), "-c", f"requests={requests} stay", "--console", "stdio",
               "--console", "null,device=virtio", "--console", f"socket,path={slow},name=slow", "--console", "null,name=other", "--console",
               f"log,path={lines},name=last") as machine, connect(str(slow)):
        machine.expect("storm: done", timeout=2 * vm.TIMEOUT + requests / 10)
        following = int(machine.expect(r"next: line (\d+)\r?\n", timeout=vm.TIMEOUT).group(1))
        expect_pass_and_little_memory(machine, vm.TIMEOUT)
    assert lines.read_text().splitlines() == [f"line {i:06}" for i in range(following)]


@pytest.mark.parametrize("rounds", [60, pytest.param(1000, marks=pytest.mark.long)])
def test_drivers_of_all_devices_come_and_go(rounds, tmp_path):
    """Unbound, left behind by kexec, left behind by a crash: the device works for the next one, and leaves the memory alone."""
    disk = tmp_path / "disk"
    disk.write_bytes(b"\xa5" * 65536)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        status, out, err = vm.run("boot", "--kernel", program("drivers_rounds"), "-c", f"rounds={rounds}", "--entropy", "--blk",
                                  f"path={disk}", "--net", f"fd={theirs.fileno()}", "--console", "stdio", "--console",
                                  "null,device=virtio", "--console", "null,name=port", "--balloon", "size=4M", "--pmem",
                                  f"path={tmp_path}/pmem,size=4M", pass_fds=(theirs.fileno(),), timeout=vm.TIMEOUT + rounds)
    assert out.count(f": {rounds} drivers") == 6 and "PASS" in out, out + err
    assert status == 0
    assert disk.read_bytes() == b"\xa5" * 65536


def hostile_net(requests, net, *options, words="", **kwargs):
    with vm.VM("boot", "--kernel", program("hostile_net"), "-c", f"cpus=2 requests={requests} stay {words}", "--cpu", "count=2",
               "--net", f"{net},mac=52:54:00:12:34:56", *options, **kwargs) as machine:
        expect_pass_and_little_memory(machine, 2 * vm.TIMEOUT + requests / 10)


@pytest.mark.parametrize("requests", [300, pytest.param(10000, marks=pytest.mark.long)])
def test_a_hostile_driver_of_a_network_card_on_a_socket_harms_only_itself(requests):
    with cable() as (guest, host), answering(host, 12, NONSENSE):
        hostile_net(requests, f"fd={guest.fileno()}", pass_fds=(guest.fileno(),))


@test_net.pytestmark
@pytest.mark.parametrize("requests", [300, pytest.param(10000, marks=pytest.mark.long)])
def test_a_hostile_driver_of_a_network_card_on_a_tap_harms_only_itself(requests, vhost):  # noqa: F811
    with test_net.tap() as name, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as link:
        link.bind((name, 0))
        with answering(link):
            hostile_net(requests, f"if={name}{vhost}", words="vhost" if "on" in vhost else "")


@pytest.mark.parametrize("requests", [300, pytest.param(10000, marks=pytest.mark.long)])
def test_a_hostile_driver_of_persistent_memory_harms_only_itself(requests, tmp_path):
    path = tmp_path / "pmem"
    path.write_bytes(b"\x5a" * (2 << 20))
    status, out, err = vm.run("boot", "--kernel", program("hostile_pmem"), "-c", f"requests={requests}", "--pmem",
                              f"path={path}", timeout=2 * vm.TIMEOUT + requests / 10)
    assert "PASS" in out, out + err
    assert status == 0
    assert path.read_bytes() == bytes(4) + b"\x5a" * ((2 << 20) - 4)


def test_emergency_writes_of_the_virtio_console(tmp_path):
    log = tmp_path / "log"
    status, out, err = vm.run("boot", "--kernel", program("emergency"), "--console", f"log,path={log},device=virtio")
    assert "PASS" in out, out + err
    assert status == 0
    assert log.read_text() == "before\nwith\nafter\n"


def test_firmware_with_a_pvh_note(tmp_path):
    """It has PVH's start information, fw_cfg, CMOS, and the debug port."""
    disk = tmp_path / "disk"
    disk.write_bytes(b"first sector".ljust(65536, b"\0"))
    status, out, err = vm.run("-l", "firmware=debug", "boot", "--firmware", program("firmware"), "--blk", f"path={disk}")
    assert "fw_cfg: 1 processors\n" in out.replace("\r", "") and "disk: first sector\n" in out.replace("\r", "") and "PASS" in out, out + err
    assert "firmware: the firmware's own line\n" in err and status == 0, err
    status, out, err = vm.run("boot", "--firmware", program("firmware"), "--cpu", "count=3", "--memory", "size=320M",
                              "--blk", f"path={disk}")
    assert "fw_cfg: 3 processors\n" in out.replace("\r", "") and "PASS" in out and status == 0, out + err
    status, out, err = vm.run("boot", "--firmware", program("firmware"))
    assert "FAIL: no disk to boot from" in out, out + err


def test_firmware_in_a_broken_elf_file(tmp_path):
    broken = tmp_path / "elf"
    broken.write_bytes(b"\x7fELF")
    status, _, err = vm.run("boot", "--firmware", str(broken))
    assert status == 1 and f'--firmware path={broken}: Cannot use the firmware "{broken}"' in err, err


@pytest.mark.parametrize("how", ["jump", "hole", "stack"])
def test_crashes_end_with_registers_and_a_status(how):
    status, out, err = vm.run("boot", "--kernel", program("crash"), "-c", how)
    assert "about to crash" in out and "FAIL" not in out, out
    assert status in (3, 5), err
    assert "rip" in err.lower(), err


@pytest.mark.parametrize("how", ["cr3", "sleep", "spin"])
def test_a_guest_that_never_answers_can_be_ended(how):
    with vm.VM("boot", "--kernel", program("crash"), "-c", how, "--power-button-timeout", "1") as machine:
        machine.expect("about to crash")
        machine.signal(signal.SIGTERM)
        assert machine.wait() in ((5, 7) if how == "cr3" else (7,))


@pytest.mark.parametrize("cpus", [1, 4, 32])
def test_processors_start(cpus):
    status, out, err = vm.run("boot", "--kernel", program("smp"), "-c", f"cpus={cpus}", "--cpu", f"count={cpus}",
                              timeout=vm.TIMEOUT)
    assert "PASS" in out, out + err
    assert status == 0


@pytest.mark.parametrize("how", ["acpi", "cf9", "kbd", "bios"])
def test_reset_gives_a_new_machine(how):
    """The program looks for what its earlier life left in memory, an MSR, the serial port and the local APIC."""
    with vm.VM("boot", "--kernel", program("reset"), "-c", how, "--cpu", "count=4") as machine:
        for _ in range(10):
            machine.expect("reset guest: boot")
        assert b"FAIL" not in machine.output


@pytest.mark.parametrize("how", ["acpi", "cf9", "kbd", "bios"])
def test_no_reboot_ends_at_a_reset(how):
    status, out, err = vm.run("boot", "--no-reboot", "--kernel", program("reset"), "-c", how, "--cpu", "count=2")
    assert out.count("reset guest: boot") == 1, out + err
    assert status == 6


def test_triple_fault_has_a_status_of_its_own():
    status, out, err = vm.run("boot", "--kernel", program("triple_fault"))
    assert "about to triple-fault" in out
    assert "triple fault" in err
    assert status == 5


def test_check_says_usable_where_these_run():
    status, out, _ = vm.run("check", "--json")
    report = json.loads(out)
    assert status == 0
    assert report["usable"] is True
    assert report["execution"]["guest_loop_ns"] > 0
