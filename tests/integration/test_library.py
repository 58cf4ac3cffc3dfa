# SPDX-License-Identifier: Apache-2.0
"""libalioth: the example program, which is a user of the shared library."""
import os
import subprocess

from conftest import data
from vm import TIMEOUT

BUILD = os.environ.get("ALIOTH_BUILD", "build/dev")


def test_two_vms_in_one_process(tmp_path):
    logs = [str(tmp_path / "one"), str(tmp_path / "two")]
    done = subprocess.run([f"{BUILD}/examples/boot", data("debian12-cloud.bzImage"), data("initramfs"), *logs],
                          capture_output=True, timeout=2 * TIMEOUT, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ended: 0") == 2
    for path, name in zip(logs, ("one", "two")):
        with open(path, encoding="utf-8", errors="replace") as f:
            assert f"hello from {name}" in f.read()
        assert f"{name}: vm: Power-off" in done.stdout


def test_only_the_public_functions_are_exported():
    symbols = subprocess.run(["nm", "-D", "--defined-only", f"{BUILD}/src/libalioth.so"], capture_output=True, text=True,
                             check=True).stdout.split()[2::3]
    assert symbols and all(s.startswith("alioth_") for s in symbols)


def test_errors_of_the_library_are_chains():
    done = subprocess.run([f"{BUILD}/examples/boot", "/nonexistent", data("initramfs"), "/dev/null", "/dev/null"],
                          capture_output=True, timeout=TIMEOUT, check=False, text=True)
    assert done.returncode == 1
    assert 'Error: Cannot open the kernel "/nonexistent"' in done.stderr
