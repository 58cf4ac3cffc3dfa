# SPDX-License-Identifier: Apache-2.0
"""Network cards under a real Linux driver, on TAP interfaces that the tests make."""
import contextlib
import fcntl
import hashlib
import os
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import data
from vm import VM, TIMEOUT, run

QUIET = "console=ttyS0 quiet "
HOST, GUEST = "10.77.0.1", "10.77.0.2"

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="needs root and TUN")


def ip(*args, check=True):
    return subprocess.run(["ip", *args], check=check, capture_output=True).returncode


@pytest.fixture(params=["off", "on"])
def vhost(request):
    if request.param == "on" and not os.path.exists("/dev/vhost-net"):
        pytest.skip("no vhost-net here")
    return f",vhost={request.param}"


@contextlib.contextmanager
def tap(*flags, name="altest0", up=True):
    ip("link", "del", name, check=False)
    ip("tuntap", "add", name, "mode", "tap", *flags)
    with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="ascii") as f:
        f.write("1")
    ip("addr", "add", f"{HOST}/24", "dev", name)
    if up:
        ip("link", "set", name, "up")
    try:
        yield name
    finally:
        ip("link", "del", name, check=False)


def guest(base, net, script, *options, cpus=1, address=GUEST, pass_fds=(), initramfs="initramfs-modules"):
    """A VM whose guest configures its card, says "card ready" and runs the script (spaces are fine, plus signs are not)."""
    args = list(base)
    args[args.index("--initramfs") + 1] = data(initramfs)
    line = f"ifconfig eth0 {address} up;echo card ready;{script}".replace(" ", "+")
    return VM("boot", *args, *options, "--cpu", f"count={cpus}", "--net", net, "--cmdline", QUIET + "alioth.run=" + line,
              pass_fds=pass_fds)


def ping_guest(count=1):
    """The host asks the guest; whether it answered."""
    return subprocess.run(["busybox", "ping", "-c", str(count), "-W", "10", GUEST], check=False,
                          capture_output=True).returncode == 0


def connect(port):
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return socket.create_connection((GUEST, port), timeout=TIMEOUT)
        except (ConnectionRefusedError, TimeoutError, OSError):
            assert time.monotonic() < deadline, "the guest does not listen"
            time.sleep(0.2)


ECHO = "nc -l -p 5000 >/tmp/in;md5sum /tmp/in;nc -l -p 5001 </tmp/in;echo sent"


def transfer(vm, size):
    """Random bytes to the guest and back again."""
    content = os.urandom(size)
    with connect(5000) as s:
        s.sendall(content)
    vm.expect(hashlib.md5(content).hexdigest())
    back = b""
    with connect(5001) as s:
        while chunk := s.recv(1 << 20):
            back += chunk
    assert back == content
    vm.expect("sent")


def test_ping_and_transfer_both_ways(base, vhost):
    with tap() as name, guest(base, f"tap,if={name},mac=52:54:00:aa:bb:cc,mtu=1500{vhost}",
                              f"ping -c 2 -W 10 {HOST};cat /sys/class/net/eth0/address;"
                              f"cat /sys/class/net/eth0/device/features;{ECHO};"
                              "ping -c 1 -W 10 " + HOST) as vm:
        vm.expect("card ready")
        vm.expect("2 packets received")
        vm.expect("52:54:00:aa:bb:cc")
        # CSUM, MTU, MAC, TSO, ECN, MRG_RXBUF, STATUS, CTRL_VQ, CTRL_RX, CTRL_VLAN, GUEST_ANNOUNCE, CTRL_MAC_ADDR
        bits = vm.expect(r"([01]{64})\r?\n").group(1)
        assert all(bits[i:i + 1] == b"1" for i in (0, 1, 3, 5, 7, 8, 11, 12, 15, 16, 17, 18, 19, 21, 23)), bits
        assert ping_guest(2)
        transfer(vm, 8 << 20)
        vm.expect("1 packets received")
        assert vm.wait() == 0
        assert "dropped" not in vm.error_text()


