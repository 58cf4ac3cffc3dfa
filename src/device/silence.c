/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware that does not speak.
 */
#define LOG_MODULE "firmware"
#include "device/silence.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/log.h"
#include "event/loop.h"

#define SILENCE_NS_PER_MS 1000000ull

struct silence {
	struct device device;
	struct silence_options options;
	struct loop_msg start;
	struct loop_timer timer;
};

static void silence_fired(struct loop_timer *timer)
{
	const struct silence_options *o = &container_of(timer, struct silence, timer)->options;

	if (!console_has_output(o->console))
		log_warn(
			"The firmware \"%s\" has written nothing to the serial port for %u s: if nothing comes, it may need what this machine does not have, as builds for Secure Boot do (system management mode)",
			o->path, o->patience_ms / 1000);
}

static void silence_start(struct loop_msg *msg)
{
	struct silence *silence = container_of(msg, struct silence, start);

	loop_timer_set(silence->options.loop, &silence->timer,
		silence->options.patience_ms * SILENCE_NS_PER_MS);
}

static void silence_reset(struct device *device)
{
}

static void silence_free(struct device *device)
{
	struct silence *silence = container_of(device, struct silence, device);

	loop_timer_cancel(&silence->timer);
	free(silence);
}

static const struct device_ops silence_device_ops = {.reset = silence_reset, .free = silence_free};

struct err *silence_create(const struct silence_options *options, struct device **ret_device)
{
	struct silence *silence = new0(struct silence);

	if (!silence)
		return err_new(ENOMEM, "Cannot watch the firmware");
	silence->device = (struct device){.ops = &silence_device_ops, .name = "silence"};
	silence->options = *options;
	silence->start.run = silence_start;
	silence->timer.fired = silence_fired;
	loop_post(options->loop, &silence->start);
	*ret_device = &silence->device;
	return NULL;
}
