/*
 * From what makes a routing key to a number (its template's id): open addressing with linear probing, at most half
 * full, grown by doubling. One look-up per message is all a feed costs, with 10 keys or 100,000.
 */
#ifndef HAREWIRE_FEED_KEY_TABLE_H
#define HAREWIRE_FEED_KEY_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/feed/pattern.h"

struct key_entry {
	struct pattern_key key;
	uint32_t value;
	bool used;
};

struct key_table {
	struct key_entry *entries;
	uint32_t mask;
	uint32_t count;
};

/* 0 or HW_ERR_NOMEM. */
int key_table_init(struct key_table *t, uint32_t expected);
void key_table_fini(struct key_table *t);

/* The entry's value, or NULL. Valid until the next insertion. */
const uint32_t *key_table_find(const struct key_table *t, const struct pattern_key *key);

/* Adds a key that is not there. 0 or HW_ERR_NOMEM. */
int key_table_insert(struct key_table *t, const struct pattern_key *key, uint32_t value);

#endif
