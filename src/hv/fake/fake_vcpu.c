/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake vCPU: plays the exits that were pushed.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/thread.h"
#include "hv/fake/fake_internal.h"

static struct fake_vm *fake_vm_of_vcpu(struct hv_vcpu *vcpu)
{
	return fake_vm_of(vcpu->vm);
}

static void fake_script_free(struct fake_step *step)
{
	while (step) {
		struct fake_step *next = step->next;

		free(step);
		step = next;
	}
}

static void fake_vcpu_free(struct hv_vcpu *base)
{
	struct fake_vcpu *vcpu = fake_vcpu_of(base);

	fake_script_free(vcpu->script);
	free(vcpu->current);
	free(vcpu->msrs);
	pthread_cond_destroy(&vcpu->changed);
	free(vcpu);
}

static struct err *fake_vcpu_bind(struct hv_vcpu *base)
{
	return NULL;
}

static void fake_vcpu_unbind(struct hv_vcpu *base)
{
}

/* Bytes that an exit carries; 0 if it is no access. */
static size_t fake_exit_size(const struct hv_exit *exit)
{
	if (exit->reason == HV_EXIT_IO)
		return (size_t)exit->u.io.size * exit->u.io.count;
	return exit->reason == HV_EXIT_MMIO ? exit->u.mmio.size : 0;
}

static bool fake_exit_is_read(const struct hv_exit *exit)
{
	return (exit->reason == HV_EXIT_IO && !exit->u.io.write) ||
	       (exit->reason == HV_EXIT_MMIO && !exit->u.mmio.write);
}

static void fake_complete_locked(struct fake_vcpu *vcpu)
{
	struct fake_step *step = vcpu->current;

	if (step && fake_exit_is_read(&step->exit))
		memcpy(&vcpu->last_read, step->data, sizeof(vcpu->last_read));
	free(step);
	vcpu->current = NULL;
}

static int fake_vcpu_run(struct hv_vcpu *base, struct hv_exit *ret_exit)
{
	struct fake_vcpu *vcpu = fake_vcpu_of(base);
	struct fake_vm *vm = fake_vm_of_vcpu(base);
	int error = fake_failure(vm, HV_FAKE_VCPU_RUN);

	if (error)
		return -error;
	auto_lock(&vm->lock);
	fake_complete_locked(vcpu);
	while (!vcpu->kicked && !vcpu->script)
		pthread_cond_wait(&vcpu->changed, &vm->lock);
	if (vcpu->kicked) {
		vcpu->kicked = false;
		ret_exit->reason = HV_EXIT_KICKED;
		return 0;
	}
	vcpu->current = vcpu->script;
	vcpu->script = vcpu->current->next;
	*ret_exit = vcpu->current->exit;
	if (ret_exit->reason == HV_EXIT_IO)
		ret_exit->u.io.data = vcpu->current->data;
	if (ret_exit->reason == HV_EXIT_MMIO)
		ret_exit->u.mmio.data = vcpu->current->data;
	return 0;
}

static void fake_vcpu_kick(struct hv_vcpu *base)
{
	struct fake_vcpu *vcpu = fake_vcpu_of(base);

	with_lock (&fake_vm_of_vcpu(base)->lock) {
		vcpu->kicked = true;
		pthread_cond_signal(&vcpu->changed);
	}
}

static struct err *fake_vcpu_reset(struct hv_vcpu *base)
{
	struct fake_vcpu *vcpu = fake_vcpu_of(base);
	int error = fake_failure(fake_vm_of_vcpu(base), HV_FAKE_VCPU_RESET);

	if (error)
		return err_new(error, "The hypervisor refuses");
	with_lock (&fake_vm_of_vcpu(base)->lock) {
		fake_complete_locked(vcpu);
		fake_x86_power_on(vcpu);
		vcpu->resets++;
	}
	return NULL;
}

static void fake_vcpu_clock_paused(struct hv_vcpu *base)
{
	with_lock (&fake_vm_of_vcpu(base)->lock)
		fake_vcpu_of(base)->clock_pauses++;
}

static const struct hv_vcpu_ops fake_vcpu_ops = {
	.free = fake_vcpu_free,
	.bind = fake_vcpu_bind,
	.unbind = fake_vcpu_unbind,
	.run = fake_vcpu_run,
	.kick = fake_vcpu_kick,
	.reset = fake_vcpu_reset,
	.clock_paused = fake_vcpu_clock_paused,
};

struct err *fake_vcpu_create(struct hv_vm *vm, unsigned int id, struct hv_vcpu **ret_vcpu)
{
	int error = fake_failure(fake_vm_of(vm), HV_FAKE_VCPU_CREATE);
	struct fake_vcpu *vcpu;

	if (error)
		return err_new(error, "Cannot make vCPU %u", id);
	vcpu = new0(struct fake_vcpu);
	if (!vcpu)
		return err_new(ENOMEM, "Cannot make vCPU %u", id);
	vcpu->base = (struct hv_vcpu){.ops = &fake_vcpu_ops, .vm = vm, .id = id};
	pthread_cond_init(&vcpu->changed, NULL);
	fake_x86_power_on(vcpu);
	*ret_vcpu = &vcpu->base;
	return NULL;
}

void hv_fake_push(struct hv_vcpu *base, const struct hv_exit *exit, const void *data)
{
	struct fake_vcpu *vcpu = fake_vcpu_of(base);
	struct fake_step *step = new0(struct fake_step);
	size_t size = fake_exit_size(exit);

	assert(step && size <= sizeof(step->data));
	step->exit = *exit;
	if (size && !fake_exit_is_read(exit))
		memcpy(step->data, data, size);
	with_lock (&fake_vm_of_vcpu(base)->lock) {
		struct fake_step **link = &vcpu->script;

		while (*link)
			link = &(*link)->next;
		*link = step;
		pthread_cond_signal(&vcpu->changed);
	}
}

void hv_fake_push_io(struct hv_vcpu *vcpu, uint16_t port, bool write, uint8_t size, uint32_t value)
{
	le32 data = le32_make(value);
	struct hv_exit exit = {
		.reason = HV_EXIT_IO,
		.u.io = {.port = port, .write = write, .size = size, .count = 1},
	};

	hv_fake_push(vcpu, &exit, &data);
}

void hv_fake_push_mmio(struct hv_vcpu *vcpu, uint64_t gpa, bool write, uint8_t size, uint64_t value)
{
	le64 data = le64_make(value);
	struct hv_exit exit = {
		.reason = HV_EXIT_MMIO,
		.u.mmio = {.gpa = gpa, .write = write, .size = size},
	};

	hv_fake_push(vcpu, &exit, &data);
}

uint64_t hv_fake_last_read(struct hv_vcpu *base)
{
	auto_lock(&fake_vm_of_vcpu(base)->lock);
	return le64toh(fake_vcpu_of(base)->last_read);
}

unsigned int hv_fake_resets(struct hv_vcpu *base)
{
	auto_lock(&fake_vm_of_vcpu(base)->lock);
	return fake_vcpu_of(base)->resets;
}

unsigned int hv_fake_clock_pauses(struct hv_vcpu *base)
{
	auto_lock(&fake_vm_of_vcpu(base)->lock);
	return fake_vcpu_of(base)->clock_pauses;
}
