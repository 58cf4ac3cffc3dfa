# SPDX-License-Identifier: Apache-2.0
"""A guest that does nothing costs nothing: no thread of the monitor but its vCPUs' wakes up.

Not counted are the kernel's own threads for io_uring (iou-wrk-N): one that ever worked for a ring looks every 5 s whether it may end,
and as the last one it may not (fs/io_uring's WORKER_IDLE_TIMEOUT). A flush needs one.
"""
import os
import re
import time

from test_devices import QUIET, modules
from test_net import tap
from vm import VM

SECONDS = 10


def switches(pid):
    """Context switches of each thread of ours that is no vCPU: name -> number."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii") as f:
            status = f.read()
        name = re.search(r"Name:\s+(\S+)", status).group(1)
        if not re.match(r"vcpu\d|iou-", name):
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


def test_an_idle_guest_wakes_no_thread(base, disk, tmp_path):
    slow = tmp_path / "slow.img"
    slow.write_bytes(bytes(1 << 20))
    script = "cat /dev/vda /dev/vdb|wc -c;ifconfig eth0 10.77.0.2 up;ping -c 3 10.77.0.1;head -c 64 /dev/hwrng|wc -c;echo idle;sleep 1000"
    with tap() as name, VM("boot", *modules(base), "--blk", f"path={disk}", "--blk", f"path={slow},iops=1000,api=mio", "--net", f"if={name}",
                           "--entropy", "--pvpanic", "--cmdline", QUIET + "ipv6.disable=1 alioth.run=" + script.replace(" ", "+")) as vm:
        vm.expect("[123] packets received")
        vm.expect("\nidle\r?\n")
        time.sleep(3)
        threads, woken = quiet(vm)
        assert not woken
        # All devices have been active.
        for part in ("virtio-blk-0", "virtio-blk-1", "virtio-net-0", "virtio-entropy", "vm-control"):
            assert any(thread.startswith(part) for thread in threads), threads
