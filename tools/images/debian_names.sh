# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
# Sourced by debian_setup.sh and debian_disk.sh, which set $key, the fingerprint of a system: the names of its partitions and file systems.
uuid_of() {
	echo "$key $1" | sha256sum | sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.\{12\}\).*/\1-\2-4\3-8\4-\5/'
}

disk_uuid=$(uuid_of disk)
esp_partition=$(uuid_of esp)
root_partition=$(uuid_of partition)
root_uuid=$(uuid_of root)
fat_serial=$(echo "$key fat" | sha256sum | cut -c1-8 | tr a-f A-F)
fat_uuid=$(echo "$fat_serial" | sed 's/^..../&-/')
