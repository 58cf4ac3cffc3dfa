# SPDX-License-Identifier: Apache-2.0
"""The virtio console under Linux: hvc0 as the kernel's console, its size, named ports."""
import fcntl
import hashlib
import os
import pty
import random
import re
import select
import socket
import struct
import subprocess
import termios
import time

import pytest
from conftest import data
from vm import ALIOTH, TIMEOUT, VM

HVC = ("--console", "stdio,device=virtio")
# In the guest: the device of the port named `agent`.
FIND = 'P=/dev/$(cd /sys/class/virtio-ports;grep -l "^agent$" */name|cut -d/ -f1);'


def modules(base):
    args = list(base)
    args[args.index("--initramfs") + 1] = data("initramfs-modules")
    return args


def debian13(base):
    """virtio_pci and virtio_console are built in there."""
    args = list(base)
    args[args.index("--kernel") + 1] = data("debian13-cloud.bzImage")
    return args


def shell(text, console="hvc0"):
    return f"console={console} quiet alioth.run=" + text.replace(" ", "+")


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            client.connect(path)
            client.settimeout(TIMEOUT)
            return client
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def receive(client, size):
    got = b""
    while len(got) < size:
        more = client.recv(65536)
        assert more, f"the end after {len(got)} bytes"
        got += more
    return got


@pytest.mark.parametrize("kernel", ("module", "built-in"))
def test_shell_on_hvc0(base, kernel):
    """Nothing but the virtio console: the kernel's messages, a shell, and its last word."""
    options = modules(base) if kernel == "module" else debian13(base)
    with VM("boot", *options, *HVC, "--cmdline", "console=hvc0") as vm:
        vm.expect("guest ready")
        vm.expect("# ")
        vm.send("echo a kernel message >/dev/kmsg\n")
        vm.expect(r"\] a kernel message")
        vm.send("echo $((6*7)) $(cat /sys/class/tty/console/active)\n")
        vm.expect(r"\n42 hvc0\r?\n")
        vm.send("dmesg|wc -l;seq 3000;echo the-end;poweroff -f\n")
        vm.expect("the-end\r\n")
        assert vm.wait() == 0
        numbers = vm.text().split("\n1\n")[1].split("the-end")[0].split()
        assert numbers == [str(i) for i in range(2, 3001)]
        assert "reboot: Power down" in vm.text()


def test_serial_and_virtio_side_by_side(base, tmp_path):
    log = tmp_path / "serial"
    with VM("boot", *modules(base), "--console", f"log,path={log}", *HVC, "--cmdline",
            shell("echo to the virtio one >/dev/hvc0", "ttyS0")) as vm:
        vm.expect("to the virtio one")
        assert vm.wait() == 0
    assert "guest ready" in log.read_text() and "virtio one" not in log.read_text()


def in_terminal(slave):
    """A session of its own with this controlling terminal, as a shell's job has."""
    def prepare():
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    return prepare


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def ask(fd, keys, answer):
    """Types at a terminal and waits for the answer; what came until then."""
    os.write(fd, keys)
    output = b""
    deadline = time.monotonic() + TIMEOUT
    while answer not in output:
        assert time.monotonic() < deadline, f"no {answer} in {output[-2000:]}"
        if select.select([fd], [], [], 1)[0]:
            output += os.read(fd, 65536)
    return output


def wait_for_size(fd, rows, columns):
    """In the guest; the interrupt and the driver's work take a moment."""
    ask(fd, b"until stty size|grep -x '%d %d';do :;done\r" % (rows, columns), b"\n%d %d\r" % (rows, columns))


