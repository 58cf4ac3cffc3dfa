# SPDX-License-Identifier: Apache-2.0
"""fio with verification on raw and qcow2 disks, whose drivers go and come under I/O."""
import pytest
from conftest import data
from test_blk import needs_qemu_img, qemu_img
from test_devices import QUIET
from vm import VM

SIZE = "16M"


@needs_qemu_img
@pytest.mark.parametrize("packed,seconds", [("on", 20), pytest.param("on", 300, marks=pytest.mark.long),
                                            pytest.param("off", 300, marks=pytest.mark.long)])
def test_no_mismatch(tmp_path, packed, seconds):
    raw, qcow2 = str(tmp_path / "raw"), str(tmp_path / "qcow2")
    qemu_img("create", "-q", "-f", "raw", raw, SIZE)
    qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=16k", qcow2, SIZE)
    with VM("boot", "--kernel", data("debian12-cloud.bzImage"), "--initramfs", data("initramfs-fio"), "--memory", "size=768M",
            "--cpu", "count=2", "--blk", f"path={raw},packed={packed},queues=4,iothreads=2,api=io_uring",
            "--blk", f"path={qcow2},format=qcow2,packed={packed}",
            "--cmdline", QUIET + f"alioth.run=fio_rounds.sh+{seconds}") as vm:
        vm.expect_thread("virtio-blk-0.1")
        rounds, cut = (int(n or 0) for n in vm.expect(r"fio rounds: (\d+) done, (\d+)|FAILED", timeout=seconds + 300).groups())
        assert rounds > 0 and cut > 0, vm.text()[-4000:]
        assert vm.wait() == 0
    qemu_img("check", "-q", "-f", "qcow2", qcow2)
    print(f"{rounds} rounds, {cut} requests cut off in {seconds} s")
