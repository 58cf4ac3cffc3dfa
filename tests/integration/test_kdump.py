# SPDX-License-Identifier: Apache-2.0
"""A guest that panics with a crash kernel loaded: that kernel runs, with pvpanic there, and what it does in the end counts."""
import pytest

from conftest import data
from test_devices import QUIET
from test_kexec import MIB, padded
from vm import VM

EVENT = "Guest panic, crash kernel loaded, by pvpanic"
# With it Linux tells pvpanic, and that a crash kernel is loaded; otherwise it starts that at once.
TELL = "crash_kexec_post_notifiers"


@pytest.mark.parametrize("option,end,words,status", [
    ("-c", "poweroff", TELL, 0),
    pytest.param("-s", "reboot", "", 0, marks=pytest.mark.long),
    pytest.param("-s", "panic", TELL, 4, marks=pytest.mark.long)])
def test_crash_kernel_runs_after_a_panic(tmp_path, option, end, words, status):
    """-c is the kexec_load system call, where kexec prepares everything itself; -s is kexec_file_load."""
    kernel = padded(data("debian12-cloud.bzImage"), tmp_path / "kernel")
    initramfs = padded(data("initramfs-kdump"), tmp_path / "initramfs")
    dump = tmp_path / "dump"
    dump.write_bytes(bytes(MIB))
    disks = ["--blk", f"path={kernel},readonly=on", "--blk", f"path={initramfs},readonly=on", "--blk", f"path={dump}"]
    with VM("-l", "info", "boot", "--kernel", kernel, "--initramfs", initramfs, "--memory", "size=512M", "--cpu", "count=2", "--pvpanic", *disks,
            "--cmdline", QUIET + f"crashkernel=192M {words} alioth.run=kdump.sh+/dev/vda+/dev/vdb+/dev/vdc+{option}+{end}") as vm:
        vm.expect("loaded: 1\r?\n")
        vm.expect(r"crash kernel: 1 processor, vmcore of \d{9} bytes\r?\n")
        if end == "reboot":
            vm.expect("kept until now: 1\r?\n")
        assert vm.wait() == status
        assert (EVENT in vm.error_text()) == (words == TELL), vm.error_text()
    assert dump.read_bytes().count(b"sysrq: Trigger a crash") == 1