class Terminal:
    """alioth on a terminal whose other end is ours."""

    def __init__(self, *args):
        self.master, slave = pty.openpty()
        set_size(self.master, 31, 97)
        self.process = subprocess.Popen([ALIOTH, *args], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=in_terminal(slave))
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.mark.parametrize("kernel", ("module", "built-in"))
@pytest.mark.parametrize("more", ((), ("--console", "null,name=agent")), ids=("config", "message"))
def test_size_of_the_terminal(base, kernel, more):
    """Both ways of telling: the device's configuration, and messages where there are several ports."""
    options = modules(base) if kernel == "module" else debian13(base)
    with Terminal("boot", *options, *HVC, *more, "--cmdline", "console=hvc0 quiet") as terminal:
        ask(terminal.master, b"", b"# ")
        ask(terminal.master, b"stty size\r", b"31 97\r")
        for rows, columns in ((50, 132), (24, 80)):
            set_size(terminal.master, rows, columns)
            wait_for_size(terminal.master, rows, columns)
        os.write(terminal.master, b"\x01x")
        assert terminal.process.wait(TIMEOUT) == 8


def pty_of(vm):
    """Its name, which the log tells."""
    deadline = time.monotonic() + TIMEOUT
    while not (found := re.search(r"The console of hvc0 is (/dev/pts/\d+)", vm.error_text())):
        assert vm._pump(deadline) and time.monotonic() < deadline, vm.error_text()
    return found.group(1)


def test_pty(base):
    """As `screen` uses it: what is typed and printed, and a size that its user sets; the serial port is free for others."""
    with VM("boot", *modules(base), "--console", "pty,device=virtio", "--cmdline", "console=hvc0 quiet") as vm:
        fd = os.open(pty_of(vm), os.O_RDWR | os.O_NOCTTY)
        try:
            ask(fd, b"", b"# ")
            # More than the pty holds.
            numbers = ask(fd, b"seq 5000 >/tmp/x;cat /tmp/x;echo the-e''nd\r", b"the-end").split(b"the-e''nd\r\n")[1].split()
            assert numbers[:5001] == [b"%d" % i for i in range(1, 5001)] + [b"the-end"]
            ask(fd, b"# " + b"x" * 600 + b"\recho " + b"y" * 600 + b"|md5sum\r", hashlib.md5(b"y" * 600 + b"\n").hexdigest().encode())
            for rows, columns in ((40, 120), (24, 80)):
                set_size(fd, rows, columns)
                wait_for_size(fd, rows, columns)
            os.write(fd, b"echo to the serial port >/dev/ttyS0;poweroff -f\r")
            vm.expect("to the serial port")
            assert vm.wait() == 0
        finally:
            os.close(fd)


def test_nobody_there_and_a_log_that_goes_on(base, tmp_path):
    """The guest is served as ever where nothing ends; a port's log keeps what it held."""
    log = tmp_path / "log"
    log.write_text("before\n")
    with VM("boot", *modules(base), "--console", "null", "--console", "off,device=virtio", "--console",
            f"log,path={log},append=on,name=agent", "--cmdline",
            shell(FIND + "seq 5000 >/tmp/x;cat /tmp/x >/dev/hvc0;seq 200;echo said >$P", "ttyS0")) as vm:
        assert vm.wait() == 0
        assert vm.output == b""
    assert log.read_text() == "before\nsaid\n"


def test_named_port_echoes(base, tmp_path):
    path = str(tmp_path / "agent")
    payload = random.Random(1).randbytes(1 << 20)
    with VM("boot", *modules(base), "--console", f"socket,path={path},name=agent", "--cmdline",
            shell(FIND + "head -c 1048576 $P >/tmp/x;cat /tmp/x >$P;md5sum /tmp/x;md5sum <$P;echo end", "ttyS0")) as vm:
        digest = hashlib.md5(payload).hexdigest()
        client = connect(path)
        client.sendall(payload)
        assert receive(client, len(payload)) == payload
        vm.expect(digest + "  /tmp/x")
        # A client that leaves is the end of the file, behind all that it sent.
        client.sendall(payload)
        client.close()
        vm.expect(digest + "  -")
        vm.expect("end")
        assert vm.wait() == 0


