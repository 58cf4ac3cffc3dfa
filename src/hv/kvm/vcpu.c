/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One vCPU on KVM: running it, and stopping it from outside.
 *
 * Theory of operation of the kick: the kick signal is blocked in the vCPU's thread and unblocked by
 * the kernel within KVM_RUN only (KVM_SET_SIGNAL_MASK). A signal that comes while the thread is in
 * the monitor therefore stays pending and makes the next KVM_RUN return -EINTR; nothing is ever
 * delivered, so there is no handler and no process-wide state. The flag `kicked` says that the
 * signal was a kick: it is set before the signal is sent and taken after the signal was taken out
 * of the queue, so
 *  - a kick that finds the flag set relies on the earlier one, whose report is still to come;
 *  - a kick that comes after the flag was taken leaves its own signal behind, for the next run;
 *  - a signal without the flag (it overtook nothing but time, or came from a stranger) is ignored.
 * Before a thread is bound there is nobody to signal: the flag alone is left, and each run hands it
 * to KVM as immediate_exit. bind_lock orders the two: the kick that saw no thread came before the
 * binding.
 *
 * A guest whose vCPU did not run for a while is told, so that it does not take the processor for
 * locked up: the process may have been stopped (SIGSTOP). If that came while the thread was in
 * KVM_RUN, the call tells by -EINTR. Otherwise only the time between two calls does; or, if the
 * thread was on its way out of the call already, the SIGCONT that nobody has taken yet.
 *
 * KVM completes the access of the last exit before it looks at signals or immediate_exit, so the
 * state that a kick leaves behind is consistent.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/thread.h"
#include "hv/kvm/kvm_internal.h"

/* Real-time signals are few users' choice; the last but one keeps clear of those that count from
 * the ends. */
#define KVM_KICK_SIGNAL (SIGRTMAX - 1)

/*
 * KVM stops a repeated string instruction for signals after 1024 accesses at the latest (it
 * re-enters the guest then), so completing one takes no more exits than this.
 */
#define KVM_COMPLETE_MAX 2048

/* Longer than what an exit takes, and much shorter than what a guest takes for a lock-up. */
#define KVM_STOPPED_MS 1000

static void kvm_vcpu_free(struct hv_vcpu *base)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);

	if (vcpu->run)
		munmap(vcpu->run, kvm_vm_of(base->vm)->run_size);
	close(vcpu->fd);
	pthread_mutex_destroy(&vcpu->bind_lock);
	free(vcpu);
}

static int kvm_vcpu_map_run(struct kvm_vcpu *vcpu)
{
	size_t size = kvm_vm_of(vcpu->base.vm)->run_size;
	void *run;

	if (vcpu->run)
		return 0;
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vcpu->run = run;
	return 0;
}

static struct err *kvm_vcpu_bind(struct hv_vcpu *base)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	uint64_t blocked = ~(1ULL << (KVM_KICK_SIGNAL - 1));
	sigset_t kick;
	sigset_t before;
	int ret = kvm_vcpu_map_run(vcpu);

	if (ret < 0)
		return err_new(-ret, "Cannot map the shared area of vCPU %u", base->id);
	ret = kvm_set_signal_mask(vcpu->fd, blocked);
	if (ret < 0)
		return err_new(-ret, "Cannot set the signal mask of vCPU %u", base->id);
	sigemptyset(&kick);
	sigaddset(&kick, KVM_KICK_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &kick, &before);
	with_lock (&vcpu->bind_lock) {
		vcpu->tid = gettid();
		vcpu->signal_was_blocked = sigismember(&before, KVM_KICK_SIGNAL);
	}
	return NULL;
}

/* Takes the kick signal out of the queue of this thread. */
static void kvm_drain_signal(void)
{
	static const struct timespec now;
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, KVM_KICK_SIGNAL);
	while (sigtimedwait(&kick, NULL, &now) > 0)
		;
}

static void kvm_vcpu_unbind(struct hv_vcpu *base)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	bool was_blocked = true;
	sigset_t kick;

	with_lock (&vcpu->bind_lock) {
		vcpu->tid = 0;
		was_blocked = vcpu->signal_was_blocked;
	}
	kvm_drain_signal();
	if (was_blocked)
		return;
	sigemptyset(&kick);
	sigaddset(&kick, KVM_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
}

