/*
 * What is in flight, told by nothing but the segments that leave and arrive: a list of runs of octets, cut wherever
 * something happens to a part of one and never joined, each with the answers to five questions. tcp's scoreboard, which
 * cuts, joins and forgets with care, has to give the same answers.
 */
#ifndef HAREWIRE_TESTS_SIM_TCP_MODEL_H
#define HAREWIRE_TESTS_SIM_TCP_MODEL_H

#include "dataplane/tcp/tcp_internal.h"

#define MODEL_RUNS 65536u /* dozens of retransmissions, each cut elsewhere, leave tens of thousands of pieces */

struct model_run {
	uint64_t at_ns; /* last sent */
	uint32_t end;
	uint32_t times; /* sent */
	bool sacked, lost;
};

struct sim_model {
	const char *failure; /* what is not as it has to be; NULL: nothing */
	uint32_t una, nxt;
	uint32_t first, last; /* of runs */
	uint64_t newest_ns;   /* of what has arrived, when what was sent last was sent, */
	uint32_t newest_end;  /* and where it ends */
	bool arrived;         /* anything */
	/* The scoreboard may have been squeezed: it may know less about SACKs and times than we do. */
	bool squeezed;
	bool blurred; /* it was, at some time */
	bool amnesia; /* it has forgotten SACKs for good reasons, and takes what they were about for sent again */
	uint64_t compared, forgiven;
	struct model_run runs[MODEL_RUNS];
};

/* What may make octets lost, or not lost any more, at once. */
struct model_excuse {
	bool timeout, recut; /* everything may be lost now */
	bool duplicates;     /* the first segment may */
	bool undone;         /* nothing is, after all */
	bool reneged;        /* nothing is SACKed any more */
};

void sim_model_init(struct sim_model *m, uint32_t isn);

/* [seq, seq + len) has left. */
void sim_model_sent(struct sim_model *m, uint32_t seq, uint32_t len, uint64_t now_ns);

/* An ACK has been believed, with so many blocks. Returns octets newly known to have arrived. */
uint32_t sim_model_acked(struct sim_model *m, uint32_t ack, const struct tcp_sack_block *blocks, uint32_t count);

/* After anything that tcp was told: what it deems lost is taken over, if it may be; the rest has to agree. */
void sim_model_compare(struct sim_model *m, const struct tcp *t, const struct model_excuse *excuse);

/* Octets in the network, as far as anyone knows: neither SACKed nor lost. */
uint32_t sim_model_pipe(const struct sim_model *m);

/* The first lost octet; false: there is none. */
bool sim_model_first_lost(const struct sim_model *m, uint32_t *seq);

#endif
