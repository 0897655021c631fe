#include "tests/lib/fake_transport.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct fake_stream *fake(const struct stream *s)
{
	return (struct fake_stream *)(uintptr_t)s;
}

static struct fake_transport *fake_of(struct transport *tp)
{
	return (struct fake_transport *)tp;
}

static void receive(struct transport *tp, uint64_t now_ns)
{
	struct fake_transport *t = fake_of(tp);
	for (uint32_t i = 0; i < STREAMS_MAX; i++) {
		if (t->ready_streams[i])
			stream_mark_ready(tp->streams[i]);
		t->ready_streams[i] = false;
	}
}

static void timers(struct transport *tp, uint64_t now_ns)
{
	tp->next_deadline_ns = UINT64_MAX;
}

static int open_stream(struct transport *tp, uint32_t index, const struct stream_address *address, uint64_t now_ns)
{
	struct fake_stream *f = fake(tp->streams[index]);
	if (fake_of(tp)->open_error)
		return fake_of(tp)->open_error;
	extents_init(&f->stream.tx);
	f->stream.state = STREAM_CONNECTING;
	f->stream.error = 0;
	f->stream.peer_finished = f->aborted = f->closed = false;
	f->sent_offset = 0;
	f->sent_len = f->received_len = f->received_taken = 0;
	f->address = *address;
	return 0;
}

static uint64_t may_push(const struct stream *s)
{
	struct fake_stream *f = fake(s);
	uint64_t in_flight = s->tx.end - s->tx.start;
	return s->state == STREAM_OPEN && in_flight < f->window ? f->window - in_flight : 0;
}

static void transmit(struct stream *s, uint64_t now_ns)
{
	struct fake_stream *f = fake(s);
	fake_of(s->transport)->transmits++;
	if (f->no_buffers) {
		stream_mark_ready(s);
		return;
	}
	if (s->state != STREAM_OPEN && s->state != STREAM_CLOSING)
		return;
	if (f->closed)
		assert(s->tx.end == f->end_at_close); /* nothing may be pushed behind a FIN */
	uint64_t limit = s->tx.start + f->window;
	uint64_t end = s->tx.end < limit ? s->tx.end : limit;
	if (end > f->sent_offset) {
		uint32_t n = (uint32_t)(end - f->sent_offset);
		assert(n <= FAKE_BYTES - f->sent_len);
		extents_copy(&s->tx, f->sent_offset, f->sent + f->sent_len, n);
		f->sent_len += n;
		f->sent_offset = end;
	}
	if (f->ack_at_once && f->sent_offset > s->tx.start)
		fake_ack(fake_of(s->transport), s->index);
}

static const uint8_t *readable(struct stream *s, uint32_t *len)
{
	*len = fake(s)->received_len - fake(s)->received_taken;
	return fake(s)->received + fake(s)->received_taken;
}

static void consume(struct stream *s, uint32_t len, uint64_t now_ns)
{
	fake(s)->received_taken += len;
}

static void close_stream(struct stream *s, uint64_t now_ns)
{
	if (!fake(s)->closed)
		fake(s)->end_at_close = s->tx.end;
	fake(s)->closed = true;
	if (s->state == STREAM_OPEN)
		s->state = STREAM_CLOSING;
}

static void abort_stream(struct stream *s, uint64_t now_ns)
{
	fake(s)->aborted = true;
	s->state = STREAM_CLOSED;
}

static uint64_t sent(const struct stream *s)
{
	return fake(s)->sent_offset;
}

static void next_hop(struct stream *s, const uint8_t mac[6])
{
	memcpy(fake(s)->next_hop, mac, 6);
}

static void info(const struct stream *s, struct stream_info *out)
{
	memset(out, 0, sizeof *out);
	out->peer_window = fake(s)->peer_window;
	out->mss = fake(s)->mss;
	out->unsent = s->tx.end - fake(s)->sent_offset;
}

static const struct transport_ops ops = {.receive = receive,
					 .timers = timers,
					 .open = open_stream,
					 .may_push = may_push,
					 .transmit = transmit,
					 .readable = readable,
					 .consume = consume,
					 .close = close_stream,
					 .abort = abort_stream,
					 .sent = sent,
					 .next_hop = next_hop,
					 .info = info};

void fake_transport_init(struct fake_transport *t, uint32_t streams)
{
	memset(t, 0, sizeof *t);
	t->transport.ops = &ops;
	t->transport.next_deadline_ns = UINT64_MAX;
	t->streams = calloc(streams, sizeof *t->streams);
	assert(t->streams);
	for (uint32_t i = 0; i < streams; i++) {
		t->streams[i].stream.transport = &t->transport;
		t->streams[i].stream.index = i;
		t->streams[i].window = FAKE_BYTES;
		t->streams[i].ack_at_once = true;
		t->transport.streams[i] = &t->streams[i].stream;
	}
}

void fake_transport_fini(struct fake_transport *t)
{
	free(t->streams);
}

void fake_connected(struct fake_transport *t, uint32_t index)
{
	t->streams[index].stream.state = STREAM_OPEN;
	t->ready_streams[index] = true;
}

void fake_feed(struct fake_transport *t, uint32_t index, const void *bytes, uint32_t len)
{
	struct fake_stream *f = &t->streams[index];
	if (f->received_taken == f->received_len)
		f->received_taken = f->received_len = 0;
	assert(len <= FAKE_BYTES - f->received_len);
	memcpy(f->received + f->received_len, bytes, len);
	f->received_len += len;
	t->ready_streams[index] = true;
}

void fake_ack(struct fake_transport *t, uint32_t index)
{
	fake_ack_to(t, index, t->streams[index].sent_offset);
}

void fake_ack_to(struct fake_transport *t, uint32_t index, uint64_t offset)
{
	struct fake_stream *f = &t->streams[index];
	assert(offset <= f->sent_offset);
	extents_pop(&f->stream.tx, offset);
	t->ready_streams[index] = true;
}

void fake_finish(struct fake_transport *t, uint32_t index)
{
	t->streams[index].stream.peer_finished = true;
	if (t->streams[index].stream.state == STREAM_CLOSING)
		t->streams[index].stream.state = STREAM_CLOSED;
	t->ready_streams[index] = true;
}

void fake_reset(struct fake_transport *t, uint32_t index, int error)
{
	t->streams[index].stream.state = STREAM_CLOSED;
	t->streams[index].stream.error = error;
	t->ready_streams[index] = true;
}