def test_mac_is_the_same_at_every_start(base):
    found = []
    for _ in range(2):
        with tap() as name, guest(base, f"if={name},mtu=1300",
                                  "cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu") as vm:
            found.append(vm.expect(r"([0-9a-f]{2}(:[0-9a-f]{2}){5})\r?\n1300\r?\n").group(1))
            assert vm.wait() == 0
    assert found[0] == found[1]
    assert int(found[0][:2], 16) & 3 == 2


def test_two_pairs_of_queues(base, vhost):
    with tap("multi_queue") as name, guest(base, f"if={name},queue_pairs=2{vhost}",
                                           "ls -d /sys/class/net/eth0/queues/rx-*|wc -l;" + ECHO, cpus=2) as vm:
        vm.expect("card ready")
        vm.expect("\n2\r?\n")
        assert len([q for q in os.listdir(f"/sys/class/net/{name}/queues") if q.startswith("tx-")]) == 2
        transfer(vm, 1 << 20)
        assert vm.wait() == 0


def test_driver_that_comes_again(base, vhost):
    """Unbound and bound again, the card works, with another address for a while."""
    script = ("D=/sys/bus/virtio/drivers/virtio_net;V=$(ls $D|grep virtio);ifconfig eth0 down;"
              "ifconfig eth0 hw ether 52:54:00:00:00:07;"
              f"ifconfig eth0 {GUEST} up;ping -c 1 -W 10 {HOST};"
              "for i in 1 2 3 4 5 6 7 8 9 10;do echo $V>$D/unbind;echo $V>$D/bind;done;"
              f"cat /sys/class/net/eth0/address;ifconfig eth0 {GUEST} up;ping -c 2 -W 10 {HOST}")
    with tap() as name, guest(base, f"if={name},mac=52:54:00:00:00:01{vhost}", script) as vm:
        vm.expect("1 packets received")
        vm.expect("52:54:00:00:00:01")
        vm.expect("2 packets received")
        assert vm.wait() == 0


def test_an_interface_that_goes_down_and_away(base):
    script = "while [ $(cat /sys/class/net/eth0/carrier) = 1 ];do sleep 1;done;echo carrier lost;ping -c 1 -W 1 " + HOST
    with tap() as name, guest(base, f"if={name}", script) as vm:
        vm.expect("card ready")
        assert ping_guest()
        ip("link", "set", name, "down")
        ip("link", "set", name, "up")
        assert ping_guest()
        ip("link", "del", name)
        vm.expect("carrier lost")
        vm.expect("100% packet loss")
        assert vm.wait() == 0
        assert re.search(r"altest0\" is gone \(.*\); the link is down", vm.error_text())


def test_an_interface_of_vhost_that_goes_away(base):
    """The kernel throws the guest's packets away, and does not tell: the link stays up."""
    if not os.path.exists("/dev/vhost-net"):
        pytest.skip("no vhost-net here")
    script = f"while ping -c 1 -W 1 {HOST};do sleep 1;done;echo nobody there;ping -c 3 -W 1 {HOST}"
    with tap() as name, guest(base, f"if={name},vhost=on", script) as vm:
        vm.expect("1 packets received")
        ip("link", "del", name)
        vm.expect("nobody there")
        vm.expect("100% packet loss")
        assert vm.wait() == 0


@contextlib.contextmanager
def traffic():
    """Datagrams to the guest without end, and a port for those that it sends to port 9."""
    ends = threading.Event()

    def send():
        while not ends.wait(0.01):
            with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind((HOST, 9))
                s.connect((GUEST, 9))
                for _ in range(1000):
                    with contextlib.suppress(ConnectionRefusedError):
                        s.send(bytes(1000))
                    time.sleep(0.001)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


# Much, but not so much that an emulated host does nothing else.
FLOOD = f"while [ ! -e /tmp/enough ];do while yes|dd bs=1000 count=50 2>/dev/null;do usleep 20000;done|nc -u {HOST} 9;done>/dev/null 2>&1 &"
ENOUGH = "touch /tmp/enough;killall nc;"


def reaches_guest():
    """Some packets are lost in a flood, on any interface."""
    return any(ping_guest() for _ in range(10))


