/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake VM: memory map, messages, doorbells.
 */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/thread.h"
#include "hv/fake/fake_internal.h"

/* Appends an element to a growing array; the tests' memory is not the place to handle exhaustion.
 */
#define FAKE_APPEND(array, n, ...)                                                                 \
	do {                                                                                       \
		(array) = reallocarray((array), (n) + 1, sizeof(*(array)));                        \
		assert(array);                                                                     \
		(array)[(n)++] = (__VA_ARGS__);                                                    \
	} while (0)

int fake_failure(struct fake_vm *vm, enum hv_fake_call call)
{
	int error = 0;

	with_lock (&vm->lock) {
		error = vm->failures[call];
		vm->failures[call] = 0;
	}
	return error;
}

void hv_fake_fail_next(struct hv_vm *base, enum hv_fake_call call, int error)
{
	struct fake_vm *vm = fake_vm_of(base);

	with_lock (&vm->lock)
		vm->failures[call] = error;
}

static void fake_vm_free(struct hv_vm *base)
{
	struct fake_vm *vm = fake_vm_of(base);

	assert(!vm->irqfds);
	pthread_mutex_destroy(&vm->lock);
	free(vm->maps);
	free(vm->messages);
	free(vm->doorbells);
	free(vm);
}

static struct err *fake_map(
	struct hv_vm *base, uint64_t gpa, uint64_t size, uint8_t *hva, bool readonly)
{
	struct fake_vm *vm = fake_vm_of(base);
	int error = fake_failure(vm, HV_FAKE_MAP);

	if (error)
		return err_new(error, "Cannot map guest memory");
	auto_lock(&vm->lock);
	for (unsigned int i = 0; i < vm->n_maps; i++)
		if (gpa < vm->maps[i].gpa + vm->maps[i].size && vm->maps[i].gpa < gpa + size)
			return err_new(EEXIST, "Cannot map guest memory twice");
	FAKE_APPEND(vm->maps, vm->n_maps,
		(struct hv_fake_map){.gpa = gpa, .size = size, .hva = hva, .readonly = readonly});
	return NULL;
}

static struct err *fake_unmap(struct hv_vm *base, uint64_t gpa, uint64_t size)
{
	struct fake_vm *vm = fake_vm_of(base);

	auto_lock(&vm->lock);
	for (unsigned int i = 0; i < vm->n_maps; i++) {
		if (vm->maps[i].gpa != gpa || vm->maps[i].size != size)
			continue;
		vm->maps[i] = vm->maps[--vm->n_maps];
		return NULL;
	}
	return err_new(ENOENT, "No such guest memory");
}

bool hv_fake_find_map(struct hv_vm *base, uint64_t gpa, struct hv_fake_map *ret_map)
{
	struct fake_vm *vm = fake_vm_of(base);

	auto_lock(&vm->lock);
	for (unsigned int i = 0; i < vm->n_maps; i++) {
		if (gpa - vm->maps[i].gpa >= vm->maps[i].size)
			continue;
		*ret_map = vm->maps[i];
		return true;
	}
	return false;
}

static void fake_deliver_locked(struct fake_vm *vm, struct hv_fake_msi msi)
{
	FAKE_APPEND(vm->messages, vm->n_messages, msi);
}

static int fake_signal_msi(struct hv_vm *base, uint64_t addr, uint32_t data)
{
	struct fake_vm *vm = fake_vm_of(base);
	int error = fake_failure(vm, HV_FAKE_SIGNAL_MSI);

	if (error)
		return -error;
	with_lock (&vm->lock)
		fake_deliver_locked(vm, (struct hv_fake_msi){.addr = addr, .data = data});
	return 1;
}

/* Nobody watches the eventfds: they are looked at when somebody asks, or when their route changes.
 */
static void fake_irqfd_poll_locked(struct fake_irqfd *irqfd)
{
	if (irqfd->routed && fd_eventfd_drain(irqfd->base.fd))
		fake_deliver_locked(irqfd->vm, irqfd->msi);
}

static void fake_poll_locked(struct fake_vm *vm)
{
	for (struct fake_irqfd *irqfd = vm->irqfds; irqfd; irqfd = irqfd->next)
		fake_irqfd_poll_locked(irqfd);
}

unsigned int hv_fake_messages(
	struct hv_vm *base, struct hv_fake_msi *ret_messages, unsigned int max)
{
	struct fake_vm *vm = fake_vm_of(base);

	auto_lock(&vm->lock);
	fake_poll_locked(vm);
	for (unsigned int i = 0; i < MIN(max, vm->n_messages); i++)
		ret_messages[i] = vm->messages[i];
	return vm->n_messages;
}

void hv_fake_clear_messages(struct hv_vm *base)
{
	struct fake_vm *vm = fake_vm_of(base);

	(void)hv_fake_messages(base, NULL, 0);
	with_lock (&vm->lock)
		vm->n_messages = 0;
}

static int fake_set_ioapic_route(
	struct hv_vm *base, unsigned int pin, bool present, uint64_t addr, uint32_t data)
{
	struct fake_vm *vm = fake_vm_of(base);

	with_lock (&vm->lock) {
		vm->pin_routed[pin] = present;
		vm->pins[pin] = (struct hv_fake_msi){.addr = addr, .data = data};
	}
	return 0;
}

