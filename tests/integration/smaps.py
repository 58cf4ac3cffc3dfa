# SPDX-License-Identifier: Apache-2.0
"""The memory of a monitor besides its guest's, from /proc/PID/smaps."""
import re


def mappings(pid):
    """[start, end, private KiB, line] of each."""
    maps = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
            if m:
                maps.append([int(m.group(1), 16), int(m.group(2), 16), 0, line])
            elif line.startswith(("Private_", "Swap:")):
                maps[-1][2] += int(line.split()[1])
    return maps


def guest_ram(maps, ram_mib):
    """Indices of the adjacent mappings that add up to the guest's RAM; of several such, those with most private memory."""
    size = ram_mib << 20
    found = []
    for first in range(len(maps)):
        last = first
        while last < len(maps):
            total = maps[last][1] - maps[first][0]
            if total == size:
                found.append(range(first, last + 1))
            if total >= size or last + 1 == len(maps) or maps[last + 1][0] != maps[last][1]:
                break
            last += 1
    return max(found, key=lambda r: sum(maps[i][2] for i in r), default=None)


def private_kib(pid, ram_mib):
    maps = mappings(pid)
    ram = guest_ram(maps, ram_mib)
    if ram is None:
        raise RuntimeError("the guest's RAM was not found in smaps")
    return sum(m[2] for i, m in enumerate(maps) if i not in ram)


def is_sanitized(pid):
    """A monitor whose memory is the sanitizer's rather than its own."""
    return any("libasan" in m[3] or "libtsan" in m[3] for m in mappings(pid))
