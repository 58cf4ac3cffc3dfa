/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net whose packets a vhost-user back end moves. The back end is a thread here that maps the
 * guest's memory by what it is told, and gives back what the driver sends; or it lies, refuses, or
 * says nothing.
 */
#include "net_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "virtio/vhost_user/message.h"

/* It knows packed rings; this side does not, of a back end's. */
#define BACKEND_FEATURES                                                                           \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | NET_F_MRG_RXBUF |                             \
		VHOST_USER_F_PROTOCOL_FEATURES)

/* So late that a start would take more than 5 s. */
#define LATE_US 450000

enum mood { HONEST, REFUSES, LIES, SILENT, GOES, LATE };

struct model_ring {
	unsigned int size, base;
	struct vhost_user_vring_addr addr;
	int kick, call, error;
	bool enabled;
};

/* A back end. */
static struct {
	pthread_t thread;
	int fd;
	uint64_t features, driver_features;
	_Atomic enum mood mood;
	_Atomic unsigned int moody_at; /* the request at which it is not honest */
	_Atomic unsigned int yield_at; /* the request at which the device is waited for */
	unsigned int seen[32];         /* how often each request came */
	struct vhost_user_memory memory;
	uint8_t *maps[VHOST_USER_REGIONS_MAX];
	struct model_ring rings[2];
	unsigned int connections;
} model;

static int kicks[3];

/* ---- The back end ---- */

static void model_map(const int *fds)
{
	for (unsigned int i = 0; i < model.memory.n; i++) {
		const struct vhost_user_region *r = &model.memory.regions[i];

		if (model.maps[i])
			munmap(model.maps[i], r->size);
		model.maps[i] = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i],
			(off_t)r->mmap_offset);
		assert_ptr_not_equal(model.maps[i], MAP_FAILED);
		close(fds[i]);
	}
}

/* What the front end calls `address`, as the back end has it. */
static void *model_at(uint64_t address)
{
	for (unsigned int i = 0; i < model.memory.n; i++) {
		const struct vhost_user_region *r = &model.memory.regions[i];

		if (address >= r->address && address - r->address < r->size)
			return model.maps[i] + (address - r->address);
	}
	fail_msg("no memory at %#llx", (unsigned long long)address);
	return NULL;
}

static int *model_fd(uint32_t request, unsigned int q)
{
	struct model_ring *ring = &model.rings[q];

	return request == VHOST_USER_SET_VRING_KICK   ? &ring->kick
	       : request == VHOST_USER_SET_VRING_CALL ? &ring->call
						      : &ring->error;
}

static void model_set_ring(uint32_t request, const struct vhost_user_vring_state *s)
{
	assert_true(s->index < 2);
	if (request == VHOST_USER_SET_VRING_NUM)
		model.rings[s->index].size = s->num;
	else if (request == VHOST_USER_SET_VRING_BASE)
		model.rings[s->index].base = s->num;
	else
		model.rings[s->index].enabled = s->num;
}

/* Takes a message in; how long the answer to a question is (0: there is none). */
static size_t model_take(uint32_t request, uint8_t *payload, size_t size, const int *fds)
{
	uint64_t value = size >= 8 ? load_le64(payload) : 0;
	unsigned int q = (unsigned int)(value & 0xff);

	switch (request) {
	case VHOST_USER_GET_FEATURES:
		store_le64(payload, model.features);
		return 8;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		store_le64(payload, ~0ull);
		return 8;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		assert_int_equal(value, VHOST_USER_PROTOCOL_F_REPLY_ACK);
		return 0;
	case VHOST_USER_SET_FEATURES:
		model.driver_features = value;
		return 0;
	case VHOST_USER_SET_MEM_TABLE:
		memset(&model.memory, 0, sizeof(model.memory));
		memcpy(&model.memory, payload, size);
		model_map(fds);
		return 0;
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
		model_set_ring(request, (const struct vhost_user_vring_state *)(void *)payload);
		return 0;
	case VHOST_USER_SET_VRING_ADDR:
		memcpy(&model.rings[load_le32(payload)].addr, payload, size);
		return 0;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		auto_close_cleanup(model_fd(request, q));
		*model_fd(request, q) = *fds;
		return 0;
	case VHOST_USER_GET_VRING_BASE:
		q = load_le32(payload);
		model.rings[q].enabled = false;
		store_le32(payload + 4, model.rings[q].base);
		return 8;
	default:
		return 0;
	}
}

