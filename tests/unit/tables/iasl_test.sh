#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every ACPI table goes through iasl: disassembled, and the DSDT compiled again, without an error or a warning.
#   iasl_test.sh DUMP_TABLES
set -eu
dump=$(realpath "$1")
command -v iasl >/dev/null || { echo "iasl is missing: skipped"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for n in 1 4 255 300; do
	mkdir "$work/$n"
	"$dump" "$n" "$work/$n"
	cd "$work/$n"
	for table in *.dat; do
		iasl -d "$table" >"$table.log" 2>&1 || { cat "$table.log"; exit 1; }
		! grep -iE 'error|warning|invalid' "$table.log" || exit 1
		! grep -iE 'invalid|unknown|incorrect checksum' "${table%.dat}.dsl" || exit 1
	done
	iasl -tc DSDT.dsl >compile.log 2>&1 || { cat compile.log; exit 1; }
	grep -q ' 0 Errors, 0 Warnings' compile.log || { cat compile.log; exit 1; }
	cd /
done
echo "4 machines, $(find "$work" -name '*.dat' | wc -l) tables"
