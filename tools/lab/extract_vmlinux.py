#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Unpacks the vmlinux ELF file inside a bzImage:  extract_vmlinux.py BZIMAGE OUT"""
import os
import struct
import subprocess
import sys

FORMATS = {
    b"\x1f\x8b\x08": ["gzip", "-dc"],
    b"\xfd7zXZ\x00": ["xz", "-dc"],
    b"\x28\xb5\x2f\xfd": ["zstd", "-q", "-dc"],
    b"\x02\x21\x4c\x18": ["lz4", "-q", "-dc"],
}


def main():
    with open(sys.argv[1], "rb") as f:
        image = f.read()
    if image[0x202:0x206] != b"HdrS":
        sys.exit(f"{sys.argv[1]}: not a bzImage")
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    # The last four bytes are the unpacked size; gzip has it as its own trailer.
    payload = image[start:start + length]
    size, = struct.unpack("<I", payload[-4:])
    for magic, command in FORMATS.items():
        if payload.startswith(magic):
            # The tools complain about the appended size after they have written everything.
            data = subprocess.run(command, input=payload, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  check=False).stdout
            break
    else:
        sys.exit(f"{sys.argv[1]}: unknown compression {payload[:6]!r}")
    if len(data) != size or not data.startswith(b"\x7fELF"):
        sys.exit(f"{sys.argv[1]}: unpacked {len(data)} bytes, not the ELF file of {size} bytes")
    temp = f"{sys.argv[2]}.{os.getpid()}"
    with open(temp, "wb") as f:
        f.write(data)
    os.replace(temp, sys.argv[2])


if __name__ == "__main__":
    main()
