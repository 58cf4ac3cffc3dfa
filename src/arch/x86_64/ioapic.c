/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O APIC.
 *
 * Theory of operation. Each pin has a redirection entry (the guest's) and a count of sources that
 * hold it high. Delivery is an MSI with the entry's vector, mode and destination. Edge: a rise of
 * an unmasked pin delivers, one of a masked pin is lost (82093AA, 3.2.4). Level: while the pin is
 * high, unmasked and its remote IRR clear, it delivers and sets remote IRR; the EOI of that vector
 * clears it and, if the pin is still high, delivers again. The hypervisor reports an EOI only for
 * vectors it knows as level-triggered, so each such entry, masked or not, is also kept as a route
 * (a guest may mask a pin between interrupt and EOI).
 *
 * One mutex guards all; it is held while an MSI is signalled, so that remote IRR cannot be
 * overtaken by the EOI of the interrupt that sets it. Lock order: a device's own lock, then this
 * one.
 */
#define LOG_MODULE "ioapic"
#include "arch/x86_64/ioapic.h"

#include <errno.h>

#include "arch/x86_64/layout.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/thread.h"

/* Memory-mapped registers. */
#define IOAPIC_IOREGSEL 0x00u
#define IOAPIC_IOWIN    0x10u
#define IOAPIC_EOI      0x40u

/* Indexed registers. */
#define IOAPIC_REG_ID          0x00u
#define IOAPIC_REG_VERSION     0x01u
#define IOAPIC_REG_ARBITRATION 0x02u
#define IOAPIC_REG_REDIRECTION 0x10u
#define IOAPIC_VERSION         (0x20u | (IOAPIC_NUM_PINS - 1) << 16)
#define IOAPIC_ID_MASK         0x0f000000u

/* Redirection entry. */
#define RTE_VECTOR          0xffull
#define RTE_DELIVERY_SHIFT  8
#define RTE_LOGICAL         (1ull << 11)
#define RTE_DELIVERY_STATUS (1ull << 12)
#define RTE_REMOTE_IRR      (1ull << 14)
#define RTE_LEVEL           (1ull << 15)
#define RTE_MASKED          (1ull << 16)
#define RTE_EXT_DEST_SHIFT  49 /* destination bits 8-14 in bits 49-55, as Linux writes them */
#define RTE_DEST_SHIFT      56
#define RTE_READ_ONLY       (RTE_DELIVERY_STATUS | RTE_REMOTE_IRR)
#define RTE_WRITABLE        (0xff00000000000000ull | 0x7full << RTE_EXT_DEST_SHIFT | 0x1ffffull)

/* Delivery modes (82093AA, 3.2.4). */
enum ioapic_delivery {
	DELIVERY_FIXED = 0,
	DELIVERY_LOWEST = 1,
	DELIVERY_SMI = 2,
	DELIVERY_NMI = 4,
	DELIVERY_INIT = 5,
};

/* MSI address and data (SDM 3A, 11.11). */
#define MSI_DEST_SHIFT       12
#define MSI_EXT_DEST_SHIFT   5
#define MSI_REDIRECTION_HINT (1u << 3)
#define MSI_LOGICAL          (1u << 2)
#define MSI_DELIVERY_SHIFT   8
#define MSI_LEVEL_ASSERT     (1u << 14)
#define MSI_TRIGGER_LEVEL    (1u << 15)

struct ioapic_msi {
	bool valid;
	uint64_t addr;
	uint32_t data;
};

struct ioapic_pin {
	uint64_t rte;
	unsigned int high;       /* sources that hold it high */
	struct ioapic_msi route; /* what the hypervisor has */
	struct ioapic_source source;
};

struct ioapic {
	struct device device;
	struct io_region region;
	struct hv_vm *vm;
	struct bus *mmio;
	pthread_mutex_t lock; /* all below; lock order 60 */
	uint8_t select;
	uint32_t id;
	struct log_limit limit;
	struct ioapic_pin pins[IOAPIC_NUM_PINS];
};

/* false for what the local APICs would not take: reserved modes, ExtINT (no PIC), illegal vectors.
 */
static bool ioapic_is_deliverable(uint64_t rte)
{
	switch (rte >> RTE_DELIVERY_SHIFT & 7) {
	case DELIVERY_FIXED:
	case DELIVERY_LOWEST:
		return (rte & RTE_VECTOR) >= 16;
	case DELIVERY_SMI:
	case DELIVERY_NMI:
	case DELIVERY_INIT:
		return !(rte & RTE_LEVEL); /* edge only, by specification */
	default:
		return false;
	}
}

static struct ioapic_msi ioapic_message(uint64_t rte)
{
	uint32_t dest = (uint32_t)(rte >> RTE_DEST_SHIFT);
	uint32_t ext = (uint32_t)(rte >> RTE_EXT_DEST_SHIFT) & 0x7f;
	uint32_t delivery = (uint32_t)(rte >> RTE_DELIVERY_SHIFT) & 7;
	struct ioapic_msi msi = {
		.valid = ioapic_is_deliverable(rte),
		.addr = X86_LOCAL_APIC_BASE | dest << MSI_DEST_SHIFT | ext << MSI_EXT_DEST_SHIFT,
		.data = (uint32_t)(rte & RTE_VECTOR) | delivery << MSI_DELIVERY_SHIFT,
	};

	if (rte & RTE_LOGICAL)
		msi.addr |= MSI_LOGICAL;
	if (delivery == DELIVERY_LOWEST)
		msi.addr |= MSI_REDIRECTION_HINT;
	if (rte & RTE_LEVEL)
		msi.data |= MSI_TRIGGER_LEVEL | MSI_LEVEL_ASSERT;
	return msi;
}

/* Tells the hypervisor if the level-triggered message of a pin changed. */
static void ioapic_update_route_locked(struct ioapic *ioapic, unsigned int n)
{
	struct ioapic_pin *pin = &ioapic->pins[n];
	struct ioapic_msi route = {0};
	int r;

	if (pin->rte & RTE_LEVEL)
		route = ioapic_message(pin->rte);
	if (!route.valid)
		route = (struct ioapic_msi){0};
	if (route.valid == pin->route.valid && route.addr == pin->route.addr &&
		route.data == pin->route.data)
		return;
	r = hv_vm_set_ioapic_route(ioapic->vm, n, route.valid, route.addr, route.data);
	if (r) {
		log_guest(&ioapic->limit, "Pin %u cannot be routed: %s", n, err_strerror(-r));
		return;
	}
	pin->route = route;
}

/* Delivers if the pin's state asks for it: `rise` is an edge, levels are looked up. */
static void ioapic_deliver_locked(struct ioapic *ioapic, struct ioapic_pin *pin, bool rise)
{
	bool level = pin->rte & RTE_LEVEL;
	struct ioapic_msi msi;
	int r;

	if ((pin->rte & RTE_MASKED) || (level ? !pin->high || (pin->rte & RTE_REMOTE_IRR) : !rise))
		return;
	msi = ioapic_message(pin->rte);
	if (!msi.valid)
		return;
	r = hv_vm_signal_msi(ioapic->vm, msi.addr, msi.data);
	if (r < 0)
		log_guest(&ioapic->limit, "Vector 0x%02x cannot be delivered: %s", msi.data & 0xff,
			err_strerror(-r));
	else if (level && r > 0)
		pin->rte |= RTE_REMOTE_IRR;
}

static void ioapic_source_set(struct irq_line *line, bool level)
{
	struct ioapic_source *source = container_of(line, struct ioapic_source, line);
	struct ioapic *ioapic = source->ioapic;
	struct ioapic_pin *pin = &ioapic->pins[source->pin];

	auto_lock(&ioapic->lock);
	if (source->level == level)
		return;
	source->level = level;
	if (!level) {
		pin->high--;
	} else if (pin->high++ == 0) {
		ioapic_deliver_locked(ioapic, pin, true);
	}
}

/* The EOI of a vector reached all pins that have it. */
static void ioapic_eoi_locked(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned int n = 0; n < IOAPIC_NUM_PINS; n++) {
		struct ioapic_pin *pin = &ioapic->pins[n];

		if (!(pin->rte & RTE_REMOTE_IRR) || (pin->rte & RTE_VECTOR) != vector)
			continue;
		pin->rte &= ~RTE_REMOTE_IRR;
		ioapic_deliver_locked(ioapic, pin, false);
	}
}

