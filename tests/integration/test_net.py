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

from conftest import data, in_lab
from lib import LibVM
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


def debian13(base):
    """For Linux 6.12, whose driver knows segmentation of UDP."""
    args = list(base)
    args[args.index("--kernel") + 1] = data("debian13-cloud.bzImage")
    return args


def guest(base, net, script, *options, cpus=1, address=GUEST, initramfs="initramfs-modules", **kwargs):
    """A VM whose guest configures its card, says "card ready" and runs the script (spaces are fine, plus signs are not)."""
    args = list(base)
    args[args.index("--initramfs") + 1] = data(initramfs)
    line = f"ifconfig eth0 {address} up;echo card ready;{script}".replace(" ", "+")
    return VM("boot", *args, *options, "--cpu", f"count={cpus}", "--net", net, "--cmdline", QUIET + "alioth.run=" + line, **kwargs)


# Bits of what the driver took.
GUEST_ANNOUNCE, RING_PACKED, RING_RESET, USO = 21, 34, 40, {54, 55, 56}
FEATURES = "cat /sys/class/net/eth0/device/features;"


def features(vm):
    """What FEATURES prints, as a set of bits."""
    bits = vm.expect(r"([01]{64})\r?\n").group(1).decode()
    return {i for i, bit in enumerate(bits) if bit == "1"}


def host_has_uso():
    return tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2]) >= (6, 2)


def has_open(vm, path):
    """Whether the monitor has it open."""
    fds = f"/proc/{vm.process.pid}/fd"
    return path in [os.readlink(f"{fds}/{fd}") for fd in os.listdir(fds)]


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
                              f"ping -c 2 -W 10 {HOST};cat /sys/class/net/eth0/address;{FEATURES}{ECHO};"
                              "ping -c 1 -W 10 " + HOST) as vm:
        vm.expect("card ready")
        vm.expect("2 packets received")
        vm.expect("52:54:00:aa:bb:cc")
        # CSUM, MTU, MAC, TSO, ECN, MRG_RXBUF, STATUS, CTRL_VQ, CTRL_RX, CTRL_VLAN, GUEST_ANNOUNCE, CTRL_MAC_ADDR
        taken = features(vm)
        assert {0, 1, 3, 5, 7, 8, 11, 12, 15, 16, 17, 18, 19, GUEST_ANNOUNCE, 23} <= taken, taken
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


class Traffic:
    """Datagrams to the guest without end, and a port for those that it sends."""

    def __init__(self):
        self.received = 0
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()

    def run(self):
        while not self.ends.wait(0.01):
            with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind((HOST, 9))
                s.connect((GUEST, 9))
                s.settimeout(0.001)
                self.exchange(s)

    def exchange(self, s):
        while not self.ends.is_set():
            with contextlib.suppress(ConnectionRefusedError):
                s.send(bytes(1000))
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                s.recv(2000)
                self.received += 1

    def expect(self, more=100):
        """Waits until so many more have come."""
        wanted = self.received + more
        deadline = time.monotonic() + TIMEOUT
        while self.received < wanted:
            assert time.monotonic() < deadline, f"{wanted - self.received} of {more} datagrams did not come"
            time.sleep(0.1)


FLOOD = f"datagrams flood {HOST} 9 &"
ENOUGH = "killall datagrams;"
FLOODS = "initramfs-programs"


def reaches_guest():
    """Some packets are lost in a flood, on any interface."""
    return any(ping_guest() for _ in range(10))


def test_an_interface_that_goes_down_and_up_under_traffic(base, vhost):
    with tap() as name, guest(base, f"if={name}{vhost}", FLOOD + "sleep 10000", initramfs=FLOODS) as vm, Traffic() as traffic:
        vm.expect("card ready")
        assert reaches_guest()
        traffic.expect()
        for _ in range(50):
            ip("link", "set", name, "down")
            ip("link", "set", name, "up")
        assert reaches_guest()
        traffic.expect()
        assert vm.process.poll() is None


