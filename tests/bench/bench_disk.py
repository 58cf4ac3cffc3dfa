#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time from exec to the login prompt of a Debian disk image, by every way in, with alioth and with QEMU: each contender in turn, every
time on a fresh overlay of the same image in memory, once with a cloud-init seed. tools/bench_disk.sh calls it."""
import argparse
import os
import select
import shutil
import statistics
import subprocess
import tempfile
import time

CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
CMDLINE = "root=/dev/vda2 console=ttyS0 quiet"


def time_to(text, command, limit):
    """Seconds from starting a command to a text in its output; None if it does not come. The command is killed then."""
    start = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        output = b""
        taken = None
        while time.monotonic() - start < limit:
            if not select.select([process.stdout], [], [], 1)[0]:
                continue
            data = os.read(process.stdout.fileno(), 65536)
            output = output[-4096:] + data
            if text in output:
                taken = time.monotonic() - start
                break
            if not data:
                break
        process.kill()
    return taken


def contenders(args, folder):
    """Name to command, each for the disk overlay.qcow2 and the variables vars.fd in a folder."""
    disk, variables = f"{folder}/overlay.qcow2", f"{folder}/vars.fd"
    alioth = [args.alioth, "boot", "--memory", "size=512M", "--blk", f"path={disk},format=qcow2,backing={folder}/disk.raw", "--entropy"]
    qemu = [args.qemu, "-M", "q35", "-accel", "kvm", "-cpu", "host", "-m", "512", "-nodefaults", "-no-user-config", "-display", "none",
            "-serial", "stdio", "-drive", f"if=virtio,format=qcow2,file={disk}", "-device", "virtio-rng-pci"]
    kernel, initrd = f"{args.system}/vmlinuz", f"{args.system}/initrd.img"
    loader = f"{args.loader}/vmlinuz", f"{args.loader}/initramfs"
    flash = ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={CODE}", "-drive", f"if=pflash,format=raw,unit=1,file={variables}"]
    by_kernel = [*alioth, "--kernel", kernel, "--initramfs", initrd, "--cmdline", CMDLINE]
    qemu_by_kernel = [*qemu, "-kernel", kernel, "-initrd", initrd, "-append", CMDLINE]
    return {
        "alioth, kernel": by_kernel,
        "QEMU q35, kernel": qemu_by_kernel,
        "alioth, kernel and seed": [*by_kernel, "--blk", f"path={args.seed},readonly=on"],
        "QEMU q35, kernel and seed": [*qemu_by_kernel, "-drive", f"if=virtio,format=raw,readonly=on,file={args.seed}"],
        "alioth, OVMF and GRUB": [*alioth, "--firmware", f"{CODE},vars={variables}"],
        "QEMU q35, OVMF and GRUB": [*qemu, *flash],
        "alioth, LinuxBoot": [*alioth, "--kernel", loader[0], "--initramfs", loader[1], "--cmdline", "console=ttyS0 quiet linuxboot.timeout=1"],
        "QEMU q35, LinuxBoot": [*qemu, "-kernel", loader[0], "-initrd", loader[1], "-append", "console=ttyS0 quiet linuxboot.timeout=1"],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--alioth", required=True)
    parser.add_argument("--qemu", default="/usr/bin/qemu-system-x86_64")
    parser.add_argument("--system", required=True, help="folder of tools/images/debian.sh")
    parser.add_argument("--loader", required=True, help="folder of tools/images/linuxboot.sh")
    parser.add_argument("--seed", required=True, help="image of tools/images/seed.sh")
    parser.add_argument("--rounds", type=int, default=3, help="that count; the first one, before them, does not")
    parser.add_argument("--only", default="", help="contenders with this text in their names")
    parser.add_argument("--limit", type=int, default=600, help="seconds until a start has failed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cp", "--sparse=always", f"{args.system}/disk.raw", folder], check=True)
        commands = {name: command for name, command in contenders(args, folder).items() if args.only in name}
        times = {name: [] for name in commands}
        for number in range(args.rounds + 1):
            for name, command in commands.items():
                overlay = f"{folder}/overlay.qcow2"
                subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", f"{folder}/disk.raw", "-F", "raw", overlay], check=True)
                shutil.copy(VARS, f"{folder}/vars.fd")
                taken = time_to(b" login: ", command, args.limit)
                print(f"round {number}: {name}: {'failed' if taken is None else f'{taken:.1f} s'}", flush=True)
                if number and taken is not None:
                    times[name].append(taken)
        print("\n| way | exec to login, s | rounds |\n|---|---|---|")
        for name, taken in times.items():
            print(f"| {name} | {statistics.median(taken):.1f} | {len(taken)} |" if taken else f"| {name} | failed | 0 |")


if __name__ == "__main__":
    main()