static void ioapic_write_rte_locked(
	struct ioapic *ioapic, unsigned int n, bool high_half, uint32_t value)
{
	struct ioapic_pin *pin = &ioapic->pins[n];
	uint64_t keep = pin->rte & RTE_READ_ONLY;
	uint64_t rte = high_half ? (pin->rte & UINT32_MAX) | (uint64_t)value << 32
				 : (pin->rte & ~(uint64_t)UINT32_MAX) | value;

	pin->rte = (rte & RTE_WRITABLE & ~RTE_READ_ONLY) | keep;
	if (!(pin->rte & RTE_LEVEL))
		pin->rte &= ~RTE_REMOTE_IRR; /* how drivers clear it on parts without the EOI
						register */
	ioapic_update_route_locked(ioapic, n);
	ioapic_deliver_locked(ioapic, pin, false);
}

static uint32_t ioapic_read_register_locked(const struct ioapic *ioapic)
{
	unsigned int reg = ioapic->select;

	switch (reg) {
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARBITRATION:
		return ioapic->id;
	case IOAPIC_REG_VERSION:
		return IOAPIC_VERSION;
	default:
		break;
	}
	if (reg < IOAPIC_REG_REDIRECTION || reg >= IOAPIC_REG_REDIRECTION + 2 * IOAPIC_NUM_PINS)
		return 0;
	reg -= IOAPIC_REG_REDIRECTION;
	return (uint32_t)(ioapic->pins[reg / 2].rte >> (reg & 1 ? 32 : 0));
}

