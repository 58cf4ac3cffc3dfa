# SPDX-License-Identifier: Apache-2.0
"""Whole systems on disks: the Debian image of tools/images/debian.sh, with a seed of tools/images/seed.sh."""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import data
from test_clock import CLOCKS, assert_right, lost_ticks
from test_firmware import STORE, VARIABLE, uefi, variables  # pylint: disable=unused-import  # a fixture
from test_linuxboot import loader
from vm import VM

pytestmark = pytest.mark.long

PASSWORD = "it's a word"
HOSTNAME = "seeded-7"
# A system of some hundred processes, in an emulated host.
BOOT = 600


def system(name):
    with open(data("disk-system"), encoding="utf-8") as f:
        return os.path.join(f.read().strip(), name)


@pytest.fixture
def seed(tmp_path):
    path = str(tmp_path / "seed.img")
    shutil.copy(data("seed.img"), path)
    return path


@pytest.fixture
def raw(tmp_path):
    path = str(tmp_path / "disk.raw")
    subprocess.run(["cp", "--sparse=always", system("disk.raw"), path], check=True)
    yield path
    os.unlink(path)


@pytest.fixture
def qcow2(tmp_path):
    """The options of --blk for an image over the system's own disk, which stays as it is."""
    path, back = str(tmp_path / "disk.qcow2"), system("disk.raw")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", back, "-F", "raw", path], check=True)
    return f"path={path},format=qcow2,backing={back}"


@pytest.fixture
def image(tmp_path):
    """The options of --blk for an image as debian.sh makes it for people: qcow2, with room to grow."""
    path = str(tmp_path / "debian.qcow2")
    shutil.copy(data("debian.qcow2"), path)
    yield f"path={path},format=qcow2"
    os.unlink(path)


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def direct(disk, seed):
    """Arguments of alioth for a direct kernel boot."""
    return ["boot", "--kernel", system("vmlinuz"), "--initramfs", system("initrd.img"), "--cmdline", "root=/dev/vda2 console=ttyS0 quiet",
            "--memory", "size=512M", "--blk", disk, "--blk", f"path={seed},readonly=on", "--entropy"]


def log_in(vm):
    vm.expect(f"{HOSTNAME} login: ", BOOT)
    vm.send("debian\n")
    vm.expect("assword: ")
    vm.send(PASSWORD + "\n")
    vm.expect(r"debian@" + HOSTNAME + r":.*\$ ")


def output_of(vm, command):
    """What a command in the guest prints."""
    vm.send(f"echo begin''ning; {command}; echo en''ded\n")
    vm.expect("beginning\r?\n")
    start = vm.seen
    match = vm.expect("ended\r?\n")
    return vm.output[start:match.start()].decode(errors="replace").replace("\r\n", "\n")


def be_patient(vm):
    """From its next start on the system waits for its devices, the terminal above all, for longer than 90 s: an emulated host may be busy."""
    output_of(vm, "sudo sh -c 'cd /etc/systemd; mkdir system.conf.d; printf \"[Manager]\\nDefaultDeviceTimeoutSec=600\\n\" >system.conf.d/patient.conf'")


def assert_healthy(vm):
    """Nothing failed; asked when cloud-init, which writes to the console, has done its part."""
    assert "status: done" in output_of(vm, "cloud-init status --wait")
    assert b"Invalid cloud-config" not in vm.output
    before = time.time()
    lost, guest = output_of(vm, f"sudo {CLOCKS} | tr '\\n' ' '; date +,%s.%N").rsplit(",", 1)
    assert_right((before, float(guest) + lost_ticks(lost), time.time(), lost_ticks(lost)))
    state = output_of(vm, "systemctl is-system-running --wait")
    assert state == "running\n", output_of(vm, "systemctl --failed --no-pager --plain")
    assert output_of(vm, "systemctl --failed --no-legend --plain --no-pager") == ""


def power_off(vm):
    vm.send("sudo poweroff\n")
    assert vm.wait(BOOT) == 0


def assert_root_is_clean(raw):
    """The file system was unmounted in order."""
    part = raw + ".root"
    subprocess.run(["dd", f"if={raw}", f"of={part}", "bs=1M", "skip=33", "conv=sparse", "status=none"], check=True)
    try:
        header = subprocess.run(["/sbin/dumpe2fs", "-h", part], check=True, capture_output=True, text=True).stdout
        assert "Filesystem state:         clean" in header and "needs_recovery" not in header
    finally:
        os.unlink(part)


def test_direct_kernel_boot_of_a_raw_disk(raw, seed):
    with VM(*direct(f"path={raw}", seed)) as vm:
        log_in(vm)
        assert_healthy(vm)
        vm.send("sudo reboot\n")
        log_in(vm)
        assert_healthy(vm)
        power_off(vm)
    assert_root_is_clean(raw)


def test_sigterm_shuts_a_qcow2_system_down_in_order(image, seed):
    with VM(*direct(image, seed)) as vm:
        log_in(vm)
        assert output_of(vm, "hostname") == HOSTNAME + "\n"
        assert_healthy(vm)
        assert 1900 < int(output_of(vm, "df -m --output=size / | tail -n 1")) < 2048
        be_patient(vm)
        output_of(vm, "sudo sh -c 'mkdir -p /var/log/journal; systemctl restart systemd-journald; journalctl --flush'")
        vm.signal(signal.SIGTERM)
        assert vm.wait(BOOT) == 0
    # What the journal kept says that it was the button, and that everything was stopped.
    with VM(*direct(image, seed)) as vm:
        log_in(vm)
        log = output_of(vm, "sudo journalctl -b -1 --no-pager -o cat | grep -E 'Power key pressed|Reached target (Power-Off|poweroff|.*System Power Off)'")
        assert "Power key pressed" in log and "ower" in log.splitlines()[-1] and len(log.splitlines()) >= 2, log
        power_off(vm)


