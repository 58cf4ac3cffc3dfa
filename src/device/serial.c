/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16550A. Registers are accessed by vCPU threads, input comes by the control loop: one mutex guards
 * all state. The order of locks is serial, then console or interrupt controller.
 *
 * A byte that the console's ring takes has been sent as far as the guest can tell, so that the
 * transmitter is nearly always empty. Only when the ring is full do bytes stay in its FIFO, which
 * has room for the whole burst that a driver may write after it saw THRE. What is there is never
 * dropped, neither by the FIFO control register nor by a reset: it counts as on the line already.
 */
#include "device/serial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread.h"

#define SERIAL_PORTS   8
#define SERIAL_FIFO    16
#define SERIAL_DIVISOR 12 /* 9600 baud */

enum {
	SERIAL_DATA,
	SERIAL_IER,
	SERIAL_IIR_FCR,
	SERIAL_LCR,
	SERIAL_MCR,
	SERIAL_LSR,
	SERIAL_MSR,
	SERIAL_SCR
};

#define IER_RX       0x01
#define IER_THRE     0x02
#define IER_LINE     0x04
#define IER_MODEM    0x08
#define IER_MASK     0x0f

#define IIR_NONE     0x01
#define IIR_MODEM    0x00
#define IIR_THRE     0x02
#define IIR_RX       0x04
#define IIR_LINE     0x06
#define IIR_TIMEOUT  0x0c
#define IIR_FIFO     0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_TRIGGER  0xc0

#define LCR_DLAB     0x80

#define MCR_DTR      0x01
#define MCR_RTS      0x02
#define MCR_OUT1     0x04
#define MCR_OUT2     0x08
#define MCR_LOOP     0x10
#define MCR_MASK     0x1f

#define LSR_DATA     0x01
#define LSR_OVERRUN  0x02
#define LSR_THRE     0x20
#define LSR_IDLE     0x40

#define MSR_DELTA    0x0f
#define MSR_CTS      0x10
#define MSR_DSR      0x20
#define MSR_RI       0x40
#define MSR_DCD      0x80

struct serial {
	struct device device;
	struct io_region region;
	struct bus *bus;
	struct console_peer peer;
	struct console *console;
	struct irq_line *irq;

	pthread_mutex_t lock; /* guards what follows; lock order 40 */
	uint8_t ier, fcr, lcr, mcr, lsr, msr, scr;
	uint16_t divisor;
	bool thre_pending;  /* the interrupt, cleared by reading IIR or writing a byte */
	bool input_starved; /* the console has more than the FIFO took */
	uint8_t rx[SERIAL_FIFO];
	unsigned int rx_first, rx_len;
	uint8_t tx[SERIAL_FIFO];
	unsigned int tx_len;
};

/* ---- State, with the lock held ---- */

static unsigned int serial_capacity(const struct serial *serial)
{
	return serial->fcr & FCR_ENABLE ? SERIAL_FIFO : 1;
}

static unsigned int serial_trigger(const struct serial *serial)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return serial->fcr & FCR_ENABLE ? levels[serial->fcr >> 6] : 1;
}

/* Highest pending interrupt, as IIR shows it (without the FIFO bits). */
static uint8_t serial_cause(const struct serial *serial)
{
	if (serial->ier & IER_LINE && serial->lsr & LSR_OVERRUN)
		return IIR_LINE;
	if (serial->ier & IER_RX && serial->rx_len >= serial_trigger(serial))
		return IIR_RX;
	/* Fewer than the trigger: there is no line speed to time out by, so that happens at once.
	 */
	if (serial->ier & IER_RX && serial->rx_len)
		return IIR_TIMEOUT;
	if (serial->ier & IER_THRE && serial->thre_pending)
		return IIR_THRE;
	if (serial->ier & IER_MODEM && serial->msr & MSR_DELTA)
		return IIR_MODEM;
	return IIR_NONE;
}

static void serial_update_irq(struct serial *serial)
{
	irq_line_set(serial->irq, serial_cause(serial) != IIR_NONE);
}

static void serial_rx_put(struct serial *serial, uint8_t byte)
{
	if (serial->rx_len >= serial_capacity(serial)) {
		serial->lsr |= LSR_OVERRUN;
		return;
	}
	serial->rx[(serial->rx_first + serial->rx_len++) % SERIAL_FIFO] = byte;
	serial->lsr |= LSR_DATA;
}

/* Asks the console for what it had to keep. */
static void serial_want_input(struct serial *serial)
{
	if (serial->input_starved)
		console_input_wanted(serial->console);
	serial->input_starved = false;
}

static void serial_rx_clear(struct serial *serial)
{
	serial->rx_len = 0;
	serial->lsr &= (uint8_t)~LSR_DATA;
	serial_want_input(serial);
}

