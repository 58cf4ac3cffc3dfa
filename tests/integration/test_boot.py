# SPDX-License-Identifier: Apache-2.0
"""Stock kernels reach their init, by every way in."""
import pytest

from conftest import KERNELS, data
from vm import VM

QUIET = "console=ttyS0 quiet "
CPUS = QUIET + "alioth.run=echo+cpus:$(nproc)"


def boots(args, cpus):
    with VM("-l", "debug", "boot", *args, "--initramfs", data("initramfs"), "--memory", "size=512M", "--cpu",
            f"count={cpus}", "--cmdline", CPUS) as vm:
        vm.expect(f"cpus:{cpus}")
        assert vm.wait() == 0
        return vm.error_text()


# Each kernel takes its time in the lab: the first one in every run, the others in the long run.
ALL = [KERNELS[0]] + [pytest.param(k, marks=pytest.mark.long) for k in KERNELS[1:]]
CPU_COUNTS = [1, pytest.param(4, marks=pytest.mark.long)]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("cpus", CPU_COUNTS)
def test_bzimage_unpacked_by_the_host(kernel, cpus):
    assert "Unpacked the kernel on the host" in boots(["--kernel", data(kernel + ".bzImage")], cpus)


@pytest.mark.parametrize("kernel", ALL)
def test_bzimage_unpacked_by_the_guest(kernel):
    log = boots(["--kernel", data(kernel + ".bzImage"), "--kernel-unpack", "guest"], 1)
    assert "unpacks its kernel itself" in log


@pytest.mark.parametrize("kernel", ALL)
@pytest.mark.parametrize("cpus", CPU_COUNTS)
def test_vmlinux(kernel, cpus):
    boots(["--kernel", data(kernel + ".vmlinux")], cpus)


@pytest.mark.parametrize("kernel", ALL)
@pytest.mark.parametrize("cpus", CPU_COUNTS)
def test_pvh(kernel, cpus):
    boots(["--pvh", data(kernel + ".vmlinux")], cpus)


def test_cache_is_filled_used_and_not_trusted_blindly(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    args = ["--kernel", data("debian12-cloud.bzImage"), "--kernel-cache", str(cache)]
    assert "Kept the unpacked kernel" in boots(args, 1)
    assert "Took the kernel from the cache" in boots(args, 1)
    entry, = cache.iterdir()
    entry.write_bytes(entry.read_bytes()[:100000])
    assert "Kept the unpacked kernel" in boots(args, 1)
    cache.chmod(0o777)
    assert "others can write to it" in boots(args, 1)


def test_nokaslr_is_respected():
    with VM("-l", "debug", "boot", "--kernel", data("debian12-cloud.bzImage"), "--initramfs", data("initramfs"),
            "--memory", "size=512M", "--cmdline", QUIET + "nokaslr alioth.run=echo+done") as vm:
        vm.expect("done")
        assert vm.wait() == 0
        assert "physical 0x1000000, virtual displacement 0" in vm.error_text()


@pytest.mark.parametrize("memory", ["size=128M"] + [
    pytest.param(m, marks=pytest.mark.long) for m in ("size=3G", "size=512M,backend=memfd", "size=512M,shared=on",
                                                      "size=512M,thp=on,prealloc=on")])
def test_memory(memory):
    with VM("boot", "--kernel", data("debian12-cloud.bzImage"), "--initramfs", data("initramfs"), "--memory", memory,
            "--cmdline", QUIET + "alioth.run=grep+MemTotal+/proc/meminfo") as vm:
        vm.expect(r"MemTotal: +\d+ kB")
        assert vm.wait() == 0


def test_topology_is_what_was_asked_for():
    with VM("boot", "--kernel", data("debian12-cloud.bzImage"), "--initramfs", data("initramfs"), "--memory",
            "size=256M", "--cpu", "count=4,topology=id_t", "-o", "id_t,smt=on,cores=2", "--cmdline",
            QUIET + "alioth.run=cat+/sys/devices/system/cpu/cpu*/topology/thread_siblings_list") as vm:
        # The lab's processor has no TOPOEXT, without which Linux 6.1 sees no siblings on AMD.
        vm.expect("0,2\r?\n1,3\r?\n0,2\r?\n1,3|0\r?\n1\r?\n2\r?\n3")
        assert vm.wait() == 0


def test_machine_has_no_errors_in_its_tables(base):
    with VM("boot", *base, "--entropy", "--pvpanic", "--cmdline",
            QUIET + "alioth.run=dmesg|grep+-v+-i+-E+'command.line|report.a.bug'|"
            "grep+-c+-i+-E+'(ACPI|PCI).*(error|invalid|bug)'") as vm:
        vm.expect("\n0\r?\n")
        assert vm.wait() == 0
