/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory slots: guest memory backed by the monitor's. [any]
 */
#include <errno.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/overflow.h"
#include "base/thread.h"
#include "hv/kvm/kvm_internal.h"

static int kvm_slot_set_locked(struct kvm_vm *vm, unsigned int slot, uint64_t gpa, uint64_t size,
	uint8_t *hva, bool readonly)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return kvm_set_user_memory_region(vm->fd, &region);
}

/* The index of a free slot, *ret_slot; the array grows by one at a time, as there are a handful. */
static int kvm_slot_alloc_locked(struct kvm_vm *vm, unsigned int *ret_slot)
{
	struct kvm_slot *slots;

	for (unsigned int i = 0; i < vm->n_slots; i++) {
		if (!vm->slots[i].size) {
			*ret_slot = i;
			return 0;
		}
	}
	if (vm->n_slots >= vm->base.caps.max_slots)
		return -ENOSPC;
	slots = reallocarray(vm->slots, vm->n_slots + 1, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	vm->slots = slots;
	vm->slots[vm->n_slots] = (struct kvm_slot){0};
	*ret_slot = vm->n_slots++;
	return 0;
}

struct err *kvm_vm_map(struct hv_vm *base, uint64_t gpa, uint64_t size, uint8_t *hva, bool readonly)
{
	struct kvm_vm *vm = kvm_vm_of(base);
	unsigned int slot;
	int ret;

	auto_lock(&vm->slots_lock);
	ret = kvm_slot_alloc_locked(vm, &slot);
	if (!ret)
		ret = kvm_slot_set_locked(vm, slot, gpa, size, hva, readonly);
	if (ret < 0)
		return err_new(-ret, "Cannot map guest memory 0x%" PRIx64 "-0x%" PRIx64, gpa,
			gpa + size - 1);
	vm->slots[slot] = (struct kvm_slot){.gpa = gpa, .size = size};
	return NULL;
}

struct err *kvm_vm_unmap(struct hv_vm *base, uint64_t gpa, uint64_t size)
{
	struct kvm_vm *vm = kvm_vm_of(base);

	auto_lock(&vm->slots_lock);
	for (unsigned int i = 0; i < vm->n_slots; i++) {
		struct kvm_slot *slot = &vm->slots[i];
		int ret;

		if (slot->gpa != gpa || slot->size != size)
			continue;
		ret = kvm_slot_set_locked(vm, i, gpa, 0, NULL, false);
		if (ret < 0)
			return err_new(-ret, "Cannot unmap guest memory at 0x%" PRIx64, gpa);
		*slot = (struct kvm_slot){0};
		return NULL;
	}
	return err_new(ENOENT, "No guest memory was mapped as 0x%" PRIx64 "-0x%" PRIx64, gpa,
		gpa + size - 1);
}