static uint8_t serial_rx_get(struct serial *serial)
{
	uint8_t byte = serial->rx[serial->rx_first];

	if (!serial->rx_len)
		return 0;
	serial->rx_first = (serial->rx_first + 1) % SERIAL_FIFO;
	if (!--serial->rx_len) {
		serial->lsr &= (uint8_t)~LSR_DATA;
		serial_want_input(serial);
	}
	return byte;
}

static void serial_set_thre(struct serial *serial)
{
	serial->lsr |= LSR_THRE | LSR_IDLE;
	serial->thre_pending = true;
}

/* Sends what the console takes. */
static void serial_tx(struct serial *serial)
{
	unsigned int n = 0;

	if (!serial->tx_len)
		return;
	while (n < serial->tx_len && console_put(serial->console, serial->tx[n]))
		n++;
	serial->tx_len -= n;
	memmove(serial->tx, serial->tx + n, serial->tx_len);
	if (!serial->tx_len)
		serial_set_thre(serial);
}

static void serial_write_thr(struct serial *serial, uint8_t byte)
{
	/* The interrupt goes and comes again: an edge, for drivers that do not read IIR. */
	serial->thre_pending = false;
	serial_update_irq(serial);
	if (serial->mcr & MCR_LOOP) {
		serial_rx_put(serial, byte);
		serial->thre_pending = true;
		return;
	}
	/* A guest that writes more than the FIFO holds loses it, as on hardware. */
	if (serial->tx_len < serial_capacity(serial))
		serial->tx[serial->tx_len++] = byte;
	serial->lsr &= (uint8_t) ~(LSR_THRE | LSR_IDLE);
	serial_tx(serial);
}

static void serial_write_ier(struct serial *serial, uint8_t value)
{
	uint8_t old = serial->ier;

	serial->ier = value & IER_MASK;
	/* Enabling the interrupt with an empty register raises it (data sheet, 8.6.2). */
	if (!(old & IER_THRE) && serial->ier & IER_THRE && serial->lsr & LSR_THRE)
		serial->thre_pending = true;
}

