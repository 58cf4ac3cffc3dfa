/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many vCPUs at once on the real /dev/kvm: created by their threads, started by INIT and SIPI,
 * kicked, reset together, started again.
 */
#include <stdatomic.h>

#include "base/thread.h"
#include "hv/guest.h"

#define VCPUS 32

/*
 * The first vCPU turns its x2APIC on, sends INIT and SIPI (vector 2: 0x2000) to all others and
 * reports on port 0x90; so does each of them on port 0x91, then all halt.
 */
static const uint8_t boot_code[] = {
	0x66, 0xb9, 0x1b, 0x00, 0x00, 0x00, 0x0f, 0x32,       /* mov $0x1b,%ecx; rdmsr */
	0x66, 0x0d, 0x00, 0x0c, 0x00, 0x00, 0x0f, 0x30,       /* or $0xc00,%eax; wrmsr */
	0x66, 0xb9, 0x30, 0x08, 0x00, 0x00, 0x66, 0x31, 0xd2, /* mov $0x830,%ecx; xor %edx,%edx */
	0x66, 0xb8, 0x00, 0x45, 0x0c, 0x00, 0x0f, 0x30,       /* mov $0xc4500,%eax; wrmsr: INIT */
	0x66, 0xb8, 0x02, 0x46, 0x0c, 0x00, 0x0f, 0x30,       /* mov $0xc4602,%eax; wrmsr: SIPI */
	0xe6, 0x90, 0xf4, 0xeb, 0xfd,                         /* out %al,$0x90; 1: hlt; jmp 1b */
};
static const uint8_t ap_code[] = {0xe6, 0x91, 0xf4, 0xeb, 0xfd}; /* out %al,$0x91; 1: hlt; jmp 1b */

struct smp_vcpu {
	struct thread thread;
	struct smp *smp;
	unsigned int id;
	struct hv_vcpu *hv;
	struct err *err;
};

struct smp {
	struct guest guest;
	pthread_barrier_t created;
	pthread_barrier_t parked;
	pthread_barrier_t reset;
	atomic_uint started; /* reports of this round */
	unsigned int rounds;
	struct smp_vcpu vcpus[VCPUS];
};

static void smp_kick_all(struct smp *smp)
{
	for (unsigned int i = 0; i < VCPUS; i++)
		hv_vcpu_kick(smp->vcpus[i].hv);
}

/* Runs until kicked, which the last vCPU to report sees to. */
static void smp_round(struct smp_vcpu *vcpu)
{
	struct hv_exit exit;

	for (;;) {
		int ret = hv_vcpu_run(vcpu->hv, &exit);

		if (ret < 0 || exit.reason == HV_EXIT_KICKED)
			return;
		if (exit.reason != HV_EXIT_IO) {
			atomic_store(&vcpu->smp->started, VCPUS * 2);
			return;
		}
		if (atomic_fetch_add(&vcpu->smp->started, 1) + 1 == VCPUS)
			smp_kick_all(vcpu->smp);
	}
}

static struct err *smp_create(struct smp_vcpu *vcpu)
{
	struct hv_x86_cpuid *cpuid = calloc(1, sizeof(*cpuid));
	struct err *err = hv_vcpu_create(vcpu->smp->guest.vm, vcpu->id, &vcpu->hv);

	if (!err)
		err = hv_x86_supported_cpuid(vcpu->smp->guest.vm, cpuid);
	if (!err)
		err = hv_x86_set_cpuid(vcpu->hv, cpuid);
	if (!err)
		err = hv_vcpu_bind(vcpu->hv);
	free(cpuid);
	return err;
}

static void smp_thread(struct thread *thread)
{
	struct smp_vcpu *vcpu = container_of(thread, struct smp_vcpu, thread);
	struct smp *smp = vcpu->smp;

	vcpu->err = smp_create(vcpu);
	pthread_barrier_wait(&smp->created);
	for (unsigned int round = 0; round < smp->rounds && !vcpu->err; round++) {
		if (vcpu->id == 0)
			guest_real_mode(vcpu->hv);
		smp_round(vcpu);
		pthread_barrier_wait(&smp->parked);
		vcpu->err = hv_vcpu_reset(vcpu->hv);
		if (atomic_load(&smp->started) != VCPUS && !vcpu->err)
			vcpu->err = err_new(0, "%u vCPUs reported", atomic_load(&smp->started));
		if (pthread_barrier_wait(&smp->reset) == PTHREAD_BARRIER_SERIAL_THREAD)
			atomic_store(&smp->started, 0);
		pthread_barrier_wait(&smp->parked);
	}
	hv_vcpu_unbind(vcpu->hv);
}

static void smp_run(unsigned int rounds)
{
	struct smp *smp = calloc(1, sizeof(*smp));

	guest_create(&smp->guest, boot_code, sizeof(boot_code));
	memcpy(smp->guest.ram + 0x2000, ap_code, sizeof(ap_code));
	smp->rounds = rounds;
	pthread_barrier_init(&smp->created, NULL, VCPUS);
	pthread_barrier_init(&smp->parked, NULL, VCPUS);
	pthread_barrier_init(&smp->reset, NULL, VCPUS);
	for (unsigned int i = 0; i < VCPUS; i++) {
		struct smp_vcpu *vcpu = &smp->vcpus[i];

		*vcpu = (struct smp_vcpu){
			.thread = {.name = "vcpu", .run = smp_thread}, .smp = smp, .id = i};
		assert_ok(thread_start(&vcpu->thread));
	}
	for (unsigned int i = 0; i < VCPUS; i++)
		thread_join(&smp->vcpus[i].thread);
	for (unsigned int i = 0; i < VCPUS; i++) {
		assert_ok(smp->vcpus[i].err);
		hv_vcpu_free(smp->vcpus[i].hv);
	}
	guest_free(&smp->guest);
	pthread_barrier_destroy(&smp->created);
	pthread_barrier_destroy(&smp->parked);
	pthread_barrier_destroy(&smp->reset);
	free(smp);
}

static void test_parallel_creation(void **state)
{
	smp_run(0);
}

static void test_start_and_reset(void **state)
{
	smp_run(20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parallel_creation),
		cmocka_unit_test(test_start_and_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
