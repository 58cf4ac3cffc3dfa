/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which device of the guest a console is for, and the rules between consoles.
 */
#include <string.h>

#include "config/vm_config_internal.h"

#define VM_CONFIG_PORTS_MAX 15 /* of the virtio console, port 0 among them */
#define VM_CONFIG_PORT_MAX  63

bool vm_config_is_virtio(const struct console_config *console)
{
	return console->name || console->device == CONSOLE_DEVICE_VIRTIO;
}

struct console_config vm_config_serial(const struct vm_config *config)
{
	struct console_config serial = {.kind = CONSOLE_CONFIG_STDIO};

	for (size_t i = 0; i < config->n_console; i++) {
		if (!vm_config_is_virtio(&config->console[i]))
			return config->console[i];
		if (config->console[i].kind == CONSOLE_CONFIG_STDIO)
			serial.kind = CONSOLE_CONFIG_NULL;
	}
	return serial;
}

static struct err *vm_config_check_port_name(const struct vm_config *config, size_t index)
{
	const char *name = config->console[index].name;

	if (!name)
		return NULL;
	if (!vm_config_is_id(name, VM_CONFIG_PORT_MAX))
		return err_new(0,
			"--console: name=%s is not 1 to %u letters, digits, dashes, dots and underscores",
			name, VM_CONFIG_PORT_MAX);
	for (size_t i = 0; i < index; i++) {
		if (config->console[i].name && !strcmp(config->console[i].name, name))
			return err_new(0, "--console: two ports have name=%s", name);
	}
	return NULL;
}

struct err *vm_config_check_consoles(const struct vm_config *config)
{
	unsigned int serials = 0;
	unsigned int stdios = 0;
	unsigned int hvcs = 0;
	unsigned int ports = 0;

	for (size_t i = 0; i < config->n_console; i++) {
		const struct console_config *console = &config->console[i];
		struct err *err = vm_config_check_port_name(config, i);

		if (err)
			return err;
		if (!console->packed && !vm_config_is_virtio(console))
			return err_new(0,
				"--console: packed=off is for virtio consoles and ports, not for the serial port");
		if (console->name && console->device_given &&
			console->device == CONSOLE_DEVICE_SERIAL)
			return err_new(0,
				"--console: name=%s is a virtio port: device=serial excludes it",
				console->name);
		stdios += console->kind == CONSOLE_CONFIG_STDIO;
		serials += !vm_config_is_virtio(console);
		ports += !!console->name;
		hvcs += vm_config_is_virtio(console) && !console->name;
	}
	if (serials > 1)
		return err_new(0,
			"--console: the serial port has one end, not %u; device=virtio or "
			"name= makes other consoles",
			serials);
	if (stdios > 1)
		return err_new(0, "--console: one console can have stdio, not %u", stdios);
	if (MAX(hvcs, 1u) + ports > VM_CONFIG_PORTS_MAX)
		return err_new(0,
			"--console: %u virtio consoles and %u named ports; the first "
			"console and %u more of either are possible",
			hvcs, ports, VM_CONFIG_PORTS_MAX - 1);
	return NULL;
}