bool hv_fake_ioapic_route(struct hv_vm *base, unsigned int pin, struct hv_fake_msi *ret_msi)
{
	struct fake_vm *vm = fake_vm_of(base);

	auto_lock(&vm->lock);
	*ret_msi = vm->pins[pin];
	return vm->pin_routed[pin];
}

static int fake_ioeventfd(struct hv_vm *base, uint64_t addr, bool is_pio, int fd, bool assign)
{
	struct fake_vm *vm = fake_vm_of(base);
	int error = fake_failure(vm, HV_FAKE_IOEVENTFD);

	if (error)
		return -error;
	auto_lock(&vm->lock);
	for (unsigned int i = 0; i < vm->n_doorbells; i++) {
		if (vm->doorbells[i].addr != addr || vm->doorbells[i].is_pio != is_pio)
			continue;
		if (assign)
			return -EEXIST;
		if (vm->doorbells[i].fd != fd)
			return -ENOENT;
		vm->doorbells[i] = vm->doorbells[--vm->n_doorbells];
		return 0;
	}
	if (!assign)
		return -ENOENT;
	FAKE_APPEND(vm->doorbells, vm->n_doorbells,
		(struct fake_doorbell){.addr = addr, .is_pio = is_pio, .fd = fd});
	return 0;
}

bool hv_fake_doorbell(struct hv_vm *base, uint64_t addr, bool is_pio)
{
	struct fake_vm *vm = fake_vm_of(base);

	auto_lock(&vm->lock);
	for (unsigned int i = 0; i < vm->n_doorbells; i++) {
		if (vm->doorbells[i].addr != addr || vm->doorbells[i].is_pio != is_pio)
			continue;
		fd_eventfd_signal(vm->doorbells[i].fd);
		return true;
	}
	return false;
}

static void fake_irqfd_free(struct hv_irqfd *base)
{
	struct fake_irqfd *irqfd = container_of(base, struct fake_irqfd, base);

	with_lock (&irqfd->vm->lock) {
		struct fake_irqfd **link = &irqfd->vm->irqfds;

		fake_irqfd_poll_locked(irqfd);
		while (*link != irqfd)
			link = &(*link)->next;
		*link = irqfd->next;
	}
	close(base->fd);
	free(irqfd);
}

static int fake_irqfd_route(struct hv_irqfd *base, uint64_t addr, uint32_t data)
{
	struct fake_irqfd *irqfd = container_of(base, struct fake_irqfd, base);
	int error = fake_failure(irqfd->vm, HV_FAKE_IRQFD_ROUTE);

	if (error)
		return -error;
	with_lock (&irqfd->vm->lock) {
		fake_irqfd_poll_locked(irqfd);
		irqfd->msi = (struct hv_fake_msi){.addr = addr, .data = data};
		irqfd->routed = true;
		fake_irqfd_poll_locked(irqfd);
	}
	return 0;
}

static void fake_irqfd_unroute(struct hv_irqfd *base)
{
	struct fake_irqfd *irqfd = container_of(base, struct fake_irqfd, base);

	with_lock (&irqfd->vm->lock) {
		fake_irqfd_poll_locked(irqfd);
		irqfd->routed = false;
	}
}

static const struct hv_irqfd_ops fake_irqfd_ops = {
	.free = fake_irqfd_free,
	.route = fake_irqfd_route,
	.unroute = fake_irqfd_unroute,
};

static struct err *fake_irqfd_create(struct hv_vm *base, struct hv_irqfd **ret_irqfd)
{
	struct fake_vm *vm = fake_vm_of(base);
	int error = fake_failure(vm, HV_FAKE_IRQFD_CREATE);
	struct fake_irqfd *irqfd;

	if (error)
		return err_new(error, "Cannot make an interrupt");
	irqfd = new0(struct fake_irqfd);
	assert(irqfd);
	irqfd->base.ops = &fake_irqfd_ops;
	irqfd->base.fd = fd_eventfd();
	assert(irqfd->base.fd >= 0);
	irqfd->vm = vm;
	with_lock (&vm->lock) {
		irqfd->next = vm->irqfds;
		vm->irqfds = irqfd;
	}
	*ret_irqfd = &irqfd->base;
	return NULL;
}

static const struct hv_vm_ops fake_vm_ops = {
	.free = fake_vm_free,
	.map = fake_map,
	.unmap = fake_unmap,
	.signal_msi = fake_signal_msi,
	.set_ioapic_route = fake_set_ioapic_route,
	.ioeventfd = fake_ioeventfd,
	.irqfd_create = fake_irqfd_create,
	.vcpu_create = fake_vcpu_create,
};

struct err *hv_fake_create(struct hv_vm **ret_vm)
{
	struct fake_vm *vm = new0(struct fake_vm);

	if (!vm)
		return err_new(ENOMEM, "Cannot make a virtual machine");
	vm->base.ops = &fake_vm_ops;
	vm->base.x86 = &fake_x86_ops;
	vm->base.caps = (struct hv_caps){
		.max_vcpus = 1024,
		.max_vcpu_ids = 1024,
		.max_slots = 512,
		.max_irq_routes = 4096,
		.phys_bits = 40,
		.tsc_khz = 2000000,
		.tsc_deadline = true,
	};
	pthread_mutex_init(&vm->lock, NULL);
	*ret_vm = &vm->base;
	return NULL;
}
