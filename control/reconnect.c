#include "control/reconnect.h"

#include <string.h>

#include "dataplane/base/error.h"

/* Reply codes of AMQP 0-9-1, 1.2, and RabbitMQ's use of them. */
enum {
	REPLY_CONNECTION_FORCED = 320,
	REPLY_ACCESS_REFUSED = 403,
	REPLY_PRECONDITION_FAILED = 406,
	REPLY_NOT_ALLOWED = 530,
	REPLY_INTERNAL_ERROR = 541,
};

/* ---- what a failure means ---- */

/*
 * Some refusals name a state of the broker, not a mistake of ours: a vhost that recovers, and a limit of connections
 * that our own lost one may still count for.
 */
static bool passes(const char *text)
{
	return strstr(text, "is down") || strstr(text, "limit (");
}

static enum reconnect_verdict judge_refusal(int code, uint16_t reply_code, const char *text, bool before)
{
	enum reconnect_verdict later = before ? RECONNECT_REFUSED : RECONNECT_NEVER;
	switch (reply_code) {
	case REPLY_ACCESS_REFUSED:
		return later;
	case REPLY_NOT_ALLOWED:
		/* "access to vhost ... refused for user ..., backend ... returned an error" */
		return passes(text) ? RECONNECT_AGAIN : strstr(text, "returned an error") ? later : RECONNECT_NEVER;
	case REPLY_PRECONDITION_FAILED: /* declared differently */
		return code == HW_ERR_AMQP_SETUP ? RECONNECT_NEVER : RECONNECT_AGAIN;
	default: /* without a close: no mechanism of ours */
		return code == HW_ERR_AMQP_LOGIN_REFUSED && !reply_code ? RECONNECT_NEVER : RECONNECT_AGAIN;
	}
}

enum reconnect_verdict reconnect_judge(int code, uint16_t reply_code, const char *text, bool before)
{
	bool refusal = code == HW_ERR_AMQP_LOGIN_REFUSED || code == HW_ERR_AMQP_SETUP;
	/* As long as nobody has seen it work, it is a mistake rather than a state. */
	if (!before && (code == HW_ERR_AMQP_SETUP || code == HW_ERR_INVALID || code == HW_ERR_SYSTEM))
		return RECONNECT_NEVER;
	return refusal ? judge_refusal(code, reply_code, text, before) : RECONNECT_AGAIN;
}

/* ---- chance ---- */

/* Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014): any seed will do. */
static uint64_t draw(struct reconnect *r)
{
	uint64_t z = r->random += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Fisher and Yates. */
static void shuffle_hosts(struct reconnect *r)
{
	for (uint32_t i = r->host_count - 1; i > 0; i--) {
		uint32_t j = (uint32_t)(draw(r) % (i + 1));
		uint8_t host = r->order[i];
		r->order[i] = r->order[j];
		r->order[j] = host;
	}
}

/* ---- where and when next ---- */

void reconnect_init(struct reconnect *r, uint32_t host_count, bool shuffle, uint64_t min_ns, uint64_t max_ns,
		    uint64_t seed)
{
	*r = (struct reconnect){.min_ns = min_ns, .max_ns = max_ns, .random = seed, .host_count = host_count};
	for (uint32_t i = 0; i < host_count; i++)
		r->order[i] = (uint8_t)i;
	if (shuffle)
		shuffle_hosts(r);
}

void reconnect_attempt(struct reconnect *r)
{
	r->attempts++;
}

void reconnect_ready(struct reconnect *r)
{
	r->before = true;
	r->unfit = 0;
	memset(r->refused_ns, 0, sizeof r->refused_ns);
}

/* By up to a half, so that publishers do not come back all at once. */
static uint64_t shorten(struct reconnect *r, uint64_t pause_ns)
{
	return pause_ns - draw(r) % (pause_ns / 2 + 1);
}

/* The pause that is due, shortened; the next is longer. */
static uint64_t take_pause(struct reconnect *r)
{
	uint64_t pause = r->pause_ns;
	if (pause == 0)
		r->pause_ns = r->min_ns;
	else
		r->pause_ns = pause < r->max_ns / 2 ? 2 * pause : r->max_ns;
	uint64_t refused = r->refused_ns[reconnect_host(r)] ? REFUSED_PAUSE_NS : 0;
	pause = pause > refused ? pause : refused;
	return pause ? shorten(r, pause) : 0;
}

/* False when every host is unfit. */
static bool go_to_next_host(struct reconnect *r)
{
	for (uint32_t i = 0; i < r->host_count; i++) {
		r->at = (r->at + 1) % r->host_count;
		if (!(r->unfit & 1u << r->at))
			return true;
	}
	return false;
}

/* True when the host, whose turn it is, has refused us for too long. */
static bool note_refusal(struct reconnect *r, bool refused, uint64_t now_ns)
{
	uint64_t *since_ns = &r->refused_ns[reconnect_host(r)];
	if (!refused)
		*since_ns = 0;
	else if (*since_ns == 0)
		*since_ns = now_ns;
	return refused && now_ns - *since_ns >= REFUSED_MOST_NS;
}

bool reconnect_failed(struct reconnect *r, enum reconnect_verdict verdict, uint64_t now_ns, uint64_t *pause_ns)
{
	*pause_ns = 0;
	if (verdict == RECONNECT_NEVER || note_refusal(r, verdict == RECONNECT_REFUSED, now_ns))
		return false;
	/* Nothing is known of any host yet: each of them is asked once, one right after the other. */
	if (verdict == RECONNECT_ELSEWHERE || !r->before)
		r->unfit |= 1u << r->at;
	if (!go_to_next_host(r))
		return false;
	if (!r->before)
		return true;
	*pause_ns = take_pause(r);
	return true;
}

void reconnect_lost(struct reconnect *r, bool proved, bool elsewhere, uint64_t *pause_ns)
{
	if (proved) {
		r->pause_ns = 0;
		r->attempts = 0;
	}
	if (elsewhere || !proved)
		go_to_next_host(r);
	*pause_ns = take_pause(r);
}

/* ---- poison ---- */

static bool is_abrupt(const struct poison_loss *loss)
{
	return loss->reply_code == 0 && (loss->code == HW_ERR_CONN_RESET || loss->code == HW_ERR_CONN_CLOSED_BY_PEER);
}

static bool is_by_word(const struct poison_loss *loss)
{
	return loss->reply_code && loss->reply_code != REPLY_CONNECTION_FORCED &&
	       loss->reply_code != REPLY_INTERNAL_ERROR;
}

bool poison_shown(struct poison *p, const struct poison_loss *loss)
{
	if (loss->oldest_id != p->oldest_id || loss->outcomes != p->outcomes || !loss->oldest_sent)
		*p = (struct poison){.oldest_id = loss->oldest_id, .outcomes = loss->outcomes};
	if (!loss->oldest_sent)
		return false;
	if (is_by_word(loss) && p->closes++ == 0)
		p->closed_ns = loss->at_ns;
	p->losses = is_abrupt(loss) ? p->losses + 1 : 0;
	if (p->losses == 1)
		p->lost_ns = loss->at_ns;
	return is_by_word(loss) ? p->closes >= POISON_CLOSES && loss->at_ns - p->closed_ns >= POISON_CLOSES_SPAN_NS
				: p->losses >= POISON_LOSSES && loss->at_ns - p->lost_ns >= POISON_LOSSES_SPAN_NS;
}

bool forbidden_shown(struct forbidden *f, const struct poison_loss *loss)
{
	if (loss->reply_code != REPLY_ACCESS_REFUSED)
		return false;
	if (!f->since_ns || f->outcomes != loss->outcomes)
		*f = (struct forbidden){.since_ns = loss->at_ns, .outcomes = loss->outcomes};
	return loss->at_ns - f->since_ns >= REFUSED_MOST_NS;
}
