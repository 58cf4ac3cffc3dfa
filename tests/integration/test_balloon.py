# SPDX-License-Identifier: Apache-2.0
"""The memory balloon under Linux' driver: what the guest gives up, or frees, leaves the host's memory too."""
import re
import time

import pytest
from conftest import data, in_lab
from lib import NONE, LibVM, memory, wait_for
from vm import VM, run

MIB = 1 << 20
# The guest's /tmp takes 100 MiB at most, half of its memory.
FILL = "dd if=/dev/zero of=/tmp/fill bs=1M count={0} 2>/dev/null"
KEEP = "dd if=/dev/urandom of=/tmp/keep bs=1M count=16 2>/dev/null; md5sum /tmp/keep"


def start(tmp_path, balloon, mem="size=256M", **options):
    vm = LibVM(tmp_path / "console", {"kernel": data("debian12-cloud.bzImage"), "initramfs": data("initramfs-modules"),
                                      "memory": mem, "cmdline": "console=ttyS0 quiet", "balloon": balloon, **options})
    vm.expect("poweroff -f to leave")
    vm.expect("# ")
    return vm


def balloon_reaches(vm, size):
    wait_for(lambda: vm.balloon().actual == size)


@pytest.mark.parametrize("backing", ("anon", pytest.param("anon,thp=on", marks=pytest.mark.long),
                                     pytest.param("anon,shared=on", marks=pytest.mark.long), "memfd"))
def test_what_the_guest_gives_up_leaves_the_host(tmp_path, backing):
    kind = "Shmem" if "memfd" in backing or "shared" in backing else "Anon"
    before = memory()[kind]
    with start(tmp_path, "deflate_on_oom=off", f"size=256M,backend={backing}") as vm:
        kept = vm.run(KEEP)
        vm.run(FILL.format(80) + "; rm /tmp/fill")
        full = memory()[kind]
        assert full - before > 120 * MIB
        vm.set_balloon(128 * MIB)
        balloon_reaches(vm, 128 * MIB)
        info = vm.balloon()
        print(f"{backing}: {(full - before) >> 20} MiB, then {(memory()[kind] - before) >> 20}, returned {info.returned >> 20}")
        # Some of the pages that it gives up had never been touched; what is left is not in the balloon.
        assert full - memory()[kind] > 64 * MIB
        assert memory()[kind] - before < 132 * MIB
        assert info.returned == 128 * MIB
        assert vm.run("md5sum /tmp/keep") == kept.splitlines()[-1] + "\n"
        assert int(vm.run("grep MemTotal /proc/meminfo").split()[1]) < 128 << 10
        vm.set_balloon(0)
        balloon_reaches(vm, 0)
        assert vm.run(FILL.format(80) + "; tr -d '\\0' </tmp/fill | wc -c") == "0\n"
        assert memory()[kind] - before > 120 * MIB
        assert vm.run("md5sum /tmp/keep") == kept.splitlines()[-1] + "\n"


@pytest.mark.parametrize("packed", ("on", pytest.param("off", marks=pytest.mark.long)))
def test_driver_and_features(tmp_path, packed):
    with start(tmp_path, f"size=32M,free_page_reporting=on,packed={packed}") as vm:
        bits = vm.run("cat /sys/bus/virtio/drivers/virtio_balloon/virtio*/features")
        # The driver takes PAGE_POISON only when its pages have a content that counts.
        assert bits[:6] == "111101"
        assert bits[34] == ("1" if packed == "on" else "0")
        balloon_reaches(vm, 32 * MIB)
        driver = "cd /sys/bus/virtio/drivers/virtio_balloon; D=$(ls | grep virtio)"
        vm.run(driver + "; for i in $(seq 20); do echo $D >unbind; echo $D >bind; done; cd /")
        balloon_reaches(vm, 32 * MIB)
        assert vm.balloon(20000).statistic("total") != NONE


def test_statistics_are_those_of_the_guest(tmp_path):
    with start(tmp_path, None) as vm:
        vm.run(KEEP)
        info = vm.balloon(20000)
        meminfo = {m[1]: int(m[2]) << 10 for m in re.finditer(r"(\w+):\s+(\d+) kB", vm.run("cat /proc/meminfo"))}
        assert info.statistics_age_ms < 20000
        assert info.statistic("total") == meminfo["MemTotal"]
        assert abs(info.statistic("free") - meminfo["MemFree"]) < 8 * MIB
        assert abs(info.statistic("available") - meminfo["MemAvailable"]) < 8 * MIB
        assert info.statistic("swap_in") == 0
        assert info.statistic("minor_faults") > 0
        vm.run(FILL.format(64))
        assert info.statistic("free") - vm.balloon(20000).statistic("free") > 48 * MIB


def test_a_guest_without_memory_takes_it_back(tmp_path):
    with start(tmp_path, "size=160M") as vm:
        balloon_reaches(vm, 160 * MIB)
        assert vm.run(FILL.format(80) + "; wc -c </tmp/fill") == f"{80 * MIB}\n"
        assert vm.balloon().actual < 150 * MIB
        assert vm.run("dmesg | grep -c -i 'killed process'") == "0\n"


