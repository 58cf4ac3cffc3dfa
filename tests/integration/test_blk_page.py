# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/block.md: one guest has the disks of all of them, and reads and writes each."""
import re
import shlex
import shutil
from pathlib import Path

from conftest import data
from host_disk import host_disks, null_disk  # noqa: F401 (a fixture)
from test_blk import guest, needs_qemu_img, qemu_img
from vm import VM

PAGE = Path(__file__).parents[2] / "docs" / "block.md"


def examples():
    """The page's examples of disks: commands, each as a list of words, of which the last one starts a VM."""
    example = []
    for line in re.findall(r"^    ((?:alioth boot|qemu-img) .*)$", PAGE.read_text(encoding="utf-8").split("\n# ")[0], re.MULTILINE):
        example.append(shlex.split(line))
        if example[-1][0] == "alioth":
            yield example
            example = []


def prepare(example, folder, device):
    """Makes the files of an example; its disks, as options. A block device is the one that is given."""
    folder.mkdir()
    if any("root.ext4" in word for command in example for word in command):
        shutil.copy(data("root.ext4"), folder)
    for command in example[:-1]:
        words = [str(folder / word) if word.endswith((".ext4", ".qcow2")) else word for word in command]
        qemu_img(*words[1:])
    words = example[-1]
    for spec in (words[i + 1] for i, word in enumerate(words) if word == "--blk"):
        options = dict(pair.split("=", 1) for pair in spec.split(","))
        for key in {"path", "backing"} & options.keys():
            path = folder / options[key]  # an absolute one is not in the folder
            if not path.is_relative_to(folder):
                path = device
            elif not path.exists():
                path.write_bytes(bytes(8 << 20))
            options[key] = str(path)
        yield ",".join(f"{key}={value}" for key, value in options.items())


@needs_qemu_img
def test_disks_of_the_page(base, tmp_path, host_disks):  # noqa: F811
    script = ("for d in $(cd /sys/block; echo vd*); do dd if=/dev/$d of=/tmp/page bs=4k count=1 iflag=direct && "
              "dd if=/tmp/page of=/dev/$d bs=4k oflag=direct conv=notrunc,fsync; echo $d:$?; done")
    with null_disk("disk0") as device:
        specs = [spec for i, example in enumerate(examples()) for spec in prepare(example, tmp_path / str(i), device)]
        assert len(specs) > 12
        args = guest(base, specs[0], script)
        with VM(*args, *(word for spec in specs[1:] for word in ("--blk", spec)), "--cpu", "count=2") as vm:
            for letter, spec in zip("abcdefghijklmnopqrstuvwxyz", specs):
                vm.expect(f"\nvd{letter}:{int('readonly=on' in spec)}\r?\n")
            assert vm.wait() == 0, vm.error_text()
            assert "failed" not in vm.error_text() and "io_uring is refused" not in vm.error_text()