def test_ten_reboots(qcow2, seed):
    with VM(*direct(qcow2, seed)) as vm:
        for n in range(10):
            log_in(vm)
            if n == 0:
                be_patient(vm)
            vm.send("sudo reboot\n")
        log_in(vm)
        assert_healthy(vm)
        power_off(vm)


def test_systemd_takes_credentials(qcow2, seed, tmp_path):
    """By SMBIOS, as text and in base64, and by fw_cfg."""
    (tmp_path / "binary").write_bytes(b"two\nlines\0")
    large = os.urandom(100000)
    (tmp_path / "large").write_bytes(large)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA test"
    with VM(*direct(qcow2, seed), "--credential", "name=login.motd,value=plain text",
            "--credential", f"name=binary,file={tmp_path}/binary", "--credential", f"name=ssh.authorized_keys.root,value={key}",
            "--fw-cfg", f"name=opt/io.systemd.credentials/large,file={tmp_path}/large",
            "--fw-cfg", "name=opt/io.systemd.credentials/short,string=by fw_cfg") as vm:
        log_in(vm)
        names = output_of(vm, "sudo systemd-creds --system --no-legend --no-pager list").split("\n")
        assert {"binary", "large", "short", "ssh.authorized_keys.root", "login.motd"} <= {name.split(" ")[0] for name in names}, names
        cat = "sudo systemd-creds --system --newline=no cat "
        assert output_of(vm, f"{cat} login.motd") == "plain text"
        assert output_of(vm, f"{cat} short") == "by fw_cfg"
        assert output_of(vm, f"{cat} binary | md5sum").startswith(md5(b"two\nlines\0"))
        assert output_of(vm, f"{cat} large | md5sum").startswith(md5(large))
        # What they are for: systemd-tmpfiles takes these.
        assert output_of(vm, "sudo cat /root/.ssh/authorized_keys").strip() == key
        assert output_of(vm, "cat /etc/motd.d/50-provision.conf").strip() == "plain text"
        power_off(vm)


def test_damaged_partition_table_says_so(tmp_path, seed):
    """The kernel's own initramfs tells what it misses, and the monitor does not hang."""
    path = tmp_path / "damaged.raw"
    with open(system("disk.raw"), "rb") as f:
        start = bytearray(f.read(1 << 20))
    start[:34 * 512] = bytes(b ^ 0xa5 for b in start[:34 * 512])
    path.write_bytes(bytes(start) + bytes(16 << 20))
    args = direct(f"path={path}", seed)
    args[args.index("--cmdline") + 1] += " rootdelay=5 panic=1"
    with VM(*args, "--no-reboot") as vm:
        vm.expect("/dev/vda2 does not exist", BOOT)
        assert vm.wait(BOOT) == 6


def test_linuxboot_starts_it_from_its_own_menu(raw, seed):
    with VM(*loader(raw), "--blk", f"path={seed},readonly=on") as vm:
        for leave in ("sudo reboot\n", "sudo poweroff\n"):
            vm.expect(r"\*  1  vda2 +Debian GNU/Linux\r?\n", BOOT)
            log_in(vm)
            assert_healthy(vm)
            vm.send(leave)
        assert vm.wait(BOOT) == 0
    assert_root_is_clean(raw)


def test_firmware_and_grub_with_variables_that_persist(qcow2, seed, variables):
    disks = ["--blk", qcow2, "--blk", f"path={seed},readonly=on", "--entropy"]
    with uefi(variables, *disks) as vm:
        log_in(vm)
        assert_healthy(vm)
        output_of(vm, f"printf '\\007\\000\\000\\000kept' | sudo tee {VARIABLE} >/dev/null")
        vm.send("sudo reboot\n")
        log_in(vm)
        assert output_of(vm, f"tail -c 4 {VARIABLE}; ls -d {STORE}").startswith("kept")
        power_off(vm)
    with uefi(variables, *disks) as vm:
        log_in(vm)
        assert output_of(vm, f"tail -c 4 {VARIABLE}; ls -d {STORE}").startswith("kept")
        power_off(vm)


def test_firmware_starts_the_entry_of_grub_install_and_sigterm_ends_it(qcow2, seed, variables):
    """grub-install adds an entry for \\EFI\\debian, SIGTERM shuts down in order, and a new machine with these variables starts by it."""
    disks = ["--blk", qcow2, "--blk", f"path={seed},readonly=on", "--entropy", "--power-button-timeout", "300"]
    with uefi(variables, *disks) as vm:
        log_in(vm)
        assert_healthy(vm)
        assert "No error reported" in output_of(vm, "sudo grub-install 2>&1")
        vm.signal(signal.SIGTERM)
        assert vm.wait(BOOT) == 0
    with uefi(variables, *disks) as vm:
        log_in(vm)
        entries = output_of(vm, "sudo efibootmgr -v | cat")
        current = re.search(r"BootCurrent: (\w+)", entries).group(1)
        assert re.search(rf"Boot{current}\* debian\t.*\\EFI\\debian\\grubx64.efi", entries, re.IGNORECASE), entries
        vm.signal(signal.SIGTERM)
        assert vm.wait(BOOT) == 0
