# SPDX-License-Identifier: Apache-2.0
"""What the integration tests start from; tools/integration.sh prepares it."""
import os
import shutil

import pytest

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
