#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""man/alioth.1 from the program's own help, which comes from the option schema:  gen_man.py ALIOTH OUT"""
import subprocess
import sys


def roff(text):
    lines = []
    for line in text.splitlines():
        line = line.replace("\\", "\\\\").replace("-", "\\-")
        lines.append("\\&" + line if line[:1] in (".", "'") else line)
    return "\n".join(lines)


def help_of(program, *args):
    return subprocess.run([program, *args, "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout


def main():
    program, out = sys.argv[1:]
    version = subprocess.run([program, "-V"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()[-1]
    sections = [f'.TH ALIOTH 1 "" "alioth {version}"', ".SH NAME", "alioth \\- a virtual machine monitor for Linux KVM"]
    for title, args in (("SYNOPSIS", ()), ("ALIOTH BOOT", ("boot",)), ("ALIOTH CHECK", ("check",))):
        sections += [f".SH {title}", ".nf", roff(help_of(program, *args)), ".fi"]
    sections += [".SH SEE ALSO", "docs/cli.md, docs/exit\\-status.md", ""]
    with open(out, "w", encoding="utf-8") as f:
        f.write("\n".join(sections))


if __name__ == "__main__":
    main()