/* One message with its descriptors; false at the end. */
static bool model_receive(struct vhost_user_header *header, uint8_t *payload, int *fds)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(8 * sizeof(int))];
	struct iovec iov = {.iov_base = header, .iov_len = sizeof(*header)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c;

	if (recvmsg(model.fd, &msg, MSG_WAITALL) != sizeof(*header))
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (c)
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	assert_true(header->size <= 512);
	return !header->size || recv(model.fd, payload, header->size, MSG_WAITALL) == header->size;
}

static void model_answer(const struct vhost_user_header *question, uint8_t *payload, size_t size)
{
	bool moody = model.moody_at == question->request;
	struct vhost_user_header header = {.request = question->request,
		.flags = VHOST_USER_VERSION | VHOST_USER_REPLY,
		.size = (uint32_t)size};

	if (moody && model.mood == LIES)
		header.size = 4096;
	if (moody && model.mood == REFUSES)
		store_le64(payload, 1);
	if (moody && model.mood == SILENT)
		return;
	(void)send(model.fd, &header, sizeof(header), MSG_NOSIGNAL);
	(void)send(model.fd, payload, size, MSG_NOSIGNAL);
}

static void *model_run(void *arg)
{
	_Alignas(8) uint8_t payload[512] = {0};
	struct vhost_user_header header;
	int fds[8] = {-1};

	while (model_receive(&header, payload, fds)) {
		size_t answer;

		assert_true(header.request < ARRAY_SIZE(model.seen));
		model.seen[header.request]++;
		if (model.mood == GOES && model.moody_at == header.request)
			break;
		if (model.mood == LATE)
			usleep(LATE_US);
		if (model.yield_at == header.request)
			atomic_store(&f.dev->yield, true);
		answer = model_take(header.request, payload, header.size, fds);
		if (!answer && header.flags & VHOST_USER_NEED_REPLY) {
			store_le64(payload, 0);
			answer = 8;
		}
		if (answer)
			model_answer(&header, payload, answer);
	}
	close(model.fd);
	return NULL;
}

static int model_connect(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	model.fd = fds[1];
	model.connections++;
	assert_int_equal(pthread_create(&model.thread, NULL, model_run, NULL), 0);
	return fds[0];
}

/* It has gone, or goes as its peer has. */
static void model_end(void)
{
	pthread_join(model.thread, NULL);
	for (unsigned int i = 0; i < model.memory.n; i++)
		munmap(model.maps[i], model.memory.regions[i].size);
	memset(model.maps, 0, sizeof(model.maps));
	memset(&model.memory, 0, sizeof(model.memory));
	for (unsigned int q = 0; q < 2; q++) {
		auto_close_cleanup(&model.rings[q].kick);
		auto_close_cleanup(&model.rings[q].call);
		auto_close_cleanup(&model.rings[q].error);
		model.rings[q] = (struct model_ring){.kick = -1, .call = -1, .error = -1};
	}
}

static uint16_t *model_idx(uint64_t address)
{
	return (uint16_t *)model_at(address) + 1;
}

/* The back end serves the next chain of a ring. */
static void model_serve(unsigned int q)
{
	struct model_ring *ring = &model.rings[q];
	uint16_t *avail = model_at(ring->addr.avail);
	uint32_t *used = model_at(ring->addr.used + 4);
	uint16_t idx = __atomic_load_n(model_idx(ring->addr.avail), __ATOMIC_ACQUIRE);

	assert_true(ring->enabled);
	assert_int_not_equal(idx, (uint16_t)ring->base);
	used[2 * (ring->base % ring->size)] = avail[2 + ring->base % ring->size];
	used[2 * (ring->base % ring->size) + 1] = 0;
	ring->base = (uint16_t)(ring->base + 1);
	__atomic_store_n(model_idx(ring->addr.used), (uint16_t)ring->base, __ATOMIC_RELEASE);
	fd_eventfd_signal(ring->call);
}

