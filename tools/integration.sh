#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The integration tests (tests/integration) with the program of a build folder, on the machine's KVM where that runs guests,
# otherwise in the lab.
#   tools/integration.sh BUILD_DIR [FILE OF TESTS...] [PYTEST OPTION...]
# ALIOTH_LABS: emulated hosts at a time (as many as processors, and memory for them)
set -eu
build=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
export ALIOTH="$build/src/cli/alioth"
export ALIOTH_BUILD="$build"
export ALIOTH_DATA="$build/integration"
mkdir -p "$ALIOTH_DATA"
programs=$PWD/tests/integration/programs
modules="virtio_pci virtio_blk virtio_net virtio-rng virtio_balloon virtio_console virtio_pmem nd_pmem i6300esb"
for name in debian12-cloud debian12-generic debian13-cloud debian13-generic; do
	kernel=$(tools/lab/fetch.sh "$name")
	cp -uL "$kernel/boot/vmlinuz" "$ALIOTH_DATA/$name.bzImage"
	[ -e "$ALIOTH_DATA/$name.vmlinux" ] ||
		tools/lab/extract_vmlinux.py "$ALIOTH_DATA/$name.bzImage" "$ALIOTH_DATA/$name.vmlinux"
	# shellcheck disable=SC2086 # a list of words
	tools/lab/guest_initramfs.sh "$ALIOTH_DATA/initramfs-$name" "$kernel" $modules
	tools/lab/guest_programs.sh "$ALIOTH_DATA/initramfs-$name" "$ALIOTH_DATA/initramfs-$name" ethtool "$programs/devices.sh"
done
tools/lab/guest_initramfs.sh "$ALIOTH_DATA/initramfs"
tools/lab/guest_initramfs.sh "$ALIOTH_DATA/initramfs-modules" "$(tools/lab/fetch.sh debian12-cloud)" \
	virtio_pci virtio_blk virtio_net virtio-rng virtio_balloon virtio_console pvpanic-pci virtio_pmem nd_pmem qemu_fw_cfg efivarfs
tools/lab/guest_programs.sh "$ALIOTH_DATA/initramfs-programs" "$ALIOTH_DATA/initramfs-modules" \
	"$build/tests/integration/programs/disk_writer" "$build/tests/integration/programs/kexec_self" \
	"$build/tests/integration/programs/mapped_io" "$build/tests/integration/programs/datagrams" \
	"$build/tests/integration/programs/ports" ethtool fallocate "$programs/disk_changes.sh"
tools/lab/guest_programs.sh "$ALIOTH_DATA/initramfs-rounds" "$ALIOTH_DATA/initramfs-debian13-cloud" \
	"$build/tests/integration/programs/kexec_self" "$build/tests/integration/programs/mapped_io" "$programs/kexec_rounds.sh" \
	"$programs/rebind_rounds.sh"
tools/lab/guest_programs.sh "$ALIOTH_DATA/initramfs-iperf" "$ALIOTH_DATA/initramfs-debian13-cloud" iperf3
tools/lab/guest_programs.sh "$ALIOTH_DATA/initramfs-fio" "$ALIOTH_DATA/initramfs-modules" fio "$PWD/tests/integration/programs/fio_rounds.sh"
kexec=$(tools/lab/fetch.sh debian12-kexec)
TREE=$kexec tools/lab/guest_programs.sh "$ALIOTH_DATA/initramfs-kdump" "$ALIOTH_DATA/initramfs-modules" \
	"$kexec/sbin/kexec" "$kexec/sbin/vmcore-dmesg" "$PWD/tests/integration/programs/kdump.sh"
tools/lab/guest_initramfs.sh "$ALIOTH_DATA/initramfs-devices" "$(tools/lab/fetch.sh debian13-cloud)" \
	i6300esb virtio_pci virtio_blk virtio_net virtio-rng virtio_balloon virtio_console pvpanic-pci virtio_pmem nd_pmem
tools/lab/guest_programs.sh "$ALIOTH_DATA/initramfs-devices" "$ALIOTH_DATA/initramfs-devices" fallocate
# For the host, where that is the lab (host_disk.py).
rm -rf "$ALIOTH_DATA/lab-modules"
tools/lab/modules.sh "$(tools/lab/fetch.sh debian13-generic)" "$ALIOTH_DATA/lab-modules" null_blk dm-mod
ln -sf "$(tools/lab/fetch.sh debian13-passt)" "$ALIOTH_DATA/passt13"
tools/lab/rootfs.sh "$ALIOTH_DATA/root.ext4"
tools/lab/efi_disk.sh "$ALIOTH_DATA/efi.img" "$ALIOTH_DATA/debian12-cloud.bzImage" "$ALIOTH_DATA/initramfs" \
	"console=ttyS0 quiet alioth.run=ls+/sys/firmware/efi/systab&&echo+by+UEFI;reboot+-f"
ln -sfn "$(tools/lab/fetch.sh debian13-ovmf)" "$ALIOTH_DATA/ovmf-debian13"
tools/images/linuxboot.sh "$build/linuxboot/linuxboot" "$ALIOTH_DATA/linuxboot"

# Whole systems are for test-full, or for whom asks for them.
prepare_disk() {
	tools/deps.sh images
	tools/images/debian.sh --format qcow2 --size 2G "$ALIOTH_DATA/debian.qcow2" >"$ALIOTH_DATA/disk-system"
	tools/images/seed.sh --hostname seeded-7 --password "it's a word" --instance-id test "$ALIOTH_DATA/seed.img"
}

files=
while [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; do
	files="$files $1"
	shift
done
files=${files:-tests/integration/test_*.py}
case $files,${ALIOTH_TESTS:-} in
*,'not long') ;;
*test_disk* | *'*'*) prepare_disk ;;
esac
[ -z "${ALIOTH_TESTS:-}" ] || set -- -m "$ALIOTH_TESTS" "$@"
set -- /usr/bin/python3 -B -m pytest -p no:cacheprovider -q --color=no "$@"

# Only the long tests have a guest with more than 4 GiB.
memory=6144
[ "${ALIOTH_TESTS:-}" != 'not long' ] || memory=4096

if "$ALIOTH" check >/dev/null 2>&1; then
	echo "integration tests: on this machine's KVM"
	# shellcheck disable=SC2086
	exec "$@" $files
fi
echo "integration tests: in the lab, as KVM does not run guests here"
# An emulated host for each file, so that where one fails only that file is run again; as many at a time as there are processors and
# memory for.
labs=$(nproc)
most=$(($(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo) / memory))
[ "$labs" -le "$most" ] || labs=$most
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086 # a list of words
printf '%s\n' $files >"$work/files"
labs=${ALIOTH_LABS:-$labs}
while [ "$labs" -gt 1 ]; do
	setpriv --pdeathsig TERM tools/lab/test_worker.sh "$work" "$memory" "$@" &
	labs=$((labs - 1))
done
tools/lab/test_worker.sh "$work" "$memory" "$@"
wait
[ ! -s "$work/failed" ] || { echo "failed: $(tr '\n' ' ' <"$work/failed")"; exit 1; }
