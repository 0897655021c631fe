/*
 * A feed: messages of market data, one after the other, from a capture file or a generator. Publishing knows nothing
 * else of where they come from.
 */
#ifndef HAREWIRE_FEED_H
#define HAREWIRE_FEED_H

#include <stdbool.h>
#include <stdint.h>

#define FEED_SYMBOL_MAX 8u
#define FEED_WHY_MAX    320u

enum feed_kind { FEED_DEEP, FEED_TOPS };

struct feed_message {
	const uint8_t *bytes; /* valid until the feed is asked for the next one */
	uint32_t len;
	uint32_t channel;
	uint64_t time_ns;  /* when its packet was captured, or the generator's clock; since 1970 */
	uint64_t sequence; /* the feed's own */
	enum feed_kind kind;
	char type; /* its letter, or 0: none */
	uint8_t symbol_len;
	char symbol[FEED_SYMBOL_MAX]; /* not terminated; zero beyond symbol_len */
};

/* What a feed has seen so far. */
struct feed_figures {
	uint64_t packets, messages, heartbeats;
	uint64_t sequence_gaps;    /* breaks of the feed's own numbering in either direction */
	uint64_t sequence_rewinds; /* those of them that went back */
	uint64_t missed_messages;  /* numbers jumped over by the others */
	uint64_t fragments;        /* IP fragments, skipped */
	uint64_t not_ours;         /* packets that are not IEX-TP over UDP over IPv4 */
	uint64_t malformed;        /* ... that claim to be and are not */
	uint64_t unknown_protocol; /* IEX-TP carrying another message protocol */
	uint64_t cut_packets;      /* packets of which the capture holds only a part */
	bool truncated;            /* the file ends in the middle of a record */
};

struct feed;

struct feed_ops {
	/* 1 and a message; 0 at the end; a negative code with a sentence in feed->why. */
	int (*next)(struct feed *feed, struct feed_message *message);
	void (*destroy)(struct feed *feed);
};

struct feed {
	const struct feed_ops *ops;
	struct feed_figures figures;
	char why[FEED_WHY_MAX];
};

static inline int feed_next(struct feed *feed, struct feed_message *message)
{
	return feed->ops->next(feed, message);
}

static inline void feed_destroy(struct feed *feed)
{
	if (feed)
		feed->ops->destroy(feed);
}

/*
 * The messages of a pcap or pcapng file, plain or compressed by gzip; "-" is standard input. 0, or HW_ERR_SYSTEM /
 * _INVALID / _NOMEM with a sentence in `why`.
 */
int capture_feed_create(const char *path, struct feed **out, char *why, uint32_t why_bytes);

#endif