def test_an_interface_that_goes_down_and_up_under_traffic(base, vhost):
    with tap() as name, guest(base, f"if={name}{vhost}", FLOOD + "sleep 10000") as vm, traffic():
        vm.expect("card ready")
        assert reaches_guest()
        for _ in range(50):
            ip("link", "set", name, "down")
            ip("link", "set", name, "up")
        assert reaches_guest()
        assert vm.process.poll() is None


def test_an_interface_that_goes_away_under_traffic_and_the_disk_does_not(base, vhost, tmp_path):
    content = os.urandom(4 << 20)
    disk = tmp_path / "disk"
    disk.write_bytes(content)
    script = FLOOD + "read go;md5sum /dev/vda;head -c 100 /dev/hwrng|wc -c"
    with tap() as name, guest(base, f"if={name}{vhost}", script, "--blk", f"path={disk},readonly=on", "--entropy") as vm:
        with traffic():
            vm.expect("card ready")
            assert reaches_guest()
            ip("link", "del", name)
        vm.send("go\n")
        vm.expect(hashlib.md5(content).hexdigest())
        vm.expect("100\r?\n")
        assert vm.wait() == 0


def test_pairs_and_ring_sizes_that_change(base, vhost):
    """ethtool -L sets pairs of queues; -G sizes of rings, for which Linux resets single queues."""
    def change(pairs, size):
        return (f"ethtool -L eth0 combined {pairs}&&ethtool -G eth0 rx {size} tx {size}&&echo changed to {pairs} {size};"
                f"ping -c 4 -W 5 {HOST};")

    again = ("D=/sys/bus/virtio/drivers/virtio_net;V=$(ls $D|grep virtio);echo $V>$D/unbind;echo $V>$D/bind;"
             f"ifconfig eth0 {GUEST} up;ethtool -L eth0 combined 2;")
    script = FLOOD + "cat /sys/class/net/eth0/device/features;" + "".join(
        change(*c) for c in ((2, 64), (1, 256), (2, 128), (1, 64), (2, 256))) + "ethtool -g eth0;" + ENOUGH + again + ECHO
    threads = 1 if "on" in vhost else 2
    net = f"queue_pairs=2,iothreads={threads}{vhost}"
    with tap("multi_queue") as name, guest(base, f"if={name},{net}", script, cpus=2, initramfs="initramfs-programs") as vm:
        bits = vm.expect(r"([01]{64})\r?\n").group(1)
        assert bits[40:41] == b"1", bits  # RING_RESET
        if threads == 2:
            vm.expect_thread("virtio-net-0.1")
        with traffic():
            for change_to in ("2 64", "1 256", "2 128", "1 64", "2 256"):
                vm.expect("changed to " + change_to)
                vm.expect("[1-4] packets received")
        vm.expect(r"Current hardware settings:(.|\n)*RX:\s+256\r?\n(.|\n)*TX:\s+256\r?\n")
        transfer(vm, 1 << 20)
        assert vm.wait() == 0


def test_jumbo_frames(base, vhost):
    with tap() as name:
        ip("link", "set", name, "mtu", "9000")
        with guest(base, f"if={name},mtu=9000{vhost}", f"cat /sys/class/net/eth0/mtu;ping -c 2 -W 10 -s 8900 {HOST}") as vm:
            vm.expect("9000")
            vm.expect("2 packets received")
            assert vm.wait() == 0


def test_ipvtap(base):
    """The guest shares the lower interface's address, and the host's side must know its IP address."""
    lower, own, other, space = "aldummy0", "alipvtap0", "alipvlan0", "alspace"
    if ip("link", "add", lower, "type", "dummy", check=False):
        pytest.skip("no dummy interfaces here")
    try:
        if ip("link", "add", "link", lower, "name", own, "type", "ipvtap", "mode", "l2", check=False):
            pytest.skip("no ipvtap here")
        ip("netns", "add", space)
        ip("link", "add", "link", lower, "name", other, "type", "ipvlan", "mode", "l2")
        ip("link", "set", other, "netns", space)
        ip("-n", space, "addr", "add", f"{HOST}/24", "dev", other)
        ip("-n", space, "link", "set", other, "up")
        ip("addr", "add", f"{GUEST}/32", "dev", own)
        for name in (lower, own):
            ip("link", "set", name, "up")
        with open(f"/sys/class/net/{own}/ifindex", encoding="ascii") as f:
            device = "/dev/tap" + f.read().strip()
        with open(f"/sys/class/net/{lower}/address", encoding="ascii") as f:
            address = f.read().strip()
        with guest(base, f"tap={device}", f"cat /sys/class/net/eth0/address;ping -c 2 -W 10 {HOST}") as vm:
            vm.expect(address)
            vm.expect("[12] packets received")
            assert vm.wait() == 0
    finally:
        ip("netns", "del", space, check=False)
        ip("link", "del", lower, check=False)


