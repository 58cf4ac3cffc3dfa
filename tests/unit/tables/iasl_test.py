#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lets ACPICA judge the ACPI tables: each is disassembled and compiled again, without a complaint,
and the DSDT comes out as it went in. Usage: iasl_test.py DUMP_TABLES; exit status 77: no iasl."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TABLES = ["APIC", "DSDT", "FACP", "MCFG", "XSDT"]
SKIPPED = 77


def iasl(directory, *arguments):
    """Runs iasl; its output, which must not complain."""
    done = subprocess.run(["iasl", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    complaints = [line for line in output.splitlines()
                  if re.search(r"\b(error|warning|invalid|exceeds|incorrect|unknown)\b", line, re.I)
                  and not re.search(r"\b0 Errors, 0 Warnings\b", line)]
    if done.returncode or complaints:
        raise SystemExit(f"iasl {' '.join(arguments)} (status {done.returncode}):\n{output}")
    return output


def check(dump, cpus):
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([dump, str(cpus), directory], check=True)
        paths = sorted(pathlib.Path(directory).iterdir())
        assert [path.stem for path in paths] == TABLES, paths
        for path in paths:
            original = path.read_bytes()
            iasl(directory, "-d", path.name)
            text = path.with_suffix(".dsl").read_text()
            complaint = re.search(r"^.*(?:\*\*\*\*|Invalid|Unknown).*$", text, re.M)
            if complaint:
                raise SystemExit(f"{path.name} of {cpus} CPUs: {complaint.group()}")
            if path.stem == "XSDT":  # the compiler has no templates for it
                continue
            iasl(directory, "-ve" if path.stem != "DSDT" else "-we", "-p", "again", path.with_suffix(".dsl").name)
            again = pathlib.Path(directory, "again.aml").read_bytes()
            # The compiler puts its own name and revision into the header, and a new checksum.
            if path.stem != "DSDT":
                assert len(again) == len(original) and again[36:] == original[36:], f"{path.name} differs"
    print(f"{cpus} CPUs: ok")


def main():
    if not shutil.which("iasl"):
        print("SKIP: iasl is not installed (Debian: acpica-tools)")
        return SKIPPED
    for cpus in (1, 4, 255, 300):
        check(sys.argv[1], cpus)
    return 0


sys.exit(main())
