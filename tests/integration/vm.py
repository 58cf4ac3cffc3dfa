# SPDX-License-Identifier: Apache-2.0
"""Drives the real `alioth` binary and reads the real console. Runs wherever KVM works: on the machine itself or
inside the lab (tools/integration.sh decides)."""
import contextlib
import os
import re
import select
import signal
import subprocess
import time
from pathlib import Path

ALIOTH = os.environ.get("ALIOTH", "build/dev/src/cli/alioth")
# An emulated host is slow: every wait is a bound against hanging, not a measure of speed.
TIMEOUT = float(os.environ.get("ALIOTH_TEST_TIMEOUT", "180"))


class VM:
    """One run of alioth with its console on pipes."""

    def __init__(self, *args, stdin=subprocess.PIPE, preexec_fn=None, pass_fds=()):
        self.args = [ALIOTH, *args]
        self.process = subprocess.Popen(self.args, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=preexec_fn, pass_fds=pass_fds)
        self.output = b""
        self.error = b""
        self.seen = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for f in (self.process.stdin, self.process.stdout, self.process.stderr):
            if f:
                f.close()

    def _pump(self, deadline):
        """Reads what there is; False at the end of both streams."""
        streams = [f for f in (self.process.stdout, self.process.stderr) if not f.closed]
        if not streams:
            return False
        ready, _, _ = select.select(streams, [], [], max(0, min(1, deadline - time.monotonic())))
        for f in ready:
            data = os.read(f.fileno(), 65536)
            if not data:
                f.close()
            elif f is self.process.stdout:
                self.output += data
            else:
                self.error += data
        return True

    def expect(self, pattern, timeout=None):
        """Waits until the console, from where the last expect() ended, matches; the match."""
        deadline = time.monotonic() + (timeout or TIMEOUT)
        regex = re.compile(pattern.encode() if isinstance(pattern, str) else pattern)
        while True:
            match = regex.search(self.output, self.seen)
            if match:
                self.seen = match.end()
                return match
            alive = self._pump(deadline)
            if not alive or time.monotonic() > deadline:
                match = regex.search(self.output, self.seen)
                if match:
                    continue
                raise AssertionError(
                    f"no {pattern!r} in the console\n--- stdout\n{self.text()[-4000:]}\n--- stderr\n{self.error_text()[-2000:]}")

    def expect_error(self, text, timeout=TIMEOUT):
        """Waits until there is this text on standard error."""
        deadline = time.monotonic() + timeout
        while text not in self.error_text():
            alive = self._pump(deadline)
            assert alive and time.monotonic() < deadline, f"no {text!r}:\n{self.error_text()[-2000:]}"

    def send(self, data):
        self.process.stdin.write(data.encode() if isinstance(data, str) else data)
        self.process.stdin.flush()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, timeout=None):
        """The exit status; both streams are read to their ends meanwhile."""
        deadline = time.monotonic() + (timeout or TIMEOUT)
        while self._pump(deadline):
            if time.monotonic() > deadline:
                raise AssertionError(f"alioth did not end\n{self.text()[-4000:]}\n{self.error_text()[-2000:]}")
        return self.process.wait(max(1, deadline - time.monotonic()))

    def _has_thread(self, name):
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/comm"):
            with contextlib.suppress(OSError):  # it may end meanwhile
                if path.read_text(encoding="utf-8").strip() == name:
                    return True
        return False

    def expect_thread(self, name, timeout=TIMEOUT):
        """Waits until the monitor has a thread of this name."""
        deadline = time.monotonic() + timeout
        while not self._has_thread(name):
            alive = self._pump(time.monotonic() + 0.1)
            assert alive and time.monotonic() < deadline, f"no thread {name}"

    def text(self):
        return self.output.decode(errors="replace").replace("\r\n", "\n")

    def error_text(self):
        return self.error.decode(errors="replace")


def run(*args, timeout=60, stdin=subprocess.DEVNULL, **kwargs):
    """One command to its end: (status, stdout, stderr) as text."""
    done = subprocess.run([ALIOTH, *args], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, check=False, **kwargs)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
