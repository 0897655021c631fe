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

static bool refused_for_good(int code, uint16_t reply_code, const char *text)
{
	switch (reply_code) {
	case REPLY_ACCESS_REFUSED:
		return true;
	case REPLY_NOT_ALLOWED:
		return !passes(text);
	case REPLY_PRECONDITION_FAILED:
		return code == HW_ERR_AMQP_SETUP; /* declared differently */
	default:
		return code == HW_ERR_AMQP_LOGIN_REFUSED && reply_code == 0; /* no mechanism of ours */
	}
}

enum reconnect_verdict reconnect_judge(int code, uint16_t reply_code, const char *text, bool before)
{
	bool refusal = code == HW_ERR_AMQP_LOGIN_REFUSED || code == HW_ERR_AMQP_SETUP;
	/* As long as nobody has seen it work, it is a mistake rather than a state. */
	if (!before && (code == HW_ERR_AMQP_SETUP || code == HW_ERR_INVALID || code == HW_ERR_SYSTEM))
		return RECONNECT_NEVER;
	return refusal && refused_for_good(code, reply_code, text) ? RECONNECT_NEVER : RECONNECT_AGAIN;
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
}

/* The pause that is due, shortened by up to a half so that publishers do not come back all at once; the next is longer.
 */
static uint64_t take_pause(struct reconnect *r)
{
	uint64_t pause = r->pause_ns;
	if (pause == 0)
		r->pause_ns = r->min_ns;
	else
		r->pause_ns = pause < r->max_ns / 2 ? 2 * pause : r->max_ns;
	return pause ? pause - draw(r) % (pause / 2 + 1) : 0;
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

bool reconnect_failed(struct reconnect *r, enum reconnect_verdict verdict, uint64_t *pause_ns)
{
	*pause_ns = 0;
	if (verdict == RECONNECT_NEVER)
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
	p->closes += is_by_word(loss);
	p->losses = is_abrupt(loss) ? p->losses + 1 : 0;
	return p->closes >= POISON_CLOSES || p->losses >= POISON_LOSSES;
}