static void ioapic_write_register_locked(struct ioapic *ioapic, uint32_t value)
{
	unsigned int reg = ioapic->select;

	if (reg == IOAPIC_REG_ID)
		ioapic->id = value & IOAPIC_ID_MASK;
	if (reg < IOAPIC_REG_REDIRECTION || reg >= IOAPIC_REG_REDIRECTION + 2 * IOAPIC_NUM_PINS)
		return;
	reg -= IOAPIC_REG_REDIRECTION;
	ioapic_write_rte_locked(ioapic, reg / 2, reg & 1, value);
}

/* IOREGSEL takes any width, the other registers only 32 bits; all else reads as zero. */
static uint64_t ioapic_mmio_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct ioapic *ioapic = container_of(region, struct ioapic, region);

	auto_lock(&ioapic->lock);
	if (off == IOAPIC_IOREGSEL)
		return ioapic->select;
	if (off == IOAPIC_IOWIN && size == 4)
		return ioapic_read_register_locked(ioapic);
	return 0;
}

static void ioapic_mmio_write(
	struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct ioapic *ioapic = container_of(region, struct ioapic, region);

	auto_lock(&ioapic->lock);
	if (off == IOAPIC_IOREGSEL)
		ioapic->select = (uint8_t)value;
	else if (off == IOAPIC_IOWIN && size == 4)
		ioapic_write_register_locked(ioapic, (uint32_t)value);
	else if (off == IOAPIC_EOI && size == 4)
		ioapic_eoi_locked(ioapic, (uint8_t)value);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	auto_lock(&ioapic->lock);
	ioapic_eoi_locked(ioapic, vector);
}

static void ioapic_reset(struct device *device)
{
	struct ioapic *ioapic = container_of(device, struct ioapic, device);

	auto_lock(&ioapic->lock);
	ioapic->select = 0;
	ioapic->id = 0;
	for (unsigned int n = 0; n < IOAPIC_NUM_PINS; n++) {
		ioapic->pins[n].rte = RTE_MASKED;
		ioapic_update_route_locked(ioapic, n);
	}
}

static void ioapic_free(struct device *device)
{
	struct ioapic *ioapic = container_of(device, struct ioapic, device);

	bus_remove(ioapic->mmio, &ioapic->region);
	pthread_mutex_destroy(&ioapic->lock);
	free(ioapic);
}

static const struct device_ops ioapic_device_ops = {.reset = ioapic_reset, .free = ioapic_free};
static const struct io_ops ioapic_io_ops = {.read = ioapic_mmio_read, .write = ioapic_mmio_write};

struct err *ioapic_create(struct hv_vm *vm, struct bus *mmio, struct ioapic **ret_ioapic)
{
	struct ioapic *ioapic = new0(struct ioapic);
	struct err *err;

	if (!ioapic)
		return err_new(ENOMEM, "Failed to create the I/O APIC");
	ioapic->device = (struct device){.ops = &ioapic_device_ops, .name = "ioapic"};
	ioapic->region = (struct io_region){
		.ops = &ioapic_io_ops, .name = "ioapic", .size = X86_IOAPIC_SIZE};
	ioapic->vm = vm;
	ioapic->mmio = mmio;
	pthread_mutex_init(&ioapic->lock, NULL);
	for (unsigned int n = 0; n < IOAPIC_NUM_PINS; n++) {
		ioapic->pins[n].rte = RTE_MASKED;
		ioapic_source_init(&ioapic->pins[n].source, ioapic, n);
	}
	err = bus_add_at(mmio, &ioapic->region, X86_IOAPIC_BASE);
	if (err) {
		pthread_mutex_destroy(&ioapic->lock);
		free(ioapic);
		return err_wrap(err, "Failed to create the I/O APIC");
	}
	*ret_ioapic = ioapic;
	return NULL;
}

struct device *ioapic_device(struct ioapic *ioapic)
{
	return &ioapic->device;
}

struct irq_line *ioapic_pin(struct ioapic *ioapic, unsigned int n)
{
	assert(n < IOAPIC_NUM_PINS);
	return &ioapic->pins[n].source.line;
}

void ioapic_source_init(struct ioapic_source *source, struct ioapic *ioapic, unsigned int n)
{
	assert(n < IOAPIC_NUM_PINS);
	*source = (struct ioapic_source){
		.line.set = ioapic_source_set, .ioapic = ioapic, .pin = (uint8_t)n};
}
