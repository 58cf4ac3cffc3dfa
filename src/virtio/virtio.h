/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device as its transport sees it, and the transport as the device sees it.
 *
 * Theory of operation. The device model embeds `struct virtio_dev` and says what it is; the
 * transport (virtio/pci) owns the registers. When the driver sets DRIVER_OK the transport starts
 * the queues and a thread with an event loop of its own, which is the only one that touches the
 * device's state from then on, until the driver (or the machine) resets the device: the transport
 * ends the thread, which finishes the request that it is working on (and no other: `yield`), and
 * nothing of the device touches guest memory any more. A device that was never activated has no
 * thread, no loop and no rings.
 *
 * A model may ask for several threads, each with a loop, and says which of them serves a queue;
 * that does not change while the device is active. They start and end together, pauses come to
 * each, and what they have in common is the model's to guard. The first one has whatever belongs to
 * no queue, and is the last to pause: what another one leaves to it before it pauses itself is done
 * by then. One waits for another only where all of them meet (a disk's new size), and there one
 * that has ended counts as present.
 */
#pragma once

#include <stdatomic.h>

#include "base/log.h"
#include "device/device.h"
#include "event/loop.h"
#include "virtio/queue/virtq.h"

#define VIRTIO_QUEUES_MAX  33 /* 16 pairs and a control queue */
#define VIRTIO_THREADS_MAX 32
#define VIRTIO_SHM_MAX     3 /* what configuration space has room for */

/* Feature bits of every device (virtio 1.3, 6). */
#define VIRTIO_F_INDIRECT_DESC     (1ull << 28)
#define VIRTIO_F_EVENT_IDX         (1ull << 29)
#define VIRTIO_F_VERSION_1         (1ull << 32)
#define VIRTIO_F_RING_PACKED       (1ull << 34)
#define VIRTIO_F_IN_ORDER          (1ull << 35)
#define VIRTIO_F_NOTIFICATION_DATA (1ull << 38)
#define VIRTIO_F_NOTIF_CONFIG_DATA (1ull << 39)
#define VIRTIO_F_RING_RESET        (1ull << 40)

struct virtio_dev;

/* Memory of the host that the driver finds by a number (2.10). */
struct virtio_shm {
	uint8_t id;
	struct iovec memory; /* whole pages; longer there than the device */
};

struct virtio_dev_ops {
	/* Which of n_threads serves queue q; the driver's choice of features is final. Optional:
	 * the first. [vcpu] */
	unsigned int (*thread)(const struct virtio_dev *dev, unsigned int q);
	/* The driver said that queue q has something; serve it until it is empty. [loop] */
	void (*notify)(struct virtio_dev *dev, unsigned int q);
	/* The driver's choice of features is final and the queues are up; optional. Before the
	 * first notify. Sources may be added to the loops. [vcpu] */
	void (*activate)(struct virtio_dev *dev);
	/* A thread's loop has ended, as the driver resets the device: waits for what it has in
	 * flight, so that nothing touches guest memory any more; optional. [that thread; vcpu, if
	 * it could not be started] */
	void (*drain)(struct virtio_dev *dev, unsigned int thread);
	/* After activate, when all threads have ended: takes sources and timers out of the loops;
	 * optional. [vcpu] or [main] */
	void (*deactivate)(struct virtio_dev *dev);
	/* The driver takes queue q back: gives back (pushes) the chains that wait for the driver or
	 * the world; those that the host works on are given back as always, and the transport waits
	 * for them. The queue is empty from now on; when it is up again, notify comes. Optional
	 * with RING_RESET. [loop] */
	void (*queue_reset)(struct virtio_dev *dev, unsigned int q);
	/* The machine pauses (no source of this thread may run until it resumes) or resumes;
	 * optional. May come twice. Notifications of queues are held back by the transport. [loop]
	 */
	void (*pause)(struct virtio_dev *dev, unsigned int thread, bool paused);
	/* Device-specific configuration, [off, off + size) inside config_size. [vcpu] */
	void (*config_read)(
		struct virtio_dev *dev, unsigned int off, void *data, unsigned int size);
	/* The driver writes it; optional. [vcpu] */
	void (*config_write)(
		struct virtio_dev *dev, unsigned int off, const void *data, unsigned int size);
	/* The driver or the machine has reset the device, which is not active (any more): its
	 * configuration is as before the first driver; optional. [vcpu] or [main] */
	void (*reset)(struct virtio_dev *dev);
	/* The device goes; its thread has ended. [main] */
	void (*free)(struct virtio_dev *dev);
};

/* What the transport does for a device. */
struct virtio_transport {
	/* Interrupts the driver for queue q. [loop] */
	void (*signal)(struct virtio_transport *transport, unsigned int q);
	/* Notifies the device of queue q, when its loop has served what else there is. [loop] */
	void (*again)(struct virtio_transport *transport, unsigned int q);
	/* Nothing of a stopped queue is in flight any more. [loop] */
	void (*drained)(struct virtio_transport *transport, unsigned int q);
	/* The driver broke a rule: DEVICE_NEEDS_RESET and a configuration interrupt (2.1.2). [loop]
	 */
	void (*needs_reset)(struct virtio_transport *transport);
	/* The device's configuration is another: a new generation, and a configuration interrupt
	 * (4.1.4.3.1). [loop] */
	void (*config_changed)(struct virtio_transport *transport);
	/* The eventfd of queue q's notifications, for the kernel to read: the loop does not any
	 * more, until the device is activated again. [vcpu] in activate, or [loop] */
	int (*take_kick)(struct virtio_transport *transport, unsigned int q);
	/* An eventfd whose signal interrupts the driver for queue q, or -errno: then it takes
	 * signal(). [vcpu] in activate, or [loop] */
	int (*interrupt_fd)(struct virtio_transport *transport, unsigned int q);
	/* The loop of a thread but the first. [vcpu] in activate, or [loop] */
	struct loop *(*loop)(struct virtio_transport *transport, unsigned int thread);
};

struct virtio_dev {
	const struct virtio_dev_ops *ops;
	const char *name;    /* "virtio-blk-0"; owned by the device */
	uint16_t id;         /* virtio device id (5) */
	uint32_t class_code; /* PCI class, 24 bits */
	/*
	 * Offered by the model; the transport adds those that cost a model nothing. IN_ORDER is the
	 * model's to offer, if it is done with its requests in their order anyway: else the queue
	 * keeps what was done early from the driver. So is RING_RESET, by a model that publishes
	 * with virtio_dev_publish() whatever it did not do before its callback returned.
	 */
	uint64_t features;
	uint64_t excluded; /* of the transport's, what cannot be had with this device */
	unsigned int n_queues;
	unsigned int n_threads; /* at most VIRTIO_THREADS_MAX; 0: one */
	uint16_t queue_size;    /* largest */
	unsigned int config_size;
	unsigned int n_shm; /* at most VIRTIO_SHM_MAX */
	struct virtio_shm shm[VIRTIO_SHM_MAX];
	/* Where the guest has shm[0], the only one, in any case, and the driver finds it at first;
	 * 0: nowhere. Other devices reach it there only (virtio/pci/virtio_pci_shm.c). */
	uint64_t shm_gpa;
	uint64_t shm_features; /* of `features`, what is not offered when it is found elsewhere */

	/* Set by the transport while the device is active. */
	struct virtio_transport *transport;
	struct loop *loop;      /* of the first thread */
	struct log_limit limit; /* for lines that the guest causes */
	_Atomic bool yield;     /* the transport waits for threads: begin no further request */
	bool stalled; /* the model begins none, and looks again by itself; of the only thread */
	const struct ram *ram;
	uint64_t negotiated; /* from FEATURES_OK on; 0 before */
	struct virtq queues[VIRTIO_QUEUES_MAX];
};

/* The loop of one of its threads. [vcpu] in activate, or [loop] */
static inline struct loop *virtio_dev_loop(const struct virtio_dev *dev, unsigned int thread)
{
	return thread ? dev->transport->loop(dev->transport, thread) : dev->loop;
}

/* Shows the driver of queue q what was pushed, and interrupts it as it wishes. [loop] */
void virtio_dev_publish(struct virtio_dev *dev, unsigned int q);
/* The driver broke queue q: asks for a reset. [loop] */
void virtio_dev_broken(struct virtio_dev *dev, unsigned int q);

/* What a virtio_serve_fn returns for a chain that the model keeps, to push it later. */
#define VIRTIO_KEPT UINT32_MAX

/* Works on one chain, and returns the number of bytes that it wrote to it, or VIRTIO_KEPT. */
typedef uint32_t (*virtio_serve_fn)(struct virtio_dev *dev, struct virtq_chain *chain);

/*
 * Serves queue q: takes chains while there are any and the model has not stalled, hands each to
 * `serve`, publishes, and interrupts as the driver wishes. A driver that adds as fast as we take
 * does not hold the loop: the rest is served when the others had their turn. [loop]
 */
void virtio_dev_serve(
	struct virtio_dev *dev, unsigned int q, struct virtq_chain *chain, virtio_serve_fn serve);

/* ---- Bytes of a chain ---- */

/* Bytes in n pieces. */
uint64_t virtio_iov_size(const struct iovec *iov, unsigned int n);
/* Copies len bytes at offset off of the pieces; the number of bytes that were there. */
size_t virtio_iov_read(
	const struct iovec *iov, unsigned int n, uint64_t off, void *data, size_t len);
size_t virtio_iov_write(
	const struct iovec *iov, unsigned int n, uint64_t off, const void *data, size_t len);
/* Narrows the pieces, in place, to [off, off + len); their new number. The range must be inside. */
unsigned int virtio_iov_slice(
	struct iovec *iov, unsigned int n, uint64_t off, uint64_t len, struct iovec **ret_first);