@pytest.mark.parametrize("backing", ("anon", "memfd"))
def test_freed_memory_is_reported(tmp_path, backing):
    kind = "Shmem" if backing == "memfd" else "Anon"
    before = memory()[kind]
    with start(tmp_path, "free_page_reporting=on", f"size=256M,backend={backing}") as vm:
        kept = vm.run(KEEP)
        vm.run(FILL.format(80))
        full = memory()[kind]
        assert full - before > 120 * MIB
        vm.run("rm /tmp/fill")
        wait_for(lambda: full - memory()[kind] > 64 * MIB)
        print(f"{backing}: {(full - before) >> 20} MiB, then {(memory()[kind] - before) >> 20}")
        assert vm.balloon().actual == 0
        assert vm.run("md5sum /tmp/keep") == kept.splitlines()[-1] + "\n"
        assert vm.run(FILL.format(80) + "; tr -d '\\0' </tmp/fill | wc -c") == "0\n"


@pytest.mark.parametrize("poison", ("init_on_free=1", pytest.param("page_poison=1", marks=pytest.mark.long)))
def test_reported_pages_keep_what_the_guest_counts_on(tmp_path, poison):
    """With zeros in free pages they go; with another value (where the kernel has it) they stay."""
    with start(tmp_path, "free_page_reporting=on", cmdline=f"console=ttyS0 quiet {poison}") as vm:
        kept = vm.run(KEEP)
        for _ in range(3):
            vm.run(FILL.format(80) + "; rm /tmp/fill")
            time.sleep(3)
        assert vm.run("md5sum /tmp/keep") == kept.splitlines()[-1] + "\n"
        assert vm.run("dmesg | grep -c -i -e corrupt -e 'bad page'") == "0\n"
        print(f"{poison}: {vm.balloon().returned >> 20} MiB")
        if poison == "init_on_free=1":
            assert vm.balloon().returned > 0


def test_hints_tell_how_much_is_free(tmp_path):
    with start(tmp_path, None) as vm:
        kept = vm.run(KEEP)
        free = vm.balloon(20000).statistic("free")
        for _ in range(3):
            hinted = vm.hint()
            print(f"free {free >> 20} MiB, hinted {hinted >> 20}")
            assert free / 2 < hinted < free + 16 * MIB
            # The pages become the guest's again when its driver sees that the host is done.
            wait_for(lambda: vm.balloon(20000).statistic("free") > free - 16 * MIB)
        assert vm.run("md5sum /tmp/keep") == kept.splitlines()[-1] + "\n"


def test_huge_pages_go_back_when_they_are_whole(tmp_path):
    pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/"

    def free():
        with open(pool + "free_hugepages", encoding="ascii") as f:
            return int(f.read())

    if in_lab():
        with open(pool + "nr_hugepages", "w", encoding="ascii") as f:
            f.write("160\n")
    if free() < 128:
        pytest.skip("no huge pages are reserved on this host")
    with start(tmp_path, None, "size=256M,hugetlb=2M") as vm:
        kept = vm.run(KEEP)
        vm.run(FILL.format(80) + "; rm /tmp/fill")
        full = free()
        vm.set_balloon(128 * MIB)
        balloon_reaches(vm, 128 * MIB)
        info = vm.balloon()
        print(f"huge pages: {full} free, then {free()}; returned {info.returned >> 20} MiB")
        assert info.returned >= 64 * MIB
        assert info.returned % (2 * MIB) == 0
        assert vm.run("md5sum /tmp/keep") == kept.splitlines()[-1] + "\n"
        vm.set_balloon(0)
        balloon_reaches(vm, 0)
        assert vm.run(FILL.format(80) + "; tr -d '\\0' </tmp/fill | wc -c") == "0\n"
        assert vm.run("md5sum /tmp/keep") == kept.splitlines()[-1] + "\n"


def test_command_line(base):
    args = list(base)
    args[args.index("--initramfs") + 1] = data("initramfs-modules")
    args[args.index("--memory") + 1] = "size=256M,prealloc=on"
    with VM("boot", *args, "--balloon", "size=96M", "--cmdline",
            "console=ttyS0 quiet alioth.run=echo+up;sleep+600") as vm:
        vm.expect("up\r?\n")
        wait_for(lambda: memory(vm.process.pid)["Anon"] < 176 * MIB)
    status, _, err = run("boot", *base, "--balloon", "size=1G")
    assert status == 2 and "is all of the guest's" in err
    status, _, err = run("boot", *base, "--balloon", "sise=1M")
    assert status == 2 and "Unknown key 'sise'; did you mean 'size'?" in err


def test_entropy_keeps_its_rate(base):
    args = list(base)
    args[args.index("--initramfs") + 1] = data("initramfs-modules")
    script = "read a b </proc/uptime;head -c 8192 /dev/hwrng|wc -c;read c d </proc/uptime;echo took:${c%.*}:${a%.*}:"
    with VM("boot", *args, "--entropy", "rate=1k", "--cmdline",
            "console=ttyS0 quiet alioth.run=" + script.replace(" ", "+")) as vm:
        vm.expect(r"\n8192\r?\n")
        end, begin = vm.expect(r"took:(\d+):(\d+):").groups()
        print(f"8 KiB at 1 KiB/s took {int(end) - int(begin)} s")
        assert int(end) - int(begin) >= 6
        assert vm.wait() == 0
