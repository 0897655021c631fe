/*
 * From a feed to messages to publish: a routing key and a template for each, made when it is first seen.
 *
 * With several publishers, each symbol belongs to one of them (the first to be seen to the first, the next to the
 * second, and so on; what has no symbol to the first), so that a symbol's messages stay in order. A template is made
 * only at the publisher that uses it.
 */
#ifndef HAREWIRE_COMMAND_FEED_SOURCE_H
#define HAREWIRE_COMMAND_FEED_SOURCE_H

#include <stdint.h>

#include "control/command/pace.h"
#include "control/command/properties.h"
#include "control/command/run.h"
#include "control/feed/feed.h"
#include "control/feed/key_table.h"
#include "control/feed/pattern.h"

struct feed_source {
	struct run *run;
	struct feed *feed;
	struct pattern pattern;
	struct properties *properties;
	struct key_table routes;  /* publisher and template, by what they depend on */
	struct key_table symbols; /* seen so far: their publishers */
	uint32_t keys;            /* routing keys seen so far */
	struct pace pace;
	uint64_t left; /* messages still to be published */
};

/* 0 or HW_ERR_NOMEM. Takes nothing over. */
int feed_source_init(struct feed_source *f, struct feed *feed, const struct pattern *pattern,
		     struct properties *properties, uint64_t count);
void feed_source_fini(struct feed_source *f);

/* For run_publish. */
enum source_result feed_source_next(void *source, struct run_message *message);

#endif
