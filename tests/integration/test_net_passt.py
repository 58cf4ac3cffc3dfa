# SPDX-License-Identifier: Apache-2.0
"""Network cards on passt: the host's network without any rights."""
import contextlib
import hashlib
import http.client
import http.server
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

import pytest

from conftest import data, in_lab
from vm import VM, TIMEOUT, run

# The host's only way out, which passt shows to the guest as its own; the gateway's address is the host itself.
GUEST, GATEWAY = "10.78.0.2", "10.78.0.1"
PORT = 2223

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("passt"), reason="needs root and passt")


def ip(*args, check=True):
    return subprocess.run(["ip", *args], check=check, capture_output=True).returncode


@pytest.fixture(autouse=True)
def way_out():
    if not in_lab():
        pytest.skip("changes the host's routes: in the lab only")
    ip("link", "add", "alway0", "type", "dummy")
    try:
        ip("addr", "add", f"{GUEST}/24", "dev", "alway0")
        ip("link", "set", "alway0", "up")
        ip("route", "add", "default", "via", GATEWAY)
        yield
    finally:
        ip("link", "del", "alway0", check=False)


DHCP = ("echo 'case $1 in bound)ifconfig $interface $ip netmask $subnet mtu ${mtu:-1500} up;route add default gw $router;;esac'>/tmp/s;"
        "sed -i '1i#!/bin/sh' /tmp/s;chmod 755 /tmp/s;ifconfig eth0 up;udhcpc -i eth0 -n -q -O mtu -s /tmp/s;")
STATIC = f"ifconfig eth0 {GUEST} up;route add default gw {GATEWAY};"


def guest(base, net, script, setup=STATIC, initramfs="initramfs-modules", **kwargs):
    """A VM whose guest sets its card up, says "card ready" and runs the script (no plus signs)."""
    args = list(base)
    args[args.index("--initramfs") + 1] = data(initramfs)
    line = f"{setup}echo card ready;{script}".replace(" ", "+")
    return VM("boot", *args, "--net", net, "--cmdline", "console=ttyS0 quiet alioth.run=" + line, **kwargs)


@contextlib.contextmanager
def web(content):
    """Serves the content at port 8078 of the host's loopback, and keeps what is sent to port 8079."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 8078), Handler)
    sink = socket.create_server(("127.0.0.1", 8079))
    got = []

    def collect():
        with contextlib.suppress(OSError):
            while True:
                s, _ = sink.accept()
                with s:
                    parts = []
                    while part := s.recv(1 << 20):
                        parts.append(part)
                    got.append(b"".join(parts))

    threads = [threading.Thread(target=f, daemon=True) for f in (server.serve_forever, collect)]
    for t in threads:
        t.start()
    try:
        yield got
    finally:
        server.shutdown()
        server.server_close()
        sink.shutdown(socket.SHUT_RDWR)
        sink.close()
        for t in threads:
            t.join()


def processes():
    """passt's processes, by what they are called with."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
            if b"passt" in words[0] and b"--quiet" in words:
                found.append(int(pid))
    return found


def gone():
    """Whether passt is gone before long."""
    deadline = time.monotonic() + TIMEOUT
    while processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not processes()


FETCH = f"wget -q -O /tmp/f http://{GATEWAY}:8078/f;md5sum /tmp/f"
SEND = f"nc {GATEWAY} 8079 </tmp/f;echo sent"


