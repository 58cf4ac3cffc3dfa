#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that each folder of src/ includes only the folders below it (docs/design.md, "Layers")."""
import pathlib
import re
import sys

LAYERS = {
    "base": "",
    "sys": "base",
    "config": "base",
    "event": "base sys",
    "mem": "base",
    "hv": "base event",
    "hv/kvm": "base sys hv event",
    "hv/fake": "base hv",
    "arch": "base mem hv device",
    "block": "base sys event",
    "net": "base sys event",
    "tables": "base",
    "check": "base sys hv",
    "device": "base sys event mem",
    "pci": "base event device mem hv",
    "virtio": "base device pci block net event mem hv",
    "loader": "base mem arch tables hv",
    "board": "base sys config event mem hv hv/kvm arch block tables device pci virtio loader net",
    "vm": "base sys config event mem hv arch device loader board",
    "lib": "base config vm",
    "cli": "base config check",
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def layer_of(path):
    """The longest layer name that is a prefix of a path relative to src/."""
    parts = path.split("/")
    for n in range(len(parts) - 1, 0, -1):
        name = "/".join(parts[:n])
        if name in LAYERS:
            return name
    return None


def main():
    src = pathlib.Path(__file__).resolve().parent.parent / "src"
    bad = 0
    for path in sorted(src.rglob("*.[ch]")):
        rel = path.relative_to(src).as_posix()
        own = layer_of(rel)
        if own is None:
            print(f"{rel}: this folder is not in tools/check_layers.py")
            bad += 1
            continue
        allowed = set(LAYERS[own].split()) | {own}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match or match.group(1) == "alioth.h":
                continue
            if not (src / match.group(1)).exists():
                print(f"{rel}:{number}: \"{match.group(1)}\" is not a path from src/")
                bad += 1
            elif layer_of(match.group(1)) not in allowed:
                print(f"{rel}:{number}: {own}/ must not include {match.group(1)}")
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