def test_reader_that_stops(base, tmp_path):
    """A port that nobody reads: the machine goes on, its writer waits, and nothing of it is lost."""
    path = str(tmp_path / "agent")
    with VM("boot", *modules(base), "--console", f"socket,path={path},name=agent", "--cmdline",
            shell(FIND + "head -c 24000000 /dev/urandom >/tmp/x;(cat /tmp/x >$P;echo written)&sleep 3;echo alive;md5sum /tmp/x;"
                  "wait;head -n 1 $P", "ttyS0")) as vm:
        client = connect(path)
        digest = vm.expect(r"alive\r?\n([0-9a-f]{32})").group(1).decode()
        # The queue holds 256 buffers, which Linux makes of up to 64 KiB.
        assert b"written" not in vm.output
        got = receive(client, 24000000)
        vm.expect("written")
        client.sendall(b"bye\n")
        vm.expect("bye")
        assert vm.wait() == 0
        client.close()
    assert hashlib.md5(got).hexdigest() == digest


def test_reader_that_goes_and_comes_back(base, tmp_path):
    path = str(tmp_path / "agent")
    with VM("boot", *modules(base), "--console", f"socket,path={path},name=agent", "--cmdline",
            shell(FIND + "seq 2000000 >/tmp/x;cat /tmp/x >$P;echo written;cat $P;echo end of file", "ttyS0")) as vm:
        client = connect(path)
        first = receive(client, 50000)
        client.close()
        vm.expect("guest ready")
        time.sleep(1)
        assert b"written" not in vm.output
        client = connect(path)
        rest = b""
        while not rest.endswith(b"\n2000000\n"):
            rest += client.recv(65536)
        assert first.startswith(b"1\n2\n3\n")
        # What lay between was with the client that left; lines are in order and whole from then on.
        numbers = [int(line) for line in rest.split(b"\n")[1:-1]]
        assert numbers == list(range(numbers[0], 2000001)) and numbers[0] > 5000
        vm.expect("written")
        client.sendall(b"good bye\n")
        client.close()
        vm.expect("good bye")
        vm.expect("end of file")
        assert vm.wait() == 0


def test_driver_that_goes_and_comes(base, tmp_path):
    """Unbound and bound again, twenty times; a client stays and is heard each time."""
    path = str(tmp_path / "agent")
    with VM("boot", *modules(base), "--console", f"socket,path={path},name=agent", "--cmdline",
            shell("V=/sys/bus/virtio/drivers/virtio_console;D=$(ls $V|grep virtio);" + FIND +
                  "for i in $(seq 20);do until grep -q agent /sys/class/virtio-ports/*/name;do :;done 2>/dev/null;"
                  "exec 3<>$P;head -n 1 <&3;echo round $i >&3;sleep 0.1;exec 3>&-;echo closed;"
                  "echo $D >$V/unbind;echo $D >$V/bind;done;"
                  "dmesg|grep -v ommand.line|grep -A20 -e needs.reset -e WARNING:.CPU;echo rounds done", "ttyS0")) as vm:
        client = connect(path)
        for i in range(1, 21):
            client.sendall(b"hello %d\n" % i)
            vm.expect(f"hello {i}\r?\n")
            line = b"round %d\n" % i
            assert receive(client, len(line)) == line
            # Linux throws away what comes between the answer and the port's closing.
            vm.expect("closed")
        vm.expect("rounds done")
        assert "WARNING: CPU" not in vm.text() and "needs reset" not in vm.text()
        assert vm.wait() == 0


def test_reboot(base):
    with VM("boot", *modules(base), *HVC, "--cmdline", "console=hvc0 quiet") as vm:
        for _ in range(2):
            vm.expect("guest ready")
            vm.expect("# ")
            vm.send("reboot -f\n")
        vm.expect("guest ready")
        vm.expect("# ")
        vm.send("poweroff -f\n")
        assert vm.wait() == 0
