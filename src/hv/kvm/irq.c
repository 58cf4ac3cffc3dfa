/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts into the guest and doorbells out of it.
 *
 * Theory of operation: GSIs below HV_IOAPIC_PINS are the pins of the user-space I/O APIC: their
 * routes serve only to tell KVM which vectors are level-triggered, so that it exits at their EOI.
 * The other GSIs belong to one irqfd each. KVM takes the whole table at once and waits for a grace
 * period while it swaps it, so the table is written only when a message really changed; masking
 * detaches the eventfd and leaves the table. A message that KVM would refuse never gets into the
 * table, as it would take the others down with it.
 */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/thread.h"
#include "hv/kvm/kvm_internal.h"

/* KVM's own limit, and ours on what a table may cost. */
#define KVM_ROUTES_MAX 4096U

int kvm_vm_signal_msi(struct hv_vm *base, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi;
	int ret = kvm_arch_msi(addr, data, &msi);

	return ret < 0 ? ret : kvm_signal_msi(kvm_vm_of(base)->fd, &msi);
}

int kvm_vm_ioeventfd(struct hv_vm *base, uint64_t addr, bool is_pio, int fd, bool assign)
{
	struct kvm_ioeventfd args = {
		.addr = addr,
		.fd = fd,
		.flags = (is_pio ? KVM_IOEVENTFD_FLAG_PIO : 0U) |
			 (assign ? 0U : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return kvm_ioeventfd(kvm_vm_of(base)->fd, &args);
}

static void kvm_table_add(
	struct kvm_irq_routing *table, unsigned int gsi, const struct kvm_route *route)
{
	struct kvm_irq_routing_entry *entry = &table->entries[table->nr];
	struct kvm_msi msi;

	if (!route->present || kvm_arch_msi(route->addr, route->data, &msi) < 0)
		return;
	*entry = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = {.address_lo = msi.address_lo,
			.address_hi = msi.address_hi,
			.data = msi.data},
	};
	table->nr++;
}

static int kvm_table_write_locked(struct kvm_vm *vm)
{
	size_t room = HV_IOAPIC_PINS;
	auto_free struct kvm_irq_routing *table = NULL;

	for (const struct kvm_vm_irqfd *irqfd = vm->irqfds; irqfd; irqfd = irqfd->next)
		room++;
	table = calloc(1, sizeof(*table) + room * sizeof(table->entries[0]));
	if (!table)
		return -ENOMEM;
	for (unsigned int pin = 0; pin < HV_IOAPIC_PINS; pin++)
		kvm_table_add(table, pin, &vm->pins[pin]);
	for (const struct kvm_vm_irqfd *irqfd = vm->irqfds; irqfd; irqfd = irqfd->next)
		kvm_table_add(table, irqfd->gsi, &irqfd->route);
	return kvm_set_gsi_routing(vm->fd, table);
}

static bool kvm_route_equals(const struct kvm_route *a, const struct kvm_route *b)
{
	return a->present == b->present &&
	       (!a->present || (a->addr == b->addr && a->data == b->data));
}

/* Changes one route and the table with it, or neither. */
static int kvm_route_set_locked(struct kvm_vm *vm, struct kvm_route *route, struct kvm_route now)
{
	struct kvm_route before = *route;
	int ret;

	if (kvm_route_equals(&before, &now))
		return 0;
	*route = now;
	ret = kvm_table_write_locked(vm);
	if (ret < 0)
		*route = before;
	return ret;
}

int kvm_vm_set_ioapic_route(
	struct hv_vm *base, unsigned int pin, bool present, uint64_t addr, uint32_t data)
{
	struct kvm_vm *vm = kvm_vm_of(base);
	struct kvm_route now = {.present = present, .addr = addr, .data = data};
	struct kvm_msi msi;

	if (present && kvm_arch_msi(addr, data, &msi) < 0)
		return -EINVAL;
	auto_lock(&vm->irq_lock);
	return kvm_route_set_locked(vm, &vm->pins[pin], now);
}

static struct kvm_vm_irqfd *kvm_irqfd_of(struct hv_irqfd *base)
{
	return container_of(base, struct kvm_vm_irqfd, base);
}

static int kvm_irqfd_attach_locked(struct kvm_vm_irqfd *irqfd, bool attach)
{
	struct kvm_irqfd args = {
		.fd = (uint32_t)irqfd->base.fd,
		.gsi = irqfd->gsi,
		.flags = attach ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};
	int ret;

	if (irqfd->attached == attach)
		return 0;
	ret = kvm_irqfd(irqfd->vm->fd, &args);
	if (!ret)
		irqfd->attached = attach;
	return ret;
}

static int kvm_irqfd_route(struct hv_irqfd *base, uint64_t addr, uint32_t data)
{
	struct kvm_vm_irqfd *irqfd = kvm_irqfd_of(base);
	struct kvm_route now = {.present = true, .addr = addr, .data = data};
	struct kvm_msi msi;
	int ret = kvm_arch_msi(addr, data, &msi);

	if (ret < 0)
		return ret;
	auto_lock(&irqfd->vm->irq_lock);
	ret = kvm_route_set_locked(irqfd->vm, &irqfd->route, now);
	/* KVM delivers at once what the eventfd holds when it is attached. */
	return ret < 0 ? ret : kvm_irqfd_attach_locked(irqfd, true);
}

static void kvm_irqfd_unroute(struct hv_irqfd *base)
{
	struct kvm_vm_irqfd *irqfd = kvm_irqfd_of(base);
	int ret;

	auto_lock(&irqfd->vm->irq_lock);
	ret = kvm_irqfd_attach_locked(irqfd, false);
	assert(!ret); /* only a descriptor or GSI that is not ours could fail */
}

static void kvm_irqfd_free(struct hv_irqfd *base)
{
	struct kvm_vm_irqfd *irqfd = kvm_irqfd_of(base);
	struct kvm_vm *vm = irqfd->vm;

	kvm_irqfd_unroute(base);
	with_lock (&vm->irq_lock) {
		struct kvm_vm_irqfd **link = &vm->irqfds;

		while (*link != irqfd)
			link = &(*link)->next;
		*link = irqfd->next;
		vm->gsi_used[irqfd->gsi / 64] &= ~(1ULL << irqfd->gsi % 64);
	}
	close(base->fd);
	free(irqfd);
}

static const struct hv_irqfd_ops kvm_irqfd_ops = {
	.free = kvm_irqfd_free,
	.route = kvm_irqfd_route,
	.unroute = kvm_irqfd_unroute,
};

static int kvm_gsi_alloc_locked(struct kvm_vm *vm, unsigned int *ret_gsi)
{
	unsigned int n = MIN(vm->base.caps.max_irq_routes, KVM_ROUTES_MAX);

	if (!vm->gsi_used) {
		vm->gsi_used = new0_array(uint64_t, KVM_ROUTES_MAX / 64);
		if (!vm->gsi_used)
			return -ENOMEM;
		vm->gsi_used[0] = (1ULL << HV_IOAPIC_PINS) - 1;
	}
	for (unsigned int gsi = HV_IOAPIC_PINS; gsi < n; gsi++) {
		uint64_t bit = 1ULL << gsi % 64;

		if (vm->gsi_used[gsi / 64] & bit)
			continue;
		vm->gsi_used[gsi / 64] |= bit;
		*ret_gsi = gsi;
		return 0;
	}
	return -ENOSPC;
}

static void kvm_irqfd_link_locked(
	struct kvm_vm *vm, struct kvm_vm_irqfd *irqfd, unsigned int gsi, int fd)
{
	irqfd->base.ops = &kvm_irqfd_ops;
	irqfd->base.fd = fd;
	irqfd->vm = vm;
	irqfd->gsi = gsi;
	irqfd->next = vm->irqfds;
	vm->irqfds = irqfd;
}

struct err *kvm_vm_irqfd_create(struct hv_vm *base, struct hv_irqfd **ret_irqfd)
{
	struct kvm_vm *vm = kvm_vm_of(base);
	auto_close int fd = fd_eventfd();
	struct kvm_vm_irqfd *irqfd;
	unsigned int gsi;
	int ret;

	if (fd < 0)
		return err_new(-fd, "Cannot make an eventfd for an interrupt");
	irqfd = new0(struct kvm_vm_irqfd);
	if (!irqfd)
		return err_new(ENOMEM, "Cannot make an interrupt");
	auto_lock(&vm->irq_lock);
	ret = kvm_gsi_alloc_locked(vm, &gsi);
	if (ret < 0) {
		free(irqfd);
		return err_new(-ret,
			"The virtual machine has no interrupt routes left (at most %u)",
			MIN(vm->base.caps.max_irq_routes, KVM_ROUTES_MAX));
	}
	kvm_irqfd_link_locked(vm, irqfd, gsi, steal_fd(&fd));
	*ret_irqfd = &irqfd->base;
	return NULL;
}
