# SPDX-License-Identifier: Apache-2.0
"""iperf3 both ways, while the host's interface goes down and up, and when it goes away for good."""
import json
import subprocess
import time

import pytest
from conftest import data
from test_devices import QUIET
from test_net import GUEST, ip, pytestmark, reaches_guest, tap, vhost  # noqa: F401 (needs root and TUN)
from vm import VM

SECONDS = 60


def iperf(*options):
    return subprocess.Popen(["iperf3", "-c", GUEST, "--bidir", "-t", str(SECONDS), *options], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


@pytest.mark.long
def test_streams_survive_an_interface_that_comes_and_goes(vhost):  # noqa: F811
    script = "ifconfig eth0 10.77.0.2 up;iperf3 -s -D;echo serving;read go;head -c 32 /dev/hwrng|wc -c"
    with tap() as name, VM("boot", "--kernel", data("debian13-cloud.bzImage"), "--initramfs", data("initramfs-iperf"), "--memory",
                           "size=256M", "--cpu", "count=2", "--net", f"if={name}{vhost}", "--entropy", "--cmdline",
                           QUIET + "alioth.run=" + script.replace(" ", "+")) as vm:
        vm.expect("serving")
        assert reaches_guest()
        streams = iperf("-J")
        toggles = 0
        end = time.monotonic() + SECONDS * 2 / 3
        while time.monotonic() < end:
            ip("link", "set", name, "down")
            ip("link", "set", name, "up")
            toggles += 1
            time.sleep(2)
        result = json.loads(streams.communicate(timeout=10 * SECONDS)[0])
        moved = [result["end"][key]["bytes"] for key in ("sum_received", "sum_received_bidir_reverse")]
        print(f"{toggles} times down and up{vhost}; bytes to the guest and back: {moved}")
        assert "error" not in result and min(moved) > 1 << 20 and toggles > 5
        assert reaches_guest()
        streams = iperf()
        time.sleep(5)
        assert streams.poll() is None
        ip("link", "del", name)
        time.sleep(2)
        streams.kill()
        streams.wait()
        vm.send("go\n")
        vm.expect("\n32\r?\n")
        assert vm.wait() == 0
