/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The x86_64 board's devices that are not on PCI.
 */
#include "board/x86_64/board_internal.h"

#include "device/cmos.h"
#include "device/debug_port.h"
#include "device/i8042.h"
#include "device/pm_timer.h"

struct err *board_open_console(struct board *board, const struct console_config *config,
	const char *label, struct console **ret_console)
{
	static const enum console_kind kinds[] = {
		[CONSOLE_CONFIG_STDIO] = CONSOLE_STDIO,
		[CONSOLE_CONFIG_LOG] = CONSOLE_LOG,
		[CONSOLE_CONFIG_PTY] = CONSOLE_PTY,
		[CONSOLE_CONFIG_SOCKET] = CONSOLE_SOCKET,
		[CONSOLE_CONFIG_NULL] = CONSOLE_NULL,
	};
	struct console_options options = {
		.kind = kinds[config->kind],
		.path = config->path,
		.append = config->append,
		.label = label,
		.in_turn = config->name,
	};
	struct err *err;

	assert(board->n_consoles < BOARD_CONSOLES_MAX);
	err = console_create(&options, board->env.loop, board->env.console_events, ret_console);
	if (err)
		return config->path ? err_wrap(err, "--console path=%s", config->path)
				    : err_wrap(err, "--console");
	board->consoles[board->n_consoles++] = *ret_console;
	return NULL;
}

static struct err *board_create_serial(struct board *board)
{
	const struct console_config config = vm_config_serial(board->config);
	struct serial_options options = {
		.bus = board->pio,
		.base = X86_PORT_COM1,
		.irq = ioapic_pin(board->ioapic, X86_GSI_COM1),
	};
	struct serial *serial;
	struct err *err = board_open_console(board, &config, NULL, &options.console);

	if (!err)
		err = serial_create(&options, &serial);
	if (err)
		return err;
	board_own(board, serial_device(serial));
	console_start(options.console);
	return NULL;
}

static struct err *board_create_power(struct board *board)
{
	struct acpi_pm_options options = {
		.pio = board->pio,
		.sleep_control = X86_PORT_SLEEP_CONTROL,
		.reset = X86_PORT_RESET,
		.reset_value = X86_RESET_VALUE,
		.ged = X86_PORT_GED,
		.irq = ioapic_pin(board->ioapic, X86_GSI_GED),
		.events = board->env.events,
	};
	struct device *device;
	struct err *err = acpi_pm_create(&options, &board->acpi_pm);

	if (err)
		return err;
	board_own(board, acpi_pm_device(board->acpi_pm));
	err = pm_timer_create(board->pio, X86_PORT_PM_TIMER, &device);
	if (err)
		return err;
	board_own(board, device);
	err = i8042_create(board->pio, board->env.events, board->rom.code, &device);
	if (err)
		return err;
	board_own(board, device);
	err = reset_control_create(board->env.events, &board->reset_control);
	if (err)
		return err;
	board_own(board, reset_control_device(board->reset_control));
	return NULL;
}

/*
 * For firmware, and whoever asks for it; only then do the tables tell of it. Linux takes the time
 * of day from it, to half a second, over the hypervisor's clock, which is exact.
 */
static struct err *board_create_cmos(struct board *board)
{
	uint64_t size = board->config->memory.size;
	uint64_t low = MIN(size, (uint64_t)X86_RAM_LOW_END);
	struct cmos_options options = {
		.pio = board->pio,
		.irq = ioapic_pin(board->ioapic, X86_GSI_RTC),
		.loop = board->env.loop,
		.ram_low = low,
		.ram_high = size - low,
		.n_cpus = board->config->cpu.count,
	};
	struct device *device;
	struct err *err;

	if (!board->config->rtc && !board->config->firmware.given)
		return NULL;
	err = cmos_create(&options, &device);
	if (!err)
		board_own(board, device);
	return err;
}

static struct err *board_create_debug_port(struct board *board)
{
	struct device *device;
	struct err *err;

	if (!board->config->firmware.given)
		return NULL;
	err = debug_port_create(board->pio, X86_PORT_DEBUG, &device);
	if (!err)
		board_own(board, device);
	return err;
}

struct err *board_create_platform(struct board *board)
{
	struct err *err = ioapic_create(board->hv, board->mmio, &board->ioapic);

	if (err)
		return err;
	board_own(board, ioapic_device(board->ioapic));
	err = board_create_serial(board);
	if (!err)
		err = board_create_power(board);
	if (!err)
		err = board_create_cmos(board);
	if (!err)
		err = board_create_debug_port(board);
	return err;
}
