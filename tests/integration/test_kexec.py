# SPDX-License-Identifier: Apache-2.0
"""A guest that starts its kernel anew without a reset of the machine: every device survives, also with I/O under way."""
import hashlib
import os
import socket
import threading

import pytest
from conftest import data
from test_devices import QUIET
from test_net import GUEST, pytestmark, tap  # noqa: F401 (needs root and TUN)
from vm import VM

MIB = 1 << 20


def padded(source, target):
    """A copy in whole sectors, to be a disk."""
    content = source.read_bytes() if hasattr(source, "read_bytes") else open(source, "rb").read()
    with open(target, "wb") as f:
        f.write(content + bytes(-len(content) % 512))
    return str(target)


def flood(stop):
    """Packets for the guest all the time, so that its card writes to memory whenever it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        while not stop.wait(0.002):
            try:
                s.sendto(bytes(1200), (GUEST, 9))
            except OSError:
                pass


@pytest.mark.parametrize("rounds,packed", [(2, "on"), pytest.param(50, "on", marks=pytest.mark.long),
                                           pytest.param(50, "off", marks=pytest.mark.long)])
def test_devices_survive_kexec(tmp_path, rounds, packed):
    rings = f"packed={packed}"
    disk, pmem = tmp_path / "disk", tmp_path / "pmem"
    agent, console = tmp_path / "agent", tmp_path / "console"
    content = os.urandom(MIB)
    disk.write_bytes(content + bytes(7 * MIB))
    pmem.write_bytes(content[::-1] + bytes(31 * MIB))
    kernel = padded(data("debian13-cloud.bzImage"), tmp_path / "kernel")
    initramfs = padded(data("initramfs-rounds"), tmp_path / "initramfs")
    stop = threading.Event()
    digests = f"{hashlib.md5(content).hexdigest()} {hashlib.md5(content[::-1]).hexdigest()}"
    with tap() as name, VM("boot", "--kernel", kernel, "--initramfs", initramfs, "--memory", "size=512M", "--cpu", "count=2",
                           "--entropy", rings, "--net", f"tap,if={name},{rings}", "--blk", f"path={disk},{rings}",
                           "--blk", f"path={kernel},readonly=on", "--blk", f"path={initramfs},readonly=on",
                           "--pmem", f"path={pmem},{rings}", "--balloon", f"size=4M,free_page_reporting=on,{rings}",
                           "--console", "stdio", "--console", f"log,path={console},device=virtio,{rings}",
                           "--console", f"log,path={agent},name=agent", "--console", "null,name=noise", "--watchdog", "--cmdline",
                           QUIET + f"kexec.left={rounds} alioth.run=kexec_rounds.sh+/dev/vdb+/dev/vdc") as vm:
        host = threading.Thread(target=flood, args=(stop,))
        host.start()
        try:
            for left in range(rounds, -1, -1):
                vm.expect(f"kexec {left}: {digests} random:32 reached:yes said:yes given:yes synced:yes\r?\n")
            assert vm.wait() == 0
            assert "expired" not in vm.error_text()
        finally:
            stop.set()
            host.join()
    assert disk.read_bytes()[:MIB] == content
    assert pmem.read_bytes()[:MIB] == content[::-1]
    said = [f"kexec {left}" for left in range(rounds, -1, -1)]
    assert agent.read_text().splitlines() == said
    assert console.read_text().splitlines() == said
