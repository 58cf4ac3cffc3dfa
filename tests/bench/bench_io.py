#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The data path of alioth and of QEMU, measured in turn on a host with KVM; run by `make bench-io`.

The guests run fio, iperf3 and ping_pong; this program tells them what, on their consoles (io_guest.sh), and looks at the monitor's
counters before and after. Disk: null_blk with memory, which answers at once, so that what is measured is the way there. Network: a TAP.

All monitors run at the same time, and are idle but for the one that is measured. Each measurement is made with the kernel's tracing
first, for what can only be counted so and to warm up; then in rounds, one monitor after the other, so that what else the host does
meets all of them. The ratios are medians of the rounds' ratios, and in brackets those of the best rounds. Figures an
operation (a request of the disk, a packet or a 64 KiB piece of a stream, a transaction):
  io us     processor time of the monitor's threads that are no vCPUs, those of the kernel for it (vhost, io_uring) too; schedstat
  vcpu us   processor time of the vCPU threads outside of the guest: their run time less guest_time
  irq       interrupts of the device in the guest (/proc/interrupts)
  notify    the guest's writes to MMIO: notifications (kvm:kvm_mmio)
  sys       system calls of the monitor's threads but the vCPUs' (raw_syscalls:sys_enter)
  exits     of the vCPUs, for any reason (KVM's counter)

Needs root, tracefs, debugfs and QEMU.
"""
import argparse
import base64
import gzip
import json
import os
import re
import select
import statistics
import subprocess
import sys
import time

TRACING = "/sys/kernel/tracing"
TRACE = TRACING + "/instances/alioth-io"
DEBUG_KVM = "/sys/kernel/debug/kvm"
RAM_MIB = 512
PORT = 5201
SECTION = 65536  # bytes of a stream that count as one operation


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


# ---- Counters of the host


def trace_setup():
    if not os.path.isdir(TRACING + "/events"):
        subprocess.run(["mount", "-t", "tracefs", "none", TRACING], check=True)
    if not os.path.isdir(DEBUG_KVM):
        subprocess.run(["mount", "-t", "debugfs", "none", "/sys/kernel/debug"], check=True)
    os.makedirs(TRACE, exist_ok=True)


class Counting:
    """Counts by thread while it lasts: what the kernel traces."""
    EVENTS = {"sys": ("raw_syscalls/sys_enter", "hist:keys=common_pid"),
              "notify": ("kvm/kvm_mmio", "hist:keys=common_pid if type == 2")}

    def __enter__(self):
        for event, trigger in self.EVENTS.values():
            write(f"{TRACE}/events/{event}/trigger", trigger)
        return self

    def take(self):
        """name -> {tid: count}"""
        counts = {}
        for name, (event, _) in self.EVENTS.items():
            text = read(f"{TRACE}/events/{event}/hist")
            counts[name] = {int(m.group(1)): int(m.group(2))
                            for m in re.finditer(r"common_pid:\s*(\d+) *\} hitcount:\s*(\d+)", text)}
        return counts

    def __exit__(self, *_):
        for event, trigger in self.EVENTS.values():
            write(f"{TRACE}/events/{event}/trigger", "!" + trigger)


def threads(pid):
    """tid -> (is it a vCPU, seconds of processor time, seconds of them in the guest)"""
    found = {}
    tick = os.sysconf("SC_CLK_TCK")
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            name = read(f"/proc/{pid}/task/{tid}/comm")
            ran = int(read(f"/proc/{pid}/task/{tid}/schedstat").split()[0]) / 1e9
            stat = read(f"/proc/{pid}/task/{tid}/stat").rpartition(")")[2].split()
        except OSError:
            continue
        found[int(tid)] = (bool(re.match(r"vcpu\d|CPU \d+/KVM", name)), ran, int(stat[40]) / tick)
    return found


def kvm_exits(pid):
    folders = [d for d in os.listdir(DEBUG_KVM) if d.startswith(f"{pid}-")]
    return sum(int(read(f"{DEBUG_KVM}/{d}/exits")) for d in folders)


def spent(before, after, vcpu, column):
    zero = (vcpu, 0, 0)
    return sum(now[column] - before.get(tid, zero)[column] for tid, now in after.items() if now[0] == vcpu)


# ---- The guest


class Guest:
    """One run of a monitor whose guest takes commands."""

    def __init__(self, name, argv, device, host, timeout):
        self.name = name
        self.device = device  # its interrupts, a regular expression
        self.host = host      # address of the servers
        self.timeout = timeout
        self.output = b""
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.pid = self.process.pid

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def until(self, pattern):
        """What the console says up to there, and the match."""
        deadline = time.monotonic() + self.timeout
        while True:
            match = re.search(pattern, self.output)
            if match:
                text, self.output = self.output[:match.start()], self.output[match.end():]
                return text.decode(errors="replace"), match
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise RuntimeError(f"the guest says no more: {self.output[-4000:]!r}")
            self.output += data

    def begin(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def end(self):
        text, match = self.until(rb"io done:(\d+)\r?\n")
        if match.group(1) != b"0":
            raise RuntimeError(f"status {match.group(1)} in the guest: {text[-1500:]!r}")
        return text

    def run(self, command):
        self.begin(command)
        return self.end()

    def fetch(self, path):
        return gzip.decompress(base64.b64decode(self.run(f"gzip -c {path}|base64"))).decode()

    def interrupts(self):
        text = self.run("cat /proc/interrupts")
        total = 0
        for line in text.splitlines():
            words = line.split()
            if words and re.match(self.device, words[-1]):
                total += sum(int(w) for w in words[1:] if w.isdigit())
        return total


# ---- Measurements: each runs for some seconds and tells its figures


def run_fio(guest, spec, seconds):
    rw, size, depth, jobs = spec
    guest.run(f"fio --name=x --filename=/dev/vda --direct=1 --ioengine=libaio --rw={rw} --bs={size} --iodepth={depth} --numjobs={jobs} "
              f"--size=256M --time_based --runtime={seconds} --group_reporting --percentile_list=50:99 --randrepeat=1 "
              "--output-format=json --output=/tmp/out")
    return lambda: fio_figures(guest, "read" if "read" in rw else "write", size)


def fio_figures(guest, way, size):
    text = guest.fetch("/tmp/out")
    result = json.loads(text[text.index("{"):])["jobs"][0][way]
    percentiles = result["clat_ns"]["percentile"]
    return {"ops": result["total_ios"], "rate": result["iops"], "unit": "MB/s" if size == "128k" else "IOPS",
            "scale": 0.131072 if size == "128k" else 1,
            "p50": percentiles["50.000000"] / 1000, "p99": percentiles["99.000000"] / 1000}


def run_iperf(guest, spec, seconds):
    guest.run(f"iperf3 -c {guest.host} -p {PORT} -t {seconds} -J {spec} --logfile /tmp/out; rm -f /tmp/last; mv /tmp/out /tmp/last")
    return lambda: iperf_figures(guest, "-u" in spec)


def iperf_figures(guest, udp):
    end = json.loads(guest.fetch("/tmp/last"))["end"]
    if udp:
        total = end["sum"]
        arrived = total["packets"] - total["lost_packets"]
        return {"ops": arrived, "rate": arrived / total["seconds"], "unit": "packets/s", "scale": 1}
    total = end["sum_received"]
    return {"ops": total["bytes"] / SECTION, "rate": total["bits_per_second"] / 8 / SECTION, "unit": "MB/s",
            "scale": SECTION / 1e6}


def run_ping_pong(guest, _, seconds):
    n, p50, p99 = guest.run(f"ping_pong ask {guest.host} {PORT + 1} {seconds}").split()
    return lambda: {"ops": int(n), "rate": int(n) / seconds, "unit": "transactions/s", "scale": 1, "p50": float(p50), "p99": float(p99)}


FIO = [(f"{rw} 4k, depth {depth}, {jobs} queue{'s' if jobs > 1 else ''}", run_fio, (rw, "4k", depth, jobs))
       for jobs in (1, 4) for depth in (1, 32) for rw in ("randread", "randwrite")]
FIO += [(f"{rw} 128k, depth 8, 1 queue", run_fio, (rw, "128k", 8, 1)) for rw in ("read", "write")]
NET = [("tcp to host", run_iperf, ""), ("tcp to guest", run_iperf, "-R"), ("udp 64 bytes to host", run_iperf, "-u -b 0 -l 64"),
       ("udp 64 bytes to guest", run_iperf, "-u -b 0 -l 64 -R"), ("tcp 1 byte request, response", run_ping_pong, None)]


def count(guest, run, spec, seconds):
    """What the kernel's tracing tells."""
    with Counting() as counting:
        figures = run(guest, spec, seconds)
        counts = counting.take()
    ops = figures()["ops"]
    vcpus = {tid for tid, t in threads(guest.pid).items() if t[0]}
    tids = threads(guest.pid)
    return {"notify": sum(counts["notify"].get(tid, 0) for tid in vcpus) / ops,
            "sys": sum(counts["sys"].get(tid, 0) for tid in tids if tid not in vcpus) / ops}


def measure(guest, run, spec, seconds):
    """Everything else."""
    irqs = guest.interrupts()
    exits, before = kvm_exits(guest.pid), threads(guest.pid)
    figures = run(guest, spec, seconds)
    after, exits = threads(guest.pid), kvm_exits(guest.pid) - exits
    result = figures()
    ops = result["ops"]
    # The console that tells of it has interrupts of its own.
    result["irq"] = (guest.interrupts() - irqs) / ops
    result["exits"] = exits / ops
    result["io us"] = spent(before, after, False, 1) * 1e6 / ops
    result["vcpu us"] = (spent(before, after, True, 1) - spent(before, after, True, 2)) * 1e6 / ops
    result["cpu us"] = result["io us"] + result["vcpu us"]
    return result


def run_rounds(args, guests, name, run, spec):
    """name -> rounds of each guest, in turn."""
    counts = {g.name: count(g, run, spec, args.seconds) for g in guests}
    rounds = {g.name: [] for g in guests}
    for _ in range(args.rounds):
        for g in guests:
            rounds[g.name].append(measure(g, run, spec, args.seconds) | counts[g.name])
            print(f"# {name}: {g.name}: {json.dumps(rounds[g.name][-1])}", file=sys.stderr, flush=True)
    return rounds


# ---- Contenders


def alioth(args, cpus, extra):
    return [args.alioth, "boot", "--kernel", args.kernel, "--initramfs", args.initramfs, "--cmdline", args.cmdline, "--memory",
            f"size={RAM_MIB}M", "--cpu", f"count={cpus}", *extra]


def qemu(args, cpus, extra):
    return ["/usr/bin/qemu-system-x86_64", "-name", "bench,debug-threads=on", "-M", "q35", "-enable-kvm", "-cpu", "host", "-m", str(RAM_MIB),
            "-smp", str(cpus), "-kernel", args.kernel, "-initrd", args.initramfs, "-append", args.cmdline, "-nodefaults", "-no-user-config",
            "-display", "none", "-serial", "stdio", "-no-reboot", *extra]


def alioth_blk(args, cpus, disk):
    return alioth(args, cpus, ["--blk", f"path={disk},cache=none,queues={cpus}{args.alioth_blk}"])


def qemu_blk(args, cpus, disk):
    return qemu(args, cpus, ["-object", "iothread,id=io", "-drive", f"file={disk},format=raw,if=none,id=d,cache=none,aio=io_uring", "-device",
                             f"virtio-blk-pci,drive=d,iothread=io,num-queues={cpus},disable-legacy=on"])


def alioth_net(args, tap, mac, vhost):
    return alioth(args, 1, ["--net", f"if={tap},mac={mac},vhost={vhost}{args.alioth_net}"])


def qemu_net(args, tap, mac, vhost):
    return qemu(args, 1, ["-netdev", f"tap,id=n,ifname={tap},script=no,downscript=no,vhost={vhost}", "-device",
                          f"virtio-net-pci,netdev=n,mac={mac},disable-legacy=on"])


def blk_guests(args, cpus):
    for disk, (name, argv) in enumerate((("alioth", alioth_blk), ("qemu", qemu_blk))):
        yield Guest(name, argv(args, cpus, f"/dev/nullb{disk}"), r"virtio\d+-req", None, args.timeout)


def net_guests(args, _):
    n = 0
    for vhost in ("off", "on"):
        for name, argv in (("alioth", alioth_net), ("qemu", qemu_net)):
            yield Guest(f"{name}, vhost={vhost}", argv(args, f"albench{n}", f"52:54:00:78:00:0{n}", vhost), r"virtio\d+-(in|out)put",
                        f"10.78.{n}.1", args.timeout)
            n += 1


def run_guests(args, make, cpus, tests):
    """A group of measurements that need the same guests."""
    results = {}
    guests = []
    try:
        for guest in make(args, cpus):
            guests.append(guest)
            guest.until(b"io guest ready\r?\n")
            if guest.host:
                guest.run(f"ifconfig lo up; ifconfig eth0 {guest.host[:-1]}2 up; ping -c 3 {guest.host}")
        for name, run, spec in tests:
            results[name] = run_rounds(args, guests, name, run, spec)
    finally:
        for guest in guests:
            guest.stop()
    return results


def tried(args, make, cpus, tests):
    """The emulated host is not perfect: what did not come to its end is done again, and said to be."""
    for attempt in range(3):
        try:
            return run_guests(args, make, cpus, tests)
        except (RuntimeError, OSError, ValueError) as error:
            print(f"# attempt {attempt + 1} failed: {error}", file=sys.stderr, flush=True)
    raise SystemExit("three attempts failed")


# ---- The host


def host_disks(modules):
    """Two of null_blk with memory; completions come in the softirq."""
    options = ["nr_devices=2", "gb=1", "queue_mode=2", "irqmode=1", "memory_backed=1", "submit_queues=2", "hw_queue_depth=256"]
    if os.path.exists("/dev/nullb1"):
        return
    if not modules:
        subprocess.run(["modprobe", "null_blk", *options], check=True)
        return
    for name in sorted(os.listdir(modules)):
        subprocess.run(["busybox", "insmod", f"{modules}/{name}", *(options if "null_blk" in name else [])], check=False,
                       stderr=subprocess.DEVNULL)


def host_net(args):
    """The TAPs, and the servers that the guests talk to."""
    for n in range(4):
        subprocess.run(["ip", "tuntap", "add", f"albench{n}", "mode", "tap"], check=True)
        subprocess.run(["ip", "addr", "add", f"10.78.{n}.1/24", "dev", f"albench{n}"], check=True)
        subprocess.run(["ip", "link", "set", f"albench{n}", "up"], check=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return [subprocess.Popen(["iperf3", "-s", "-p", str(PORT)], **quiet),
            subprocess.Popen([args.ping_pong, "serve", str(PORT + 1)], **quiet)]


# ---- The report


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def number(value, digits=1):
    return "-" if value is None else f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.0f}"


def ratio(runs, base, key, best):
    """The median of the rounds' ratios, and of the best rounds: what else the host does makes none better."""
    return f"{number(median(a[key] / b[key] for a, b in zip(runs, base)), 2)} " \
           f"({number(best(r[key] for r in runs) / best(r[key] for r in base), 2)})"


def report_row(name, monitor, runs, base):
    m = {key: median(r.get(key) for r in runs)
         for key in ("rate", "p50", "p99", "cpu us", "io us", "vcpu us", "irq", "notify", "sys", "exits")}
    ratios = (ratio(runs, base, "rate", max), ratio(runs, base, "cpu us", min)) if base else ("", "")
    print(f"| {name} | {monitor} | {len(runs)} | {number(m['rate'] * runs[0]['scale'], 0)} {runs[0]['unit']} | {ratios[0]} | "
          f"{number(m['p50'], 0)}, {number(m['p99'], 0)} | {number(m['cpu us'])} ({number(m['io us'])} + {number(m['vcpu us'])}) | "
          f"{ratios[1]} | {number(m['irq'], 2)} | {number(m['notify'], 2)} | {number(m['sys'], 2)} | {number(m['exits'], 2)} |")


def report(results):
    """results: measurement -> monitor -> rounds"""
    print("| | monitor | rounds | rate | of QEMU's | p50, p99 us | CPU us/op (io + vcpu) | of QEMU's | irq/op | notify/op | sys/op | exits/op |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, monitors in results.items():
        for monitor, runs in monitors.items():
            base = monitors.get(monitor.replace("alioth", "qemu")) if "alioth" in monitor else None
            report_row(name, monitor, runs, base)


def merge(results, more):
    for name, monitors in more.items():
        for monitor, runs in monitors.items():
            results.setdefault(name, {}).setdefault(monitor, []).extend(runs)


def keep(path, results):
    if path:
        with open(path, "w", encoding="ascii") as f:
            json.dump(results, f)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alioth", required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initramfs", required=True, help="with io_guest.sh, fio, iperf3 and ping_pong")
    parser.add_argument("--ping-pong", required=True, help="the built tests/bench/ping_pong.c")
    parser.add_argument("--cmdline", default="console=ttyS0 quiet mitigations=off alioth.run=io_guest.sh")
    parser.add_argument("--alioth-blk", default="", help="more for --blk, such as ',packed=off'")
    parser.add_argument("--alioth-net", default="", help="more for --net")
    parser.add_argument("--only", default="", help="regular expression for the names of measurements")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=90)
    parser.add_argument("--modules", help="folder of null_blk's modules; modprobe otherwise")
    parser.add_argument("--results", help="file of figures, read and written: further rounds are added")
    args = parser.parse_args()

    trace_setup()
    results = {}
    if args.results and os.path.exists(args.results):
        with open(args.results, encoding="ascii") as f:
            results = json.load(f)
    blk = [t for t in FIO if re.search(args.only, "blk " + t[0])]
    net = [t for t in NET if re.search(args.only, "net " + t[0])]
    groups = [(blk_guests, cpus, [t for t in blk if t[2][3] == cpus]) for cpus in (1, 4)] + [(net_guests, 1, net)]
    servers = []
    if blk:
        host_disks(args.modules)
    try:
        if net:
            servers = host_net(args)
        for make, cpus, tests in groups:
            if tests:
                merge(results, tried(args, make, cpus, tests))
                keep(args.results, results)
    finally:
        for server in servers:
            server.kill()
        for n in range(4 if servers else 0):
            subprocess.run(["ip", "link", "del", f"albench{n}"], check=False)
    report(results)


if __name__ == "__main__":
    main()
