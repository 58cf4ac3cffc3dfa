# SPDX-License-Identifier: Apache-2.0
"""Hosts that are short of something, and signals. The guest is a bare-metal program that only talks."""
import fcntl
import os
import pty
import resource
import select
import signal
import socket
import subprocess
import termios
import time

import pytest

from test_guest_programs import program
from vm import ALIOTH, TIMEOUT, VM, run


def talk(*options, cmdline="lines=3"):
    return ["boot", "--kernel", program("talk"), "-c", cmdline, *options]


def limit(what, soft):
    """For preexec_fn: a soft limit, with the signal that tells of it as a shell leaves it."""
    def apply():
        resource.setrlimit(what, (soft, resource.getrlimit(what)[1]))
    return apply


# ---- Limits ----

@pytest.mark.parametrize("size", [0, 4096])
def test_a_limit_on_file_sizes_is_no_end(tmp_path, size):
    """The log of the program, the console's, and standard output are files that may not grow."""
    with open(tmp_path / "out", "wb") as out:
        for options in (["--console", f"log,path={tmp_path}/console"], []):
            args = ["--log-dir", str(tmp_path), "-l", "trace", *talk(*options, cmdline="lines=1000")]
            done = subprocess.run([ALIOTH, *args], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE,
                                  preexec_fn=limit(resource.RLIMIT_FSIZE, size), timeout=TIMEOUT, check=False)
            assert done.returncode == 0, done.stderr
    assert all(os.path.getsize(tmp_path / name) <= size for name in ("out", "console", "alioth.log"))


def test_too_few_descriptors_are_one_error():
    """Up to the number that is enough, and no file of the guest's opens in the place of another."""
    for n in range(4, 40):
        status, out, err = run(*talk("--entropy", "--cpu", "count=3"),
                               preexec_fn=limit(resource.RLIMIT_NOFILE, n))
        if status == 0:
            assert out.endswith("PASS\r\n")
            return
        assert status == 1 and err.startswith("Error: ") and "Too many open files" in err, (n, err)
        assert err.count("Error: ") == 1
    raise AssertionError("40 descriptors are not enough")


def test_too_little_address_space_is_one_error():
    status, out, err = run(*talk(), preexec_fn=limit(resource.RLIMIT_AS, 512 << 20))
    assert (status, out) == (1, "")
    assert "Cannot get 1024 MiB of memory for the guest" in err


# ---- Consoles ----

def connect(path):
    deadline = time.monotonic() + TIMEOUT
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(path)
            return client
        except OSError:
            client.close()
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_clients_of_a_flooding_console_come_and_go(tmp_path):
    path = str(tmp_path / "console")
    with VM(*talk("--console", f"socket,path={path}", cmdline="flood")) as vm:
        for i in range(40):
            client = connect(path)
            if i % 2:
                assert client.recv(100)
            if i % 3:
                client.sendall(b"x" * 1000)
            client.close()
        client = connect(path)
        assert client.recv(100)
        client.close()
        vm.signal(signal.SIGTERM)
        vm.signal(signal.SIGINT)
        assert vm.wait() == 7
    assert not os.path.exists(path)


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_a_reader_that_stalls_costs_no_memory_and_keeps_no_one_from_ending():
    with VM(*talk("--console", "stdio", cmdline="flood")) as vm:
        vm.expect("line 100")
        time.sleep(1)
        before = resident(vm.process.pid)
        vm.send(b"x" * 60000)
        time.sleep(2)
        assert resident(vm.process.pid) < before + 256
        vm.signal(signal.SIGQUIT)
        assert vm.process.wait(TIMEOUT) == 7


def test_places_where_no_socket_can_be(tmp_path):
    (tmp_path / "file").write_text("kept")
    os.symlink(tmp_path / "file", tmp_path / "link")
    for name in ("file", "link", ".", "missing/console", "x" * 120):
        status, out, err = run(*talk("--console", f"socket,path={tmp_path}/{name}"))
        assert (status, out) == (1, "") and "Cannot listen on the console socket" in err, err
    assert (tmp_path / "file").read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(tmp_path, closed):
    """No file that the program opens takes the place of one of them."""
    path = tmp_path / "log"
    done = subprocess.run(["/bin/sh", "-c", f'exec "$@" {closed}', "sh", ALIOTH, "-l", "trace",
                           *talk("--entropy", "--console", f"log,path={path}")],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stdout) == (0, b"")
    assert path.read_text().split() == "talking line 1 line 2 line 3 PASS".split()


# ---- Memory ----

@pytest.mark.parametrize("memory", ["backend=memfd", "shared=on", "prealloc=on", "prealloc=on,shared=on",
                                    "prealloc=on,backend=memfd,thp=on", "thp=on"])
def test_memory_of_every_kind(memory):
    for program_name, words in (("talk", "lines=1"), ("reset", "acpi")):
        with VM("boot", "--kernel", program(program_name), "-c", words, "-m", f"size=64M,{memory}") as vm:
            if program_name == "talk":
                vm.expect("PASS")
                assert vm.wait() == 0
            else:
                for _ in range(3):
                    vm.expect("reset guest: boot")
                assert b"FAIL" not in vm.output