/* ---- The device ---- */

static int user_reconnect(struct net_backend *backend)
{
	auto_close_cleanup(&backend->fds[0]);
	model_end();
	backend->fds[0] = model_connect();
	return 0;
}

static ssize_t user_receive(
	struct net_backend *backend, unsigned int queue, const struct iovec *iov, int n)
{
	return -EAGAIN;
}

static const struct net_backend_ops user_ops = {
	.receive = user_receive, .reconnect = user_reconnect};

static int transport_kick(struct virtio_transport *transport, unsigned int q)
{
	return kicks[q];
}

static int transport_no_fd(struct virtio_transport *transport, unsigned int q)
{
	return -EOPNOTSUPP;
}

static struct net_backend *make_backend(void)
{
	struct net_backend *backend = new0(struct net_backend);

	backend->ops = &user_ops;
	backend->n_queues = backend->n_attached = 1;
	backend->is_vhost_user = true;
	backend->can_reconnect = true;
	backend->fds[0] = model_connect();
	return backend;
}

static void model_init(void)
{
	memset(&model, 0, sizeof(model));
	model.features = BACKEND_FEATURES;
	for (unsigned int q = 0; q < 2; q++)
		model.rings[q] = (struct model_ring){.kick = -1, .call = -1, .error = -1};
}

static int setup(void **state)
{
	model_init();
	for (unsigned int q = 0; q < 3; q++)
		kicks[q] = fd_eventfd();
	fixture_create(make_backend(), RAM_MEMFD);
	f.transport.take_kick = transport_kick;
	f.transport.interrupt_fd = transport_no_fd;
	f.peer = -1;
	return 0;
}

static void driver_starts(void)
{
	fixture_start(NET_F_MRG_RXBUF | NET_F_STATUS | NET_F_CTRL_VQ, NET_RING_SIZE);
}

/* As the transport does when the driver resets the device. */
static void driver_resets(void)
{
	f.dev->ops->drain(f.dev, 0);
	fixture_end();
}

static int teardown(void **state)
{
	driver_resets();
	loop_free(f.loop);
	f.dev->ops->free(f.dev);
	model_end();
	ram_free(f.ram);
	for (unsigned int q = 0; q < 3; q++)
		close(kicks[q]);
	log_bind(NULL);
	log_free(f.log);
	return 0;
}

static bool link_is_up(void)
{
	uint8_t status[2];

	f.dev->ops->config_read(f.dev, 6, status, 2);
	return load_le16(status) & NET_S_LINK_UP;
}

static void pump_until_link(bool up)
{
	for (int i = 0; i < 10000 && link_is_up() != up; i++) {
		pump();
		usleep(1000);
	}
	assert_int_equal(link_is_up(), up);
}

/* The driver sends one packet, and the back end gives it back. */
static void send_one(void)
{
	const struct piece piece = {NET_PACKETS, 100, 0};
	uint16_t head = ring_add(&f.rings[TX], &piece, 1);
	unsigned int signals = f.signals[TX];

	model_serve(TX);
	pump();
	assert_int_equal(ring_take(&f.rings[TX], head), 0);
	assert_int_equal(f.signals[TX], signals + 1);
}

/* ---- Tests ---- */

static void test_the_back_end_has_memory_rings_and_notifications(void **state)
{
	assert_false(f.dev->features & VIRTIO_F_IN_ORDER);
	assert_true(f.dev->excluded & VIRTIO_F_RING_PACKED);
	driver_starts();
	assert_int_equal(model.driver_features,
		VIRTIO_F_VERSION_1 | NET_F_MRG_RXBUF | VHOST_USER_F_PROTOCOL_FEATURES);
	assert_int_equal(model.memory.n, 1);
	assert_int_equal(model.memory.regions[0].size, BENCH_RAM);
	for (unsigned int q = 0; q < 2; q++) {
		assert_true(model.rings[q].enabled);
		assert_int_equal(model.rings[q].size, NET_RING_SIZE);
		/* What the driver said before is not lost. */
		assert_true(fd_eventfd_drain(model.rings[q].kick));
	}
	send_one();
	send_one();
}

