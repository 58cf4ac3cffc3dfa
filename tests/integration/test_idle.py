# SPDX-License-Identifier: Apache-2.0
"""A guest that does nothing costs nothing: no thread of the monitor but its vCPUs wakes up, nor one that the kernel made for it."""
import os
import re
import time

from conftest import data
from test_devices import QUIET
from test_net import tap
from vm import VM

SECONDS = 10
# Every device works: disks with flushes, discards and zeros just before they are to be idle.
SCRIPT = """cat /dev/vda /dev/vdb|wc -c
for d in vda vdb;do dd if=/dev/zero of=/dev/$d bs=64k count=4 conv=fsync;blkdiscard -o 262144 -l 262144 /dev/$d;/bin/fallocate -z -o 524288 -l 262144 /dev/$d;done
echo stored|dd of=/dev/pmem0 bs=4096 conv=fsync
cat /sys/class/watchdog/watchdog0/identity /sys/bus/virtio/drivers/virtio_balloon/*/status /sys/class/virtio-ports/*/name
echo port>/dev/$(cd /sys/class/virtio-ports;ls|head -n 1)
ifconfig eth0 10.77.0.2 up;ping -c 3 10.77.0.1;head -c 64 /dev/hwrng|wc -c;echo idle;sleep 1000"""
PARTS = ("virtio-blk-0", "virtio-blk-0-io", "virtio-blk-1", "virtio-net-0", "virtio-entropy", "virtio-balloon", "virtio-console",
         "virtio-pmem-0", "vm-control")


def switches(pid):
    """Context switches of each thread that is no vCPU: name -> number."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii") as f:
            status = f.read()
        name = re.search(r"Name:\s+(\S+)", status).group(1)
        if not re.match(r"vcpu\d", name):
            found[f"{name} {tid}"] = sum(int(n) for n in re.findall(r"voluntary_ctxt_switches:\s+(\d+)", status))
    return found


def quiet(vm):
    """What the threads did in one of three spans: a guest may have something to do now and then, for its own reasons."""
    for _ in range(3):
        before = switches(vm.process.pid)
        time.sleep(SECONDS)
        after = switches(vm.process.pid)
        woken = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name)}
        if not woken:
            return before, {}
    return before, woken


def test_an_idle_guest_wakes_no_thread(disk, tmp_path):
    slow = tmp_path / "slow.img"
    slow.write_bytes(bytes(1 << 20))
    line = QUIET + "ipv6.disable=1 alioth.run=" + SCRIPT.replace("\n", ";").replace(" ", "+")
    with tap() as name, VM("boot", "--kernel", data("debian13-cloud.bzImage"), "--initramfs", data("initramfs-devices"),
                           "--memory", "size=256M", "--blk", f"path={disk}", "--blk", f"path={slow},iops=1000,api=mio",
                           "--net", f"if={name}", "--entropy", "--balloon", "size=16M", "--pmem", f"path={tmp_path}/pmem,size=16M",
                           "--console", "stdio", "--console", "null,name=agent", "--watchdog", "--pvpanic", "--cmdline", line) as vm:
        vm.expect("[123] packets received")
        vm.expect("\nidle\r?\n")
        time.sleep(3)
        threads, woken = quiet(vm)
        assert not woken, vm.text()
        # All devices have been active, and the kernel has made no thread for the disks.
        for part in PARTS:
            assert any(thread.startswith(part + " ") for thread in threads), (part, threads, vm.text())
        assert not any(thread.startswith("iou-") for thread in threads), threads
