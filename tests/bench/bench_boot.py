#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Start-up of alioth and of QEMU, measured in turn on a host with KVM; run by `make bench-boot`.

Figures, each the median of all runs:
  entry   exec to the first KVM_RUN: kernel trace events sched_process_exec and kvm_entry (us)
  init    exec to the line that the guest's /init prints first (us)
  private private memory besides guest RAM when that line is printed (KiB), from smaps

With --entry-only the guest need not run: the first ioctl(KVM_RUN) counts as entry, and nothing else is measured. Warm cache and
QEMU are left out.

Needs root, tracefs and QEMU.
"""
import argparse
import json
import os
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from smaps import private_kib  # noqa: E402

TRACEFS = "/sys/kernel/tracing"
MARKER = b"alioth guest ready"
RAM_MIB = 128
# The event that is the first entry: (folder of the event, what its trace line is called, filter).
KVM_ENTRY = ("kvm/kvm_entry", "kvm_entry", "")
IOCTL_KVM_RUN = ("syscalls/sys_enter_ioctl", "sys_ioctl", "cmd == 0xae80")


def trace_write(name, text):
    with open(f"{TRACEFS}/{name}", "w", encoding="ascii") as f:
        f.write(text)


def trace_setup(event):
    if not os.path.isdir(f"{TRACEFS}/events"):
        subprocess.run(["mount", "-t", "tracefs", "none", TRACEFS], check=True)
    trace_write("trace_clock", "mono")
    trace_write("buffer_size_kb", "512")
    if event[2]:
        trace_write(f"events/{event[0]}/filter", event[2])
    for name in ("sched/sched_process_exec", event[0]):
        trace_write(f"events/{name}/enable", "1")


def trace_arm(event):
    """Empties the buffer; the first entry ends the trace, so that tracing costs nothing later."""
    trigger = "traceoff:1" + (f" if {event[2]}" if event[2] else "")
    trace_write("tracing_on", "0")
    trace_write("trace", "")
    try:
        trace_write(f"events/{event[0]}/trigger", "!" + trigger)
    except OSError:
        pass
    trace_write(f"events/{event[0]}/trigger", trigger)
    trace_write("tracing_on", "1")


def trace_read(program, event):
    """Times in seconds of the program's exec and of the first entry after it."""
    start = entry = None
    line_re = re.compile(r"\s(\d+\.\d+): (\w+)(?:: |\()(.*)")
    with open(f"{TRACEFS}/trace", encoding="utf-8", errors="replace") as f:
        for line in f:
            m = line_re.search(line)
            if not m:
                continue
            if m.group(2) == "sched_process_exec" and f"filename={program} " in m.group(3) + " ":
                start = float(m.group(1))
            elif m.group(2) == event[1] and start is not None and entry is None:
                entry = float(m.group(1))
    return start, entry


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()


def run_once(argv, wait_for_init, timeout, event):
    trace_arm(event)
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    result = {}
    output = b""
    deadline = time.monotonic() + timeout
    try:
        while wait_for_init:
            ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
            data = os.read(process.stdout.fileno(), 65536) if ready else b""
            now = time.clock_gettime(time.CLOCK_MONOTONIC)
            output += data
            if not data:
                raise RuntimeError(f"{argv[0]}: no sign of /init; it printed: {output[-2000:]!r}")
            if MARKER in output:
                result["init"] = now
                result["private"] = private_kib(process.pid, RAM_MIB)
                break
        while not wait_for_init:
            start, entry = trace_read(argv[0], event)
            if entry is not None or time.monotonic() > deadline:
                break
            time.sleep(0.01)
    finally:
        stop(process)
    start, entry = trace_read(argv[0], event)
    if start is None or entry is None:
        raise RuntimeError(f"{argv[0]}: no exec or {event[1]} in the trace")
    figures = {"entry": (entry - start) * 1e6}
    if wait_for_init:
        figures["init"] = (result["init"] - start) * 1e6
        figures["private"] = result["private"]
    return figures


