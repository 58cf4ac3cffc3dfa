#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that each mutex has its place in the order of docs/locking.md, there and at its field."""
import pathlib
import re
import sys

FIELD = re.compile(r"^\s+pthread_mutex_t\s+(\w+);([^;]*/\*.*?\*/)?", re.MULTILINE | re.DOTALL)
ORDER = re.compile(r"lock\s+(?:\*\s+)?order\s+(?:\*\s+)?(\d+)")
ROW = re.compile(r"^\| (\d+) \| `([^`]+)` `(\w+)` \|", re.MULTILINE)
PROSE = re.compile(r"^`([^`]+)` has a lock .*?\(order (\d+)", re.MULTILINE)


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    text = (root / "docs/locking.md").read_text()
    told = {(path, name): order for order, path, name in ROW.findall(text)}
    told |= {(path, "lock"): order for path, order in PROSE.findall(text)}
    found = {}
    for source in sorted((root / "src").rglob("*.[ch]")):
        for name, comment in FIELD.findall(source.read_text()):
            order = ORDER.search(comment)
            found[str(source.relative_to(root / "src")), name] = order[1] if order else "none"
    wrong = {key for key in told | found if told.get(key) != found.get(key)}
    for path, name in sorted(wrong):
        print(f"{path}: {name}: lock order {found.get((path, name), 'not found')} at the field, "
              f"{told.get((path, name), 'not found')} in docs/locking.md")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
