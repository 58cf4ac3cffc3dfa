# SPDX-License-Identifier: Apache-2.0
"""Where the serial port ends."""
import os
import pty
import re
import socket
import termios
import time

from conftest import data
from vm import ALIOTH, VM
import subprocess

QUIET = "console=ttyS0 quiet "


def lines(n):
    return f"alioth.run=seq+{n};echo+the-end"


def test_output_is_complete_and_in_order(base):
    with VM("boot", *base, "--cmdline", QUIET + lines(4000)) as vm:
        vm.expect("the-end")
        assert vm.wait() == 0
        found = re.search(r"guest ready\n((?:\d+\n)+)the-end", vm.text())
        assert found and found.group(1).split() == [str(i) for i in range(1, 4001)]


def test_log_console(base, tmp_path):
    path = tmp_path / "log"
    path.write_text("old\n")
    for append in ("off", "on"):
        with VM("boot", *base, "--console", f"log,path={path},append={append}", "--cmdline", QUIET + lines(3)) as vm:
            assert vm.wait() == 0
    text = path.read_text()
    assert text.count("the-end") == 2 and "old" not in text


def test_full_disk_behind_the_log(base):
    with VM("boot", *base, "--console", "log,path=/dev/full", "--cmdline", QUIET + lines(1000)) as vm:
        assert vm.wait() == 0
        assert vm.error_text().count("output is dropped: No space left on device") == 1


def test_closed_stdout(base):
    process = subprocess.run(["/bin/sh", "-c", 'exec "$@" >&- <&-', "sh", ALIOTH, "boot", *base, "--cmdline",
                              QUIET + lines(10)], stderr=subprocess.PIPE, timeout=180, check=False)
    assert process.returncode == 0
    assert b"output is dropped" in process.stderr


def test_reader_that_goes_away(base):
    with VM("boot", *base, "--cmdline", QUIET + "alioth.run=seq+5000") as vm:
        vm.expect("guest ready")
        vm.process.stdout.close()
        assert vm.wait() == 0


def test_socket_console_serves_one_client_after_another(base, tmp_path):
    path = str(tmp_path / "console")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    with VM("boot", *base, "--console", f"socket,path={path}", "--cmdline", QUIET) as vm:
        for _ in range(2):
            client = socket.socket(socket.AF_UNIX)
            for _ in range(100):
                try:
                    client.connect(path)
                    break
                except OSError:
                    time.sleep(0.1)
            output = b""
            client.settimeout(60)
            client.sendall(b"\n")
            while b"# " not in output:
                output += client.recv(4096)
            client.close()
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        client.sendall(b"\npoweroff -f\n")
        assert vm.wait() == 0
        client.close()
    assert not os.path.exists(path)


def test_pty_console(base):
    with VM("boot", *base, "--console", "pty", "--cmdline", QUIET) as vm:
        deadline = time.monotonic() + 30
        while b"The console is" not in vm.error:
            assert vm._pump(deadline) and time.monotonic() < deadline, vm.error_text()
        name = re.search(r"The console is (\S+)", vm.error_text()).group(1)
        fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
        output = b""
        while b"# " not in output:
            output += os.read(fd, 4096)
        os.write(fd, b"poweroff -f\n")
        assert vm.wait() == 0
        os.close(fd)


def terminal(base, keys, extra=()):
    """Runs alioth on a real terminal; its status, and the terminal's modes before, during and after."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = subprocess.Popen([ALIOTH, "boot", *base, *extra, "--cmdline", QUIET], stdin=slave, stdout=slave, stderr=slave)
    output = b""
    while b"# " not in output:
        output += os.read(master, 4096)
    during = termios.tcgetattr(slave)
    for key in keys:
        if callable(key):
            key(process)
        else:
            os.write(master, key)
        time.sleep(0.5)
    while process.poll() is None:
        try:
            output += os.read(master, 4096) if select_readable(master) else b""
        except OSError:
            break
    while select_readable(master):
        output += os.read(master, 4096)
    status = process.wait(60)
    after = termios.tcgetattr(slave)
    os.close(master)
    os.close(slave)
    return status, before, during, after, output


def select_readable(fd):
    import select
    return select.select([fd], [], [], 0.2)[0]


def test_escape_keys_and_terminal_modes(base):
    status, before, during, after, output = terminal(base, [b"\x01h", b"\x01x"])
    assert status == 8
    assert b"Ctrl-A X" in output
    assert during[3] & termios.ICANON == 0 and before == after


def test_terminal_is_restored_after_signals(base):
    import signal
    for number, expected in ((signal.SIGQUIT, 7), (signal.SIGSEGV, -signal.SIGSEGV), (signal.SIGABRT, -signal.SIGABRT)):
        status, before, _, after, _ = terminal(base, [lambda p, n=number: p.send_signal(n)])
        assert status == expected
        assert before == after