def test_an_interface_that_goes_away_under_traffic_and_the_disk_does_not(base, vhost, tmp_path):
    content = os.urandom(4 << 20)
    disk = tmp_path / "disk"
    disk.write_bytes(content)
    script = FLOOD + "read go;md5sum /dev/vda;head -c 100 /dev/hwrng|wc -c"
    with tap() as name, guest(base, f"if={name}{vhost}", script, "--blk", f"path={disk},readonly=on", "--entropy",
                              initramfs=FLOODS) as vm:
        with Traffic() as traffic:
            vm.expect("card ready")
            assert reaches_guest()
            traffic.expect()
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
    script = FLOOD + FEATURES + "".join(
        change(*c) for c in ((2, 64), (1, 256), (2, 128), (1, 64), (2, 256))) + "ethtool -g eth0;" + ENOUGH + again + ECHO
    threads = 1 if "on" in vhost else 2
    net = f"queue_pairs=2,iothreads={threads}{vhost}"
    with tap("multi_queue") as name, guest(base, f"if={name},{net}", script, cpus=2, initramfs=FLOODS) as vm:
        assert RING_RESET in features(vm)
        if threads == 2:
            vm.expect_thread("virtio-net-0.1")
        with Traffic():
            for change_to in ("2 64", "1 256", "2 128", "1 64", "2 256"):
                vm.expect("changed to " + change_to)
                vm.expect("[1-4] packets received")
        vm.expect(r"Current hardware settings:(.|\n)*RX:\s+256\r?\n(.|\n)*TX:\s+256\r?\n")
        transfer(vm, 1 << 20)
        assert vm.wait() == 0


def test_jumbo_frames(base, vhost):
    """On an interface that was made for several pairs of queues, of which one is used."""
    with tap("multi_queue") as name:
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


def test_other_names_of_keys_and_vhost_that_can_be_had(base):
    """`if_name` and `qp` are `if` and `queue_pairs`. Debian 13's driver segments UDP where the host's TAP does."""
    with tap("multi_queue") as name, guest(debian13(base), f"if_name={name},qp=2,api=mio,vhost=auto",
                                           f"{FEATURES}ls -d /sys/class/net/eth0/queues/rx-*|wc -l;ping -c 2 -W 10 {HOST};read go",
                                           cpus=2, initramfs="initramfs-debian13-cloud") as vm:
        taken = features(vm)
        assert GUEST_ANNOUNCE in taken
        assert USO <= taken or not host_has_uso(), taken
        vm.expect(r"2\r?\nPING")
        vm.expect("2 packets received")
        vhost = os.path.exists("/dev/vhost-net")
        assert has_open(vm, "/dev/vhost-net") == vhost
        assert (RING_PACKED in taken) != vhost  # the kernel has split rings only
        vm.send("go\n")
        assert vm.wait() == 0


def test_vhost_that_cannot_be_had(base, monkeypatch):
    """A user who may open KVM only, on a TAP that the parent process has opened: `auto` goes on without vhost-net, `on` does not."""
    if not in_lab():
        pytest.skip("changes who may use KVM: in the lab only")
    os.chmod("/dev/kvm", 0o666)
    monkeypatch.setenv("ALIOTH_LOG", "info")
    demote = lambda: (os.setgroups([]), os.setgid(65534), os.setuid(65534))  # noqa: E731
    with tap() as name, open("/dev/net/tun", "r+b", buffering=0) as f:
        # TUNSETIFF with IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
        fcntl.ioctl(f, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x5002))
        child = {"pass_fds": (f.fileno(),), "preexec_fn": demote}
        with guest(debian13(base), f"fd={f.fileno()},api=io_uring,packed=off,vhost=auto", f"{FEATURES}ping -c 2 -W 10 {HOST}",
                   initramfs="initramfs-debian13-cloud", **child) as vm:
            taken = features(vm)
            assert RING_PACKED not in taken and GUEST_ANNOUNCE in taken
            assert USO <= taken or not host_has_uso(), taken
            vm.expect("2 packets received")
            assert vm.wait() == 0
            assert 'Cannot open "/dev/vhost-net"' in vm.error_text()
        status, _, err = run("boot", *base, "--net", f"fd={f.fileno()},vhost=on", **child)
        assert status == 1 and 'Cannot open "/dev/vhost-net"' in err


def test_a_guest_that_was_paused_announces_itself(base, tmp_path):
    """By ARP, which nobody asked for: the host may have forgotten where it is."""
    options = {"kernel": base[1], "initramfs": data("initramfs-modules"), "memory": "size=256M", "cmdline": QUIET}
    with tap() as name, LibVM(tmp_path / "console", {**options, "net": f"if={name}"}) as vm, socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        vm.expect("# ")
        vm.run(f"ifconfig eth0 {GUEST} up;ping -c 1 -W 10 {HOST}")
        s.bind((name, 0x0806))
        s.settimeout(TIMEOUT)
        vm.pause()
        vm.resume()
        # It looks for itself: addresses of the sender and of whom it wants.
        while (frame := s.recv(100))[28:32] != frame[38:42]:
            pass
        assert frame[28:32] == socket.inet_aton(GUEST)


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