static void kvm_vcpu_kick(struct hv_vcpu *base)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);

	/* Pairs with the exchange in kvm_vcpu_take_kick(): what the kicker wrote before is seen
	 * after. */
	if (atomic_exchange_explicit(&vcpu->kicked, true, memory_order_acq_rel))
		return;
	auto_lock(&vcpu->bind_lock);
	if (vcpu->tid)
		tgkill(getpid(), vcpu->tid, KVM_KICK_SIGNAL);
}

static bool kvm_vcpu_take_kick(struct kvm_vcpu *vcpu)
{
	kvm_drain_signal();
	/* Pairs with the exchange in kvm_vcpu_kick(). */
	return atomic_exchange_explicit(&vcpu->kicked, false, memory_order_acq_rel);
}

/* Milliseconds on a clock that is only read from memory, as this is done twice for each exit. */
static int64_t kvm_coarse_ms(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The process was continued, and who waits for that (with SIGCONT blocked) was not told yet. */
static bool kvm_is_continued(void)
{
	sigset_t pending;

	return !sigpending(&pending) && sigismember(&pending, SIGCONT) == 1;
}

static int kvm_vcpu_run(struct hv_vcpu *base, struct hv_exit *ret_exit)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	int64_t entered_ms = kvm_coarse_ms();

	assert(vcpu->run);
	if (vcpu->left_ms && entered_ms - vcpu->left_ms > KVM_STOPPED_MS)
		kvm_arch_clock_paused(base);
	for (;;) {
		int ret;

		/* Relaxed: a kick that this misses has sent, or will send, its signal. */
		vcpu->run->immediate_exit =
			atomic_load_explicit(&vcpu->kicked, memory_order_relaxed);
		ret = kvm_run(vcpu->fd);
		if (ret >= 0) {
			vcpu->io_pending = kvm_exit_decode(vcpu->run, ret_exit);
			vcpu->left_ms = kvm_coarse_ms();
			if (vcpu->left_ms - entered_ms > KVM_STOPPED_MS && kvm_is_continued())
				kvm_arch_clock_paused(base);
			return 0;
		}
		vcpu->io_pending = false;
		/* -EAGAIN: an application processor was woken but not started. */
		if (ret != -EINTR && ret != -EAGAIN)
			return ret;
		if (ret == -EINTR && kvm_vcpu_take_kick(vcpu)) {
			ret_exit->reason = HV_EXIT_KICKED;
			vcpu->left_ms = kvm_coarse_ms();
			return 0;
		}
		/* A signal that was not ours: the thread was stopped, and has been continued. */
		if (ret == -EINTR)
			kvm_arch_clock_paused(base);
	}
}

int kvm_vcpu_complete_io(struct kvm_vcpu *vcpu)
{
	struct hv_exit exit;

	for (int i = 0; vcpu->io_pending; i++) {
		int ret;

		if (i == KVM_COMPLETE_MAX)
			return -ELOOP;
		vcpu->run->immediate_exit = 1;
		ret = kvm_run(vcpu->fd);
		vcpu->io_pending = ret >= 0 && kvm_exit_decode(vcpu->run, &exit);
		if (ret < 0 && ret != -EINTR && ret != -EAGAIN)
			return ret;
	}
	return 0;
}

static const struct hv_vcpu_ops kvm_vcpu_ops = {
	.free = kvm_vcpu_free,
	.bind = kvm_vcpu_bind,
	.unbind = kvm_vcpu_unbind,
	.run = kvm_vcpu_run,
	.kick = kvm_vcpu_kick,
	.reset = kvm_arch_vcpu_reset,
	.clock_paused = kvm_arch_clock_paused,
};

struct err *kvm_vcpu_create(struct hv_vm *vm, unsigned int id, struct hv_vcpu **ret_vcpu)
{
	auto_close int fd = kvm_create_vcpu(kvm_vm_of(vm)->fd, id);
	struct kvm_vcpu *vcpu;

	if (fd < 0)
		return err_new(-fd, "KVM cannot make vCPU %u", id);
	vcpu = new0(struct kvm_vcpu);
	if (!vcpu)
		return err_new(ENOMEM, "Cannot make vCPU %u", id);
	vcpu->base = (struct hv_vcpu){.ops = &kvm_vcpu_ops, .vm = vm, .id = id};
	vcpu->fd = steal_fd(&fd);
	pthread_mutex_init(&vcpu->bind_lock, NULL);
	*ret_vcpu = &vcpu->base;
	return NULL;
}
