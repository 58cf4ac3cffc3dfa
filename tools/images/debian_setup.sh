#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Part of debian.sh, run by mmdebstrap when the packages are in: settings of the system in the folder ROOT, and its boot loader.
#   tools/images/debian_setup.sh ROOT KEY
set -eu
root=$1
key=$2
# shellcheck source=tools/images/debian_names.sh
. "$(dirname "$0")/debian_names.sh"

settings() {
	cat >"$root/etc/fstab" <<-TABLE
		UUID=$root_uuid / ext4 defaults,errors=remount-ro 0 1
		UUID=$fat_uuid /boot/efi vfat umask=0077,nofail 0 0
	TABLE
	echo debian >"$root/etc/hostname"
	printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >"$root/etc/hosts"
	# Empty: each copy gets a name of its own at its first start.
	: >"$root/etc/machine-id"
	rm -f "$root/var/lib/dbus/machine-id"
}

# cloud-init looks for a seed, and stays out of the way where there is none; it has no locales to make, and GRUB's package need not know the
# disk. Networks are systemd's; a machine without a network card does not wait for one.
cloud_settings() {
	cat >"$root/etc/cloud/cloud.cfg.d/90_alioth.cfg" <<-CONF
		datasource_list: [NoCloud, ConfigDrive]
		system_info:
		  network:
		    renderers: [networkd]
		locale: "false"
		grub_dpkg: {enabled: false}
	CONF
	chroot "$root" systemctl enable systemd-networkd >/dev/null
	mkdir -p "$root/etc/systemd/system/systemd-networkd-wait-online.service.d"
	cat >"$root/etc/systemd/system/systemd-networkd-wait-online.service.d/alioth.conf" <<-CONF
		[Unit]
		ConditionPathExistsGlob=/sys/class/net/e*
		[Service]
		ExecStart=
		ExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=30
	CONF
	# Not before the seed's password is set.
	mkdir -p "$root/etc/systemd/system/serial-getty@.service.d"
	cat >"$root/etc/systemd/system/serial-getty@.service.d/alioth.conf" <<-CONF
		[Unit]
		After=cloud-config.service
	CONF
}

# Debian's own update-grub writes the menu. It asks grub-probe about the disk below /, which is not there yet: a stand-in answers meanwhile.
menu() {
	cat >>"$root/etc/default/grub" <<-CONF
		GRUB_TIMEOUT=1
		GRUB_CMDLINE_LINUX_DEFAULT=""
		GRUB_CMDLINE_LINUX="console=ttyS0"
		GRUB_TERMINAL=console
		GRUB_DISABLE_OS_PROBER=true
	CONF
	mkdir -p "$root/boot/grub" "$root/dev/disk/by-uuid"
	: >"$root/dev/disk/by-uuid/$root_uuid"
	probe=$root/usr/sbin/grub-probe
	mv "$probe" "$probe.real"
	cat >"$probe" <<-SCRIPT
		#!/bin/sh
		case "\$*" in
		*target=device*) echo /dev/vda2 ;;
		*target=fs_uuid*) echo $root_uuid ;;
		*target=partuuid*) echo $root_partition ;;
		*target=fs*) echo ext2 ;;
		*target=partmap*) echo gpt ;;
		esac
	SCRIPT
	chmod 755 "$probe"
	chroot "$root" update-grub
	mv "$probe.real" "$probe"
	rm -r "$root/dev/disk"
	grep -q "^menuentry .*" "$root/boot/grub/grub.cfg"
}

# One GRUB for both places: its own small configuration finds the root and continues with the menu there.
loader() {
	mkdir -p "$root/boot/efi/EFI/debian" "$root/boot/efi/EFI/BOOT"
	cat >"$root/boot/efi/EFI/debian/grub.cfg" <<-CONF
		search.fs_uuid $root_uuid root
		set prefix=(\$root)/boot/grub
		configfile \$prefix/grub.cfg
	CONF
	chroot "$root" grub-mkimage -O x86_64-efi -p /EFI/debian -o /boot/efi/EFI/debian/grubx64.efi \
		part_gpt part_msdos fat ext2 search search_fs_uuid search_label search_fs_file configfile normal linux boot echo test true sleep \
		reboot halt serial terminal gzio zstd loadenv minicmd ls cat all_video efi_gop regexp
	cp "$root/boot/efi/EFI/debian/grubx64.efi" "$root/boot/efi/EFI/BOOT/BOOTX64.EFI"
	# The rest of GRUB's modules, where the menu looks for them.
	cp -r "$root/usr/lib/grub/x86_64-efi" "$root/boot/grub/"
}

settings
cloud_settings
menu
loader
