/*
 * What a broker reads of the messages of one publisher, over any number of connections and channels: a model of
 * replay, which knows only what was published, what is on the wire and what control was told.
 */
#ifndef HAREWIRE_TESTS_COPIES_H
#define HAREWIRE_TESTS_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/amqp/confirm.h"
#include "dataplane/base/extent.h"

#define COPIES_IDS 4096u

struct copies {
	bool at_most_once;
	uint32_t body_len[COPIES_IDS];
	bool has_flag[COPIES_IDS]; /* the template has the duplicate slot */
	bool on_wire[COPIES_IDS];  /* a copy was, in part at least */
	bool maybe[COPIES_IDS];    /* one may have been, as far as the model can tell */
	bool done[COPIES_IDS];     /* had an outcome when the channel began */
	/* of the stream */
	uint32_t at;        /* octets of whole frames read */
	bool flags_changed; /* the duplicate octet of what is in flight may have been set: by the next channel */
	/* of the channel */
	/* Channels known to be closed whose close-ok is not out yet: what comes is dropped. -1: it is, the event not.
	 */
	int closes_due;
	uint64_t tags; /* messages read */
	uint64_t last_id;
	uint64_t open_id;   /* the message whose body is being read; 0: none */
	uint64_t open_left; /* octets of its body to come */
	bool header_due;
};

void copies_publish(struct copies *c, uint64_t id, uint32_t body_len, bool has_flag);
/* What a message's body consists of. */
uint8_t copies_octet(uint64_t id, uint32_t at);

void copies_stream(struct copies *c);
/* A channel has been handed over. */
void copies_channel(struct copies *c, const struct confirms *confirms);
void copies_channel_closed(struct copies *c, const struct confirms *confirms);
/* All that the stream has sent so far. `channel_open`: the confirms' tags are those of what is being read. */
void copies_read(struct copies *c, const uint8_t *sent, uint32_t len, const struct confirms *confirms,
		 bool channel_open);
/* What would be sent once more is what was sent. */
void copies_check_unacked(const struct copies *c, const uint8_t *sent, uint32_t len, const struct extent_queue *tx);
/*
 * Behind copies_read, with an open channel: the message of which a part has been sent, its header not among it; or 0.
 * Unless `sure`, those octets may be another frame's.
 */
uint64_t copies_in_part(const struct copies *c, const uint8_t *sent, uint32_t len, const struct confirms *confirms,
			bool *sure);
/* The stream is over: what of a message was sent in part. */
void copies_stream_over(struct copies *c, const uint8_t *sent, uint32_t len, const struct confirms *confirms,
			bool channel_open);

#endif