def until(condition, what):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def fetch_from_guest():
    """The file from the guest's server, through the port that is forwarded, once the server is there. The client speaks first:
    Debian 12's passt lets the guest's side of a connection wait until then."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/f", timeout=TIMEOUT) as answer:
                return answer.read()
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline, "the guest's server does not answer"
            time.sleep(0.2)


def test_dhcp_and_files_both_ways(base):
    content = os.urandom(10 << 20)
    with web(content) as got, guest(base, f"passt,tcp={PORT}:5000", FETCH + ";" + SEND + ";httpd -f -p 5000 -h /tmp",
                                    setup=DHCP + "ifconfig eth0;") as vm:
        vm.expect("lease of " + GUEST)
        vm.expect("MTU:65520")
        vm.expect("card ready")
        vm.expect(hashlib.md5(content).hexdigest())
        vm.expect("sent")
        until(lambda: got, "the host got nothing")
        assert got[0] == content
        assert fetch_from_guest() == content
        assert vm.process.poll() is None
        assert "dropped" not in vm.error_text()
    assert gone()


def test_options_of_a_passt_that_is_started(base, tmp_path):
    """Where the program is, what else it is told, the card's address and MTU, and datagrams to a port of the host."""
    program, other = tmp_path / "another-passt", "10.78.0.77"
    program.symlink_to(shutil.which("passt"))
    net = f"passt,udp={PORT}:5000,args=-4 -a {other} -n 24,mac=52:54:00:00:00:09,mtu=1400,packed=off,path={program}"
    script = "cd /sys/class/net/eth0;cat address mtu;cut -c35 device/features;datagrams answer 5000"
    with guest(base, net, script, setup=DHCP, initramfs="initramfs-programs") as vm:
        vm.expect("lease of " + other)
        vm.expect("card ready")
        vm.expect("52:54:00:00:00:09\r?\n1400\r?\n0\r?\n")
        [pid] = processes()
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            words = f.read().split(b"\0")
        assert str(program).encode() in words and b"-4" in words
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("127.0.0.1", PORT))
            s.settimeout(1)

            def answered():
                with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                    s.send(b"knock, knock")
                    return s.recv(100) == b"knock, knock"

            until(answered, "no datagram came back")
        vm.expect("knock, knock")
    assert gone()


def with_vhost_user(base):
    """Memory that passt can have, and the key of --net: a passt that moves the packets itself."""
    args = list(base)
    args[args.index("--memory") + 1] += ",backend=memfd"
    return args, f"passt,vhost_user=on,path={data('passt13')}"


def test_vhost_user(base):
    """Packets both ways by passt's own hand: the card's interrupts and notifications are not the monitor's, nor are the bytes."""
    content = os.urandom(10 << 20)
    base, net = with_vhost_user(base)
    with web(content) as got, guest(base, net + f",tcp={PORT}:5000", FETCH + ";" + SEND + ";httpd -f -p 5000 -h /tmp",
                                    setup=DHCP + "ifconfig eth0;") as vm:
        vm.expect("lease of " + GUEST)
        vm.expect("card ready")
        vm.expect(hashlib.md5(content).hexdigest())
        vm.expect("sent")
        until(lambda: got, "the host got nothing")
        assert got[0] == content
        assert fetch_from_guest() == content
        assert vm.process.poll() is None
    assert gone()


def test_vhost_user_and_a_passt_that_is_killed(base):
    content = os.urandom(100000)
    script = ("while [ $(cat /sys/class/net/eth0/carrier) = 1 ];do :;done;echo carrier lost;"
              "while [ $(cat /sys/class/net/eth0/carrier) = 0 ];do :;done;echo carrier back;" + FETCH +
              ";echo virtio0 >/sys/bus/virtio/drivers/virtio_net/unbind;echo virtio0 >/sys/bus/virtio/drivers/virtio_net/bind;" + STATIC +
              "echo bound;" + FETCH)
    base, net = with_vhost_user(base)
    with web(content), guest(base, net, FETCH + ";" + script) as vm:
        vm.expect(hashlib.md5(content).hexdigest())
        [old] = processes()
        os.kill(old, 9)
        vm.expect("carrier lost")
        vm.expect("carrier back")
        vm.expect(hashlib.md5(content).hexdigest())
        vm.expect("bound")
        vm.expect(hashlib.md5(content).hexdigest())
        assert vm.wait() == 0
        assert "the link is down" in vm.error_text()
    assert gone()


