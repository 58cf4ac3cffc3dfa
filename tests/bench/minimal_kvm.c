/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a program can do to enter a guest: the yardstick of `make bench-boot`. 128 MiB of
 * RAM, split irqchip, one vCPU with the host's CPUID, long enough to reach the first KVM_RUN; the
 * guest executes HLT.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_SIZE (128u << 20)

int main(void)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[100];
	} cpuid = {.head.nent = 100};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	uint8_t *ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct kvm_userspace_memory_region slot = {
		.memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)ram};
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
	struct kvm_regs regs = {.rip = 0x1000, .rflags = 2};
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int vcpu;

	if (vm < 0 || ram == MAP_FAILED || ioctl(vm, KVM_SET_TSS_ADDR, 0xf0000000ul) ||
		ioctl(vm, KVM_ENABLE_CAP, &split) || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot))
		return 1;
	ram[0x1000] = 0xf4; /* hlt */
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		MAP_SHARED, vcpu, 0);
	if (vcpu < 0 || run == MAP_FAILED || ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) ||
		ioctl(vcpu, KVM_SET_CPUID2, &cpuid) || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return 2;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		return 3;
	alarm(1); /* HLT with the local APIC in the kernel sleeps for ever */
	(void)ioctl(vcpu, KVM_RUN, 0);
	return 0;
}