/* Its vCPU's part; the loop has not run since. */
static void driver_activates(void)
{
	f.dev->transport = &f.transport;
	f.dev->ram = f.ram;
	f.dev->loop = f.loop;
	f.dev->negotiated = VIRTIO_F_VERSION_1;
	for (unsigned int q = 0; q < 3; q++)
		fixture_set_ring(q, NET_RING_SIZE);
	f.dev->ops->activate(f.dev);
}

static void test_no_vcpu_waits_for_it(void **state)
{
	model.mood = SILENT;
	model.moody_at = VHOST_USER_SET_FEATURES;
	driver_activates();
	assert_int_equal(model.seen[VHOST_USER_SET_FEATURES], 0);
	model.mood = HONEST;
	pump();
	assert_true(model.rings[TX].enabled);
}

static void test_a_reset_and_a_pause_stop_the_rings(void **state)
{
	driver_starts();
	send_one();
	f.dev->ops->pause(f.dev, 0, true);
	assert_false(model.rings[RX].enabled || model.rings[TX].enabled);
	f.dev->ops->pause(f.dev, 0, false);
	pump();
	assert_int_equal(model.rings[TX].base, 1);
	send_one();
	driver_resets();
	assert_false(model.rings[RX].enabled || model.rings[TX].enabled);
	driver_starts();
	assert_int_equal(model.rings[TX].base, 0);
	send_one();
}

static void test_one_queue_is_reset(void **state)
{
	driver_starts();
	send_one();
	fixture_take_back(TX);
	assert_false(model.rings[TX].enabled);
	assert_true(model.rings[RX].enabled);
	fixture_give_again(TX, NET_RING_SIZE / 2);
	assert_int_equal(model.rings[TX].base, 0);
	assert_int_equal(model.rings[TX].size, NET_RING_SIZE / 2);
	send_one();
}

static void test_one_that_goes_takes_the_link_down_and_the_next_goes_on(void **state)
{
	driver_starts();
	send_one();
	shutdown(model.fd, SHUT_RDWR);
	pump_until_link(false);
	pump_until_link(true);
	pump();
	assert_int_equal(model.connections, 2);
	assert_int_equal(model.rings[TX].base, 1);
	send_one();
	assert_int_equal(f.resets, 0);
}

static void test_one_that_lies_or_refuses_takes_the_link_down(void **state)
{
	static const enum mood moods[] = {REFUSES, LIES, GOES};
	static const unsigned int requests[] = {VHOST_USER_SET_FEATURES, VHOST_USER_SET_MEM_TABLE,
		VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_ENABLE};

	for (unsigned int i = 0; i < ARRAY_SIZE(moods) * ARRAY_SIZE(requests); i++) {
		model.moody_at = requests[i / ARRAY_SIZE(moods)];
		model.mood = moods[i % ARRAY_SIZE(moods)];
		driver_starts();
		pump_until_link(false);
		model.mood = HONEST;
		f.net->link.delay_ns = 1;
		pump_until_link(true);
		pump();
		send_one();
		driver_resets();
	}
	driver_starts();
}

/* Each answer is early enough, all together are not. */
static void test_one_that_is_always_late_takes_the_link_down(void **state)
{
	f.net->backend->can_reconnect = false;
	model.mood = LATE;
	driver_starts();
	assert_false(link_is_up());
}

