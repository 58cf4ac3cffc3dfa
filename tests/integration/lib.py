# SPDX-License-Identifier: Apache-2.0
"""A VM by libalioth, in the process of the tests: what the command line cannot do while it runs."""
import ctypes
import os
import re
import select
import socket
import time

from vm import TIMEOUT

BUILD = os.environ.get("ALIOTH_BUILD", "build/dev")
NONE = 2**64 - 1
STATISTICS = ["swap_in", "swap_out", "major_faults", "minor_faults", "free", "total", "available", "caches",
              "huge_pages_allocated", "huge_pages_failed", "oom_kills", "allocation_stalls", "async_scans",
              "direct_scans", "async_reclaims", "direct_reclaims"]


class Balloon(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("target", ctypes.c_uint64), ("actual", ctypes.c_uint64),
                ("returned", ctypes.c_uint64), ("statistics_age_ms", ctypes.c_uint64),
                ("statistics", ctypes.c_uint64 * len(STATISTICS))]

    def statistic(self, name):
        return self.statistics[STATISTICS.index(name)]


def load():
    lib = ctypes.CDLL(os.path.abspath(f"{BUILD}/src/libalioth.so"))
    for name in ("spec_set", "vm_create", "vm_boot", "vm_pause", "vm_resume", "vm_set_balloon", "vm_get_balloon", "vm_hint_balloon"):
        getattr(lib, "alioth_" + name).restype = ctypes.c_void_p
    lib.alioth_spec_create.restype = ctypes.c_void_p
    lib.alioth_error_text.restype = ctypes.c_char_p
    return lib


class LibVM:
    """Options as {"kernel": path, ...}; the console is a socket at `path`."""

    def __init__(self, path, options):
        self.lib = load()
        spec = ctypes.c_void_p(self.lib.alioth_spec_create())
        self.vm = ctypes.c_void_p()
        for name, value in {**options, "console": f"socket,path={path}"}.items():
            self.check(self.lib.alioth_spec_set(spec, name.encode(), value if value is None else value.encode()))
        self.check(self.lib.alioth_vm_create(spec, None, ctypes.byref(self.vm)))
        self.lib.alioth_spec_free(spec)
        self.console = socket.socket(socket.AF_UNIX)
        self.console.connect(str(path))
        self.output = b""
        self.seen = 0
        self.check(self.lib.alioth_vm_boot(self.vm))

    def check(self, error):
        if error:
            raise AssertionError(self.lib.alioth_error_text(ctypes.c_void_p(error)).decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.alioth_vm_free(self.vm)
        self.console.close()

    def expect(self, pattern, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while True:
            match = re.search(pattern.encode(), self.output[self.seen:])
            if match:
                self.seen += match.end()
                return match
            ready, _, _ = select.select([self.console], [], [], 1)
            data = self.console.recv(65536) if ready else b""
            self.output += data
            if (ready and not data) or time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} in the console\n{self.output.decode(errors='replace')[-4000:]}")

    def run(self, command):
        """One line in the guest's shell; what it printed."""
        self.console.sendall(f"{command}; echo done:$?:\n".encode())
        output = self.expect(r"(?s)done:\$\?:\r?\n(.*?)done:\d+:\r?\n").group(1)
        self.expect("# ")
        return output.decode(errors="replace").replace("\r", "")

    def pause(self):
        self.check(self.lib.alioth_vm_pause(self.vm))

    def resume(self):
        self.check(self.lib.alioth_vm_resume(self.vm))

    def set_balloon(self, size):
        self.check(self.lib.alioth_vm_set_balloon(self.vm, ctypes.c_uint64(size)))

    def balloon(self, wait_ms=0):
        info = Balloon(size=ctypes.sizeof(Balloon))
        self.check(self.lib.alioth_vm_get_balloon(self.vm, wait_ms, ctypes.byref(info)))
        return info

    def hint(self, wait_ms=60000):
        size = ctypes.c_uint64()
        self.check(self.lib.alioth_vm_hint_balloon(self.vm, wait_ms, ctypes.byref(size)))
        return size.value


def wait_for(condition, timeout=TIMEOUT):
    """What condition() returns once that is true."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError("it did not come to that in time")


def memory(pid="self"):
    """Bytes of the process by kind: Anon, File, Shmem."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return {m[1]: int(m[2]) << 10 for m in re.finditer(r"Rss(Anon|File|Shmem):\s+(\d+)", f.read())}