def test_macvtap(base):
    """The guest has the interface's own address, and reaches its neighbour on the same lower interface."""
    names = ("aldummy0", "almacvtap0", "almacvlan0")
    if ip("link", "add", names[0], "type", "dummy", check=False):
        pytest.skip("no dummy interfaces here")
    try:
        if ip("link", "add", "link", names[0], "name", names[1], "type", "macvtap", "mode", "bridge", check=False):
            pytest.skip("no macvtap here")
        ip("link", "add", "link", names[0], "name", names[2], "type", "macvlan", "mode", "bridge")
        ip("addr", "add", f"{HOST}/24", "dev", names[2])
        for name in names:
            ip("link", "set", name, "up")
        with open(f"/sys/class/net/{names[1]}/ifindex", encoding="ascii") as f:
            device = "/dev/tap" + f.read().strip()
        with open(f"/sys/class/net/{names[1]}/address", encoding="ascii") as f:
            address = f.read().strip()
        with guest(base, f"tap={device}", "cat /sys/class/net/eth0/address;" + ECHO) as vm:
            vm.expect(address)
            assert ping_guest()
            transfer(vm, 1 << 20)
            assert vm.wait() == 0
    finally:
        ip("link", "del", names[0], check=False)


def test_descriptor_of_a_tap(base):
    """As a privileged parent hands it over: the monitor itself needs no rights."""
    with tap() as name, open("/dev/net/tun", "r+b", buffering=0) as f:
        # TUNSETIFF with IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
        fcntl.ioctl(f, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x5002))
        with guest(base, f"fd={f.fileno()}", ECHO, pass_fds=(f.fileno(),)) as vm:
            vm.expect("card ready")
            transfer(vm, 1 << 20)
            assert vm.wait() == 0


def test_two_guests_on_a_pair_of_sockets(base):
    """A network of two VMs that needs neither an interface of the host nor any rights."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(guest(base, f"fd={end.fileno()}", script, address=address,
                                                   pass_fds=(end.fileno(),)))
                         for end, script, address in (
                             (ends[0], "while :;do sleep 1;done", HOST),
                             (ends[1], f"sleep 3;ping -c 3 -W 10 {HOST};ping -c 1 -W 1 10.77.0.9", GUEST)))
        for end in ends:
            end.close()
        first.expect("card ready")
        second.expect("[123] packets received")
        second.expect("100% packet loss")
        assert second.wait() == 0


def test_bad_interfaces_are_one_clear_error(base, tmp_path):
    def refused(net, *parts, status=1):
        got, _, err = run("boot", *base, "--net", net)
        assert got == status
        for part in parts:
            assert part in err

    refused("tap,mac=x,if=altest0", "mac=x is not like", status=2)
    refused("mtu=1500", "give an interface", status=2)
    refused("if=altest0,fd=5", "fd excludes if", status=2)
    refused("if=altest0,queue_pairs=17", "17 is out of range", status=2)
    refused("if=altest0,iothreads=2", "iothreads=2 is more than queue_pairs=1", status=2)
    refused("if=altest0,queue_pairs=2,iothreads=2,vhost=on", "nothing to do with vhost=on", status=2)
    refused("fd=77", "Cannot use the descriptor fd=77")
    refused(f"tap={tmp_path}/none", "Cannot open", "No such file")
    with tap() as name:
        refused(f"if={name},queue_pairs=2", "with 2 queues", "multi_queue")
        with guest(base, f"if={name}", "sleep 1000") as vm:
            vm.expect("card ready")
            refused(f"if={name}", "another process has it")
