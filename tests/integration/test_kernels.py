# SPDX-License-Identifier: Apache-2.0
"""Each of Debian's kernels drives every device, on both kinds of rings, with what features it knows."""
import hashlib
import os

import pytest
from conftest import KERNELS, data
from test_devices import QUIET
from test_net import HOST, pytestmark, tap  # noqa: F401 (needs root and TUN)
from test_virtio import EVENT_IDX, PACKED, RING_RESET, VERSION_1
from vm import VM

IN_ORDER, NOTIFICATION_DATA = 35, 38
MIB = 1 << 20
# Linux 6.1 and 6.12: data in notifications came with 6.4.
KNOWS = {"debian12": {EVENT_IDX, VERSION_1, RING_RESET}, "debian13": {EVENT_IDX, VERSION_1, RING_RESET, NOTIFICATION_DATA}}


def features(text):
    return {i for i, bit in enumerate(text.decode()) if bit == "1"}


@pytest.mark.parametrize("kernel,packed", [
    ("debian13-generic", "on"), ("debian13-generic", "off"),
    *(pytest.param(k, p, marks=pytest.mark.long) for k in KERNELS if k != "debian13-generic" for p in ("on", "off"))])
def test_devices_with_all_features_of_a_kernel(tmp_path, kernel, packed):
    path = tmp_path / "disk"
    content = os.urandom(4 * MIB)
    path.write_bytes(content)
    # Debian 12's cloud kernel has no driver for it.
    watchdog = "" if kernel == "debian12-cloud" else "&&within_time watchdog_works"
    script = ("cd /sys/bus/virtio/devices;for i in 0 1 2 3 4 5;do cat virtio$i/features;done;ifconfig eth0 10.77.0.2 up;"
              "md5sum </dev/vda;dd if=/dev/vda of=/dev/vda bs=64k count=8 seek=32 conv=fsync 2>/dev/null;"
              f"head -c 64 /dev/hwrng|wc -c;ping -c 2 -W 10 {HOST};"
              ". devices.sh;within_time pmem_syncs 7&&within_time has_inflated 1024&&within_time port_says agent said&&"
              f"within_time console_says said{watchdog};echo others:$?;"
              f"ethtool -G eth0 rx 64 tx 128&&ping -c 2 -W 10 {HOST};ethtool -g eth0|grep -A9 Current")
    with tap() as name, VM("boot", "--kernel", data(kernel + ".bzImage"), "--initramfs", data("initramfs-" + kernel), "--memory",
                           "size=512M", "--cpu", "count=2", "--blk", f"path={path},packed={packed}", "--net",
                           f"tap,if={name},packed={packed}", "--entropy", f"packed={packed}", "--pmem",
                           f"path={tmp_path}/pmem,size=32M,packed={packed}", "--balloon", f"size=4M,packed={packed}", "--console",
                           "stdio", "--console", f"log,path={tmp_path}/agent,name=agent,packed={packed}", "--console",
                           f"log,path={tmp_path}/console,device=virtio,packed={packed}", "--watchdog", "--cmdline",
                           QUIET + "alioth.run=" + script.replace(" ", "+")) as vm:
        taken = [features(vm.expect(r"([01]{64})\r?\n").group(1)) for _ in range(6)]
        vm.expect(hashlib.md5(content).hexdigest())
        vm.expect("\n64\r?\n")
        vm.expect("2 packets received")
        vm.expect("others:0\r?\n")
        # Rings of another size: Linux resets single queues for that.
        vm.expect("2 packets received")
        vm.expect(r"RX:\s+64\s")
        vm.expect(r"TX:\s+128\s")
        assert vm.wait() == 0
        assert "needs a reset" not in vm.error_text() and "broke" not in vm.error_text(), vm.error_text()
    assert path.read_bytes() == content[:2 * MIB] + content[:MIB // 2] + content[2 * MIB + MIB // 2:]
    transport = {EVENT_IDX, VERSION_1, PACKED, IN_ORDER, NOTIFICATION_DATA, RING_RESET}
    known = KNOWS[kernel.split("-")[0]]
    chosen = known | ({PACKED} if packed == "on" else set())
    assert [t & transport for t in taken] == [chosen] * 6
    assert (tmp_path / "agent").read_text() == (tmp_path / "console").read_text() == "said\n"