def run_tried(name, argv, wait_for_init, timeout, event):
    """The emulated host is not perfect: a run that never reaches /init is made again, and said to be."""
    for attempt in range(3):
        try:
            return run_once(argv, wait_for_init, timeout, event)
        except RuntimeError as error:
            print(f"# {name}: attempt {attempt + 1} failed: {error}", file=sys.stderr, flush=True)
    raise SystemExit(f"{name}: three attempts failed")


def qemu(machine, kernel, initramfs, cmdline):
    return ["/usr/bin/qemu-system-x86_64", "-M", machine, "-enable-kvm", "-cpu", "host", "-m", str(RAM_MIB),
            "-smp", "1", "-kernel", kernel, "-initrd", initramfs, "-append", cmdline, "-nodefaults",
            "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]


def alioth(args, kernel, extra, cpus=1):
    return [args.alioth, "boot", "--kernel", kernel, "--initramfs", args.initramfs, "--cmdline", args.cmdline,
            "--memory", f"size={RAM_MIB}M", "--cpu", f"count={cpus}"] + extra


def contenders(args, cache):
    """name -> (argv, whether the guest reaches /init, what to do before each run)."""
    def empty_cache():
        for name in os.listdir(cache):
            os.unlink(os.path.join(cache, name))

    warm = ["--kernel-cache", cache + "-warm"]
    cold = ["--kernel-cache", cache]
    table = {}
    if args.minimal:
        table["minimal"] = ([args.minimal], False, None)
    if args.vmlinux:
        table["alioth vmlinux"] = (alioth(args, args.vmlinux, []), True, None)
    for cpus in args.cpus:
        table[f"alioth vmlinux, {cpus} vCPUs"] = (alioth(args, args.vmlinux, [], cpus), True, None)
    if args.entry_only:
        return {name: (argv, False, None) for name, (argv, _, _) in table.items()}
    table["alioth bzImage, warm cache"] = (alioth(args, args.kernel, warm), True, None)
    table["alioth bzImage, cold cache"] = (alioth(args, args.kernel, cold), True, empty_cache)
    table["alioth bzImage, no cache"] = (alioth(args, args.kernel, []), True, None)
    for machine in [] if args.no_qemu else ["microvm", "q35"]:
        table[f"qemu {machine}"] = (qemu(machine, args.kernel, args.initramfs, args.cmdline), True, None)
    return table


def report(results, as_json):
    if as_json:
        print(json.dumps(results, indent=1))
    medians = {name: {k: statistics.median(r[k] for r in runs) for k in runs[0]} for name, runs in results.items()}
    print("| monitor | runs | exec to first KVM_RUN, us | exec to /init, ms | private, KiB |")
    print("|---|---|---|---|---|")
    for name, m in medians.items():
        init = f"{m['init'] / 1000:.0f}" if "init" in m else "-"
        private = f"{m['private']:.0f}" if "private" in m else "-"
        print(f"| {name} | {len(results[name])} | {m['entry']:.0f} | {init} | {private} |")
    return medians


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alioth", required=True)
    parser.add_argument("--kernel", required=True, help="bzImage")
    parser.add_argument("--vmlinux", help="the same kernel, unpacked")
    parser.add_argument("--initramfs", required=True)
    parser.add_argument("--cpus", type=int, nargs="*", default=[], help="more numbers of vCPUs to try the vmlinux with")
    parser.add_argument("--minimal", help="the built tests/bench/minimal_kvm.c")
    parser.add_argument("--cmdline", default="console=ttyS0 quiet alioth.run=:")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--no-qemu", action="store_true")
    parser.add_argument("--entry-only", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    event = IOCTL_KVM_RUN if args.entry_only else KVM_ENTRY
    trace_setup(event)
    cache = tempfile.mkdtemp(prefix="alioth-bench-")
    os.mkdir(cache + "-warm", 0o700)
    table = contenders(args, cache)
    results = {name: [] for name in table}
    for i in range(args.runs + 1):
        for name, (argv, init, before) in table.items():
            if before:
                before()
            figures = run_tried(name, argv, init, args.timeout, event)
            if i:  # the first round warms the page cache and the kernel cache
                results[name].append(figures)
            print(f"# round {i}: {name}: {figures}", file=sys.stderr, flush=True)
    report(results, args.json)


if __name__ == "__main__":
    main()