static void test_whoever_waits_for_the_device_does_not_wait_for_a_whole_start(void **state)
{
	model.yield_at = VHOST_USER_SET_VRING_ENABLE;
	driver_activates();
	pump();
	assert_true(link_is_up());
	assert_true(model.rings[RX].enabled);
	assert_int_equal(model.seen[VHOST_USER_SET_VRING_NUM], 1);
	model.yield_at = 0;
	f.dev->ops->pause(f.dev, 0, true);
	assert_false(model.rings[RX].enabled);
	atomic_store(&f.dev->yield, false);
	f.dev->ops->pause(f.dev, 0, false);
	pump();
	assert_true(model.rings[RX].enabled);
	send_one();
}

/* Also where nobody looks for another. */
static void test_one_that_is_not_started_is_told_to_go(void **state)
{
	int its = dup(model.fd);
	char byte;

	f.net->backend->can_reconnect = false;
	model.moody_at = VHOST_USER_SET_VRING_ENABLE;
	model.mood = REFUSES;
	driver_starts();
	assert_false(link_is_up());
	assert_int_equal(recv(its, &byte, 1, MSG_PEEK | MSG_DONTWAIT), 0);
	close(its);
}

static void test_one_that_does_not_say_where_it_stopped_is_not_waited_for(void **state)
{
	driver_starts();
	send_one();
	model.mood = SILENT;
	model.moody_at = VHOST_USER_GET_VRING_BASE;
	f.dev->ops->pause(f.dev, 0, true);
	assert_int_equal(f.net->pairs[0].vhost.base[1], 1);
	model.mood = HONEST;
	f.dev->ops->pause(f.dev, 0, false);
	pump_until_link(false);
	pump_until_link(true);
	pump();
	send_one();
}

static void test_a_broken_ring_needs_a_reset(void **state)
{
	driver_starts();
	fd_eventfd_signal(model.rings[TX].error);
	pump();
	assert_int_equal(f.resets, 1);
}

/* Descriptors that others open meanwhile. */
static int others[8];

static void log_and_open(
	struct log_sink *sink, enum log_level level, const char *module, const char *text)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		if (others[i] < 0)
			others[i] = dup(STDIN_FILENO);
	}
}

static void test_a_ring_that_broke_when_it_was_stopped_takes_no_other_descriptor(void **state)
{
	memset(others, -1, sizeof(others));
	driver_starts();
	f.sink.write = log_and_open;
	fd_eventfd_signal(model.rings[TX].error);
	f.dev->ops->pause(f.dev, 0, true);
	assert_int_equal(f.resets, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		assert_true(fcntl(others[i], F_GETFD) >= 0);
		close(others[i]);
	}
}

static void test_one_that_is_no_back_end_is_refused(void **state)
{
	struct vhost_user user;
	int fds[2];

	model_init();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(send(fds[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0), 28);
	assert_err(vhost_user_open(fds[0], &user), "does not answer as it should");
	close(fds[1]);
	assert_err(vhost_user_open(fds[0], &user), "does not answer as it should");
	close(fds[0]);
	model.features = VHOST_USER_F_PROTOCOL_FEATURES;
	fds[0] = model_connect();
	assert_err(vhost_user_open(fds[0], &user), "knows no virtio 1");
	close(fds[0]);
	model_end();
}

#define USER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		USER_TEST(test_the_back_end_has_memory_rings_and_notifications),
		USER_TEST(test_no_vcpu_waits_for_it),
		USER_TEST(test_a_reset_and_a_pause_stop_the_rings),
		USER_TEST(test_one_queue_is_reset),
		USER_TEST(test_one_that_goes_takes_the_link_down_and_the_next_goes_on),
		USER_TEST(test_one_that_lies_or_refuses_takes_the_link_down),
		USER_TEST(test_one_that_is_always_late_takes_the_link_down),
		USER_TEST(test_whoever_waits_for_the_device_does_not_wait_for_a_whole_start),
		USER_TEST(test_one_that_is_not_started_is_told_to_go),
		USER_TEST(test_one_that_does_not_say_where_it_stopped_is_not_waited_for),
		USER_TEST(test_a_broken_ring_needs_a_reset),
		USER_TEST(test_a_ring_that_broke_when_it_was_stopped_takes_no_other_descriptor),
		cmocka_unit_test(test_one_that_is_no_back_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
