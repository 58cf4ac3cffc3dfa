# SPDX-License-Identifier: Apache-2.0
"""The virtio console under Linux: hvc0 as the kernel's console, its size, named ports."""
import fcntl
import hashlib
import os
import pty
import random
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
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