@pytest.mark.parametrize("memory, status, part", [
    ("size=0", 2, "0 is out of range"),
    ("size=4095", 2, "not a multiple of the page size"),
    ("size=4K", 2, "less than 2M"),
    ("size=1.5G", 2, "is not a number"),
    ("size=64M,hugetlb=4M", 2, "neither 2M nor 1G"),
    ("size=63M,hugetlb=2M", 2, "not a multiple of the page size"),
    ("size=64M,hugetlb=2M,thp=on", 2, "exclude each other"),
    ("size=8M", 1, "does not fit between"),
    ("size=16777215T", 1, "address bits"),
    ("size=512G,backend=memfd", 1, "more than the host has"),
])
def test_memory_that_cannot_be(memory, status, part):
    got, out, err = run(*talk("-m", memory))
    assert (got, out) == (status, "") and part in err, err
    assert (err.count("\n") == 1) if status == 2 else err.startswith("Error: ") and err.count("Error: ") == 1


# ---- Signals ----

ENDING = [signal.SIGQUIT, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF,
          signal.SIGXCPU, signal.SIGIO, signal.SIGPWR, signal.SIGTRAP, signal.SIGBUS, signal.SIGABRT]


class Terminal:
    """alioth on a terminal that is its own."""

    def __init__(self, *args):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([ALIOTH, *args], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        preexec_fn=self._adopt)
        self.output = b""

    @staticmethod
    def _adopt():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)

    def expect(self, text):
        deadline = time.monotonic() + TIMEOUT
        while text not in self.output:
            assert time.monotonic() < deadline, self.output
            if select.select([self.master], [], [], 1)[0]:
                self.output += os.read(self.master, 4096)

    def wait_until(self, condition):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def hang_up(self):
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1


class Shell(Terminal):
    """An interactive shell, which has job control."""

    def __init__(self):
        self.master, self.slave = pty.openpty()
        self.process = subprocess.Popen(["/bin/bash", "--norc", "--noediting", "-i"], stdin=self.slave,
                                        stdout=self.slave, stderr=self.slave, preexec_fn=self._adopt)
        self.output = b""

    def type(self, line):
        os.write(self.master, line.encode() + b"\n")


@pytest.mark.parametrize("number", ENDING, ids=lambda n: n.name)
def test_the_terminal_is_restored_whatever_ends_it(number):
    with Terminal(*talk(cmdline="wait")) as terminal:
        terminal.expect(b"talking")
        assert terminal.is_raw()
        terminal.process.send_signal(number)
        assert terminal.process.wait(TIMEOUT) == (7 if number == signal.SIGQUIT else -number)
        assert terminal.is_restored()


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG],
                         ids=lambda n: n.name)
def test_signals_that_mean_nothing(number):
    with VM(*talk(cmdline="wait")) as vm:
        vm.expect("talking")
        for _ in range(100):
            vm.signal(number)
        vm.send("q")
        assert vm.wait() == 0


def test_a_stopped_vm_goes_on():
    with VM(*talk("--cpu", "count=2", cmdline="wait")) as vm:
        vm.expect("talking")
        for _ in range(20):
            vm.signal(signal.SIGSTOP)
            vm.signal(signal.SIGCONT)
        vm.send("q")
        assert vm.wait() == 0


@pytest.mark.parametrize("what", ["wait", "flood"])
def test_a_terminal_that_goes_away_presses_the_power_button(what):
    with Terminal(*talk("--power-button-timeout", "1", cmdline=what)) as terminal:
        terminal.expect(b"talking")
        terminal.hang_up()
        assert terminal.process.wait(TIMEOUT) == 7


def test_a_stopped_vm_takes_its_terminal_again():
    """A shell sets modes of its own while a job is stopped."""
    with Terminal(*talk(cmdline="wait")) as terminal:
        terminal.expect(b"talking")
        terminal.process.send_signal(signal.SIGSTOP)
        termios.tcsetattr(terminal.slave, termios.TCSANOW, terminal.before)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait_until(terminal.is_raw)
        os.write(terminal.master, b"q")
        assert terminal.process.wait(TIMEOUT) == 0
        assert terminal.is_restored()


def test_a_job_in_the_background_leaves_the_terminal_alone():
    """A shell with job control starts it; what is typed before "fg" is the shell's, what comes then the guest's."""
    with Shell() as shell:
        shell.type(" ".join([ALIOTH, *talk(cmdline="wait"), "&"]))
        shell.expect(b"talking")
        shell.type("stty -a | grep -o -- '-*icanon'; echo modes-$((40+2))")
        shell.expect(b"modes-42")
        assert b"-icanon" not in shell.output.split(b"talking")[1].replace(b"-*icanon", b"")
        shell.type("fg")
        time.sleep(0.5)
        os.write(shell.master, b"\n")
        time.sleep(2)
        os.write(shell.master, b"q")
        shell.expect(b"PASS")
        shell.wait_until(lambda: not shell.is_raw())
        shell.type("echo back-$((40+2))")
        shell.expect(b"back-42")


def test_nohup_is_respected():
    with VM("boot", "--kernel", program("talk"), "-c", "wait", "--power-button-timeout", "1",
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as vm:
        vm.expect("talking")
        vm.signal(signal.SIGHUP)
        time.sleep(2)
        vm.send("q")
        assert vm.wait() == 0
