/* From a feed to messages to publish: a routing key and a template for each, made when it is first seen. */
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
	struct key_table templates; /* by what the routing key depends on */
	struct key_table symbols;   /* seen so far */
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