def test_without_any_rights(base):
    """As a user that may use KVM and nothing else."""
    os.chmod("/dev/kvm", 0o666)  # the lab's own
    content = os.urandom(1 << 20)
    demote = lambda: (os.setgroups([]), os.setgid(65534), os.setuid(65534))  # noqa: E731
    with web(content), guest(base, "passt", FETCH, preexec_fn=demote) as vm:
        vm.expect("card ready")
        vm.expect(hashlib.md5(content).hexdigest())
        assert vm.wait() == 0
    assert gone()


def test_passt_that_is_killed_is_started_again(base):
    content = os.urandom(100000)
    script = ("while [ $(cat /sys/class/net/eth0/carrier) = 1 ];do :;done;echo carrier lost;"
              "while [ $(cat /sys/class/net/eth0/carrier) = 0 ];do :;done;echo carrier back;" + FETCH)
    with web(content), guest(base, "passt", FETCH + ";" + script) as vm:
        vm.expect(hashlib.md5(content).hexdigest())
        [old] = processes()
        os.kill(old, 9)
        vm.expect("carrier lost")
        vm.expect("carrier back")
        vm.expect(hashlib.md5(content).hexdigest())
        assert processes() and old not in processes()
        assert vm.wait() == 0
        assert "the link is down" in vm.error_text()
    assert gone()


def test_passt_ends_with_a_killed_vm(base):
    with guest(base, "passt", "sleep 1000") as vm:
        vm.expect("card ready")
        assert len(processes()) == 1
        vm.signal(9)
        assert vm.wait() == -9
    assert gone()


@pytest.fixture
def open_dir():
    """A folder for passt's user."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o777)
        yield path


def test_a_socket_that_goes_and_comes(base, open_dir):
    """A passt of the user's own, without `reconnect` and with it."""
    path = os.path.join(open_dir, "passt.socket")

    def passt():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        process = subprocess.Popen(["passt", "--foreground", "--quiet", "--socket", path], stderr=subprocess.DEVNULL)
        until(lambda: os.path.exists(path), "no passt")
        return process

    content = os.urandom(100000)
    wait = "while [ $(cat /sys/class/net/eth0/carrier) = %d ];do :;done;"
    with web(content):
        first = passt()
        try:
            with guest(base, f"passt,socket={path}", FETCH + ";echo fetched;" + wait % 1 + "echo carrier lost;" + wait % 0 + FETCH) as vm:
                vm.expect(hashlib.md5(content).hexdigest())
                vm.expect("fetched")
                first.kill()
                first.wait()
                vm.expect("carrier lost")
                first = passt()
                vm.expect(hashlib.md5(content).hexdigest())
                assert vm.wait() == 0
            with guest(base, f"passt,socket={path},reconnect=off", wait % 1 + "echo carrier lost;ping -c 1 -W 1 " + GATEWAY) as vm:
                vm.expect("card ready")
                first.kill()
                vm.expect("carrier lost")
                vm.expect("100% packet loss")
                assert vm.wait() == 0
        finally:
            first.kill()
            first.wait()


def test_bad_options_are_one_clear_error(base):
    def refused(net, *parts, status=1):
        got, _, err = run("boot", *base, "--net", net)
        assert got == status
        for part in parts:
            assert part in err, err

    refused("passt,tcp=nonsense", "does not start", "nonsense")
    refused("passt,args=--nonsense", "does not start", "nonsense")
    refused("passt,path=/nonexistent/passt", "Cannot run", "No such file")
    refused("passt,socket=/nonexistent/socket", "Cannot connect", "No such file")
    refused("passt,socket=/s,tcp=22", "socket excludes", status=2)
    refused("passt,tap=tap0", "tap", status=2)
    refused("passt,vhost_user=on", "--memory backend=memfd", status=2)
    base, _ = with_vhost_user(base)
    refused("passt,vhost_user=on", "does not start", "vhost-user")
