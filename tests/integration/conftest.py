# SPDX-License-Identifier: Apache-2.0
"""What the integration tests start from; tools/integration.sh prepares it."""
import os
import shutil

import pytest
from _pytest.runner import runtestprotocol

from vm import ALIOTH

DATA = os.environ.get("ALIOTH_DATA", "build/dev/integration")
KERNELS = ["debian12-cloud", "debian12-generic", "debian13-cloud", "debian13-generic"]


def data(name):
    return os.path.join(DATA, name)


@pytest.fixture(scope="session", autouse=True)
def program():
    assert os.access(ALIOTH, os.X_OK), f"{ALIOTH} is not there: run make first"


@pytest.fixture
def base():
    """Options of a VM that boots quickly: one vCPU, the cloud kernel, the small initramfs."""
    return ["--kernel", data("debian12-cloud.bzImage"), "--initramfs", data("initramfs"), "--memory", "size=256M"]


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "root.ext4"
    shutil.copy(data("root.ext4"), path)
    return str(path)


def in_lab():
    with open("/proc/cmdline", encoding="ascii") as f:
        return "mitigations=off" in f.read() and os.path.isdir("/mnt")


def pytest_runtest_protocol(item, nextitem):
    """The lab's emulated processor is not perfect: there a test that failed is tried once more, and says so."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if in_lab() and any(r.failed for r in reports):
        print(f"\nonce more, as this is an emulated host: {item.nodeid}")
        for r in reports:
            if r.failed:
                print(str(r.longrepr)[-1500:])
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