static void serial_write_fcr(struct serial *serial, uint8_t value)
{
	/* Switching the FIFOs on or off clears them. */
	if ((value ^ serial->fcr) & FCR_ENABLE || value & FCR_CLEAR_RX)
		serial_rx_clear(serial);
	serial->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

static uint8_t serial_modem_lines(const struct serial *serial)
{
	uint8_t mcr = serial->mcr;

	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
			 (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void serial_write_mcr(struct serial *serial, uint8_t value)
{
	uint8_t old = serial->msr & (uint8_t)~MSR_DELTA;
	uint8_t lines;
	uint8_t delta;

	serial->mcr = value & MCR_MASK;
	lines = serial_modem_lines(serial);
	delta = (uint8_t)((old ^ lines) >> 4);
	/* The ring indicator's bit tells its trailing edge only. */
	if (lines & MSR_RI)
		delta &= (uint8_t) ~(MSR_RI >> 4);
	serial->msr = (uint8_t)(lines | (serial->msr & MSR_DELTA) | delta);
	if (!(serial->mcr & MCR_LOOP))
		serial_want_input(serial);
}

/* ---- Registers ---- */

static uint8_t serial_read_iir(struct serial *serial)
{
	uint8_t cause = serial_cause(serial);

	if (cause == IIR_THRE)
		serial->thre_pending = false;
	return (uint8_t)(cause | (serial->fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

static uint8_t serial_read_lsr(struct serial *serial)
{
	uint8_t value = serial->lsr;

	serial->lsr &= (uint8_t)~LSR_OVERRUN;
	return value;
}

static uint8_t serial_read_msr(struct serial *serial)
{
	uint8_t value = serial->msr;

	serial->msr &= (uint8_t)~MSR_DELTA;
	return value;
}

static uint8_t serial_read_reg(struct serial *serial, unsigned int reg)
{
	bool dlab = serial->lcr & LCR_DLAB;

	switch (reg) {
	case SERIAL_DATA:
		return dlab ? (uint8_t)serial->divisor : serial_rx_get(serial);
	case SERIAL_IER:
		return dlab ? (uint8_t)(serial->divisor >> 8) : serial->ier;
	case SERIAL_IIR_FCR:
		return serial_read_iir(serial);
	case SERIAL_LCR:
		return serial->lcr;
	case SERIAL_MCR:
		return serial->mcr;
	case SERIAL_LSR:
		return serial_read_lsr(serial);
	case SERIAL_MSR:
		return serial_read_msr(serial);
	default:
		return serial->scr;
	}
}

static void serial_write_reg(struct serial *serial, unsigned int reg, uint8_t value)
{
	bool dlab = serial->lcr & LCR_DLAB;

	switch (reg) {
	case SERIAL_DATA:
		if (dlab)
			serial->divisor = (uint16_t)((serial->divisor & 0xff00) | value);
		else
			serial_write_thr(serial, value);
		break;
	case SERIAL_IER:
		if (dlab)
			serial->divisor = (uint16_t)((serial->divisor & 0x00ff) | value << 8);
		else
			serial_write_ier(serial, value);
		break;
	case SERIAL_IIR_FCR:
		serial_write_fcr(serial, value);
		break;
	case SERIAL_LCR:
		serial->lcr = value;
		break;
	case SERIAL_MCR:
		serial_write_mcr(serial, value);
		break;
	case SERIAL_SCR:
		serial->scr = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

/* Registers are a byte wide: a wider access is one to each of them, as on an 8-bit bus. */
static uint64_t serial_read(struct io_region *region, uint64_t off, unsigned int size)
{
	struct serial *serial = container_of(region, struct serial, region);
	uint64_t value = 0;

	auto_lock(&serial->lock);
	for (unsigned int i = 0; i < size; i++)
		value |= (uint64_t)serial_read_reg(serial, (unsigned int)off + i) << (i * 8);
	serial_update_irq(serial);
	return value;
}

static void serial_write(struct io_region *region, uint64_t off, unsigned int size, uint64_t value)
{
	struct serial *serial = container_of(region, struct serial, region);

	auto_lock(&serial->lock);
	for (unsigned int i = 0; i < size; i++)
		serial_write_reg(serial, (unsigned int)off + i, (uint8_t)(value >> (i * 8)));
	serial_update_irq(serial);
}

static const struct io_ops serial_io_ops = {.read = serial_read, .write = serial_write};

/* ---- The console's side ---- */

static size_t serial_receive(struct console_peer *peer, const uint8_t *data, size_t len)
{
	struct serial *serial = container_of(peer, struct serial, peer);
	size_t n = 0;

	auto_lock(&serial->lock);
	/* In loopback the line is cut; what comes meanwhile waits. */
	while (n < len && serial->rx_len < serial_capacity(serial) && !(serial->mcr & MCR_LOOP))
		serial_rx_put(serial, data[n++]);
	serial->input_starved = n < len;
	serial_update_irq(serial);
	return n;
}

static void serial_writable(struct console_peer *peer)
{
	struct serial *serial = container_of(peer, struct serial, peer);

	auto_lock(&serial->lock);
	serial_tx(serial);
	serial_update_irq(serial);
}

/* ---- Life ---- */

static void serial_reset(struct device *device)
{
	struct serial *serial = container_of(device, struct serial, device);

	auto_lock(&serial->lock);
	serial->ier = 0;
	serial->fcr = 0;
	serial->lcr = 0;
	serial->mcr = 0;
	serial->scr = 0;
	serial->divisor = SERIAL_DIVISOR;
	serial->lsr = serial->tx_len ? 0 : LSR_THRE | LSR_IDLE;
	serial->msr = serial_modem_lines(serial);
	serial->thre_pending = false;
	serial_rx_clear(serial);
	serial_update_irq(serial);
}

static void serial_free(struct device *device)
{
	struct serial *serial = container_of(device, struct serial, device);

	/* The console goes on without: it may still write out what it has. */
	console_set_peer(serial->console, NULL);
	bus_remove(serial->bus, &serial->region);
	pthread_mutex_destroy(&serial->lock);
	free(serial);
}

static const struct device_ops serial_device_ops = {.reset = serial_reset, .free = serial_free};

struct err *serial_create(const struct serial_options *options, struct serial **ret_serial)
{
	struct serial *serial = new0(struct serial);
	struct err *err;

	if (!serial)
		return err_new(ENOMEM, "Cannot create a serial port");
	serial->device = (struct device){.ops = &serial_device_ops, .name = "serial"};
	serial->region =
		(struct io_region){.ops = &serial_io_ops, .name = "serial", .size = SERIAL_PORTS};
	serial->peer =
		(struct console_peer){.receive = serial_receive, .writable = serial_writable};
	serial->bus = options->bus;
	serial->console = options->console;
	serial->irq = options->irq;
	pthread_mutex_init(&serial->lock, NULL);
	serial_reset(&serial->device);
	err = bus_add_at(options->bus, &serial->region, options->base);
	if (err) {
		serial_free(&serial->device);
		return err_wrap(err, "Failed to create a serial port");
	}
	console_set_peer(serial->console, &serial->peer);
	*ret_serial = serial;
	return NULL;
}

struct device *serial_device(struct serial *serial)
{
	return &serial->device;
}
