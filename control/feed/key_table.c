#include "control/feed/key_table.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/error.h"

#define TABLE_MIN 64u
#define TABLE_MAX (1u << 30)

static int allocate(struct key_table *t, uint32_t size)
{
	t->entries = calloc(size, sizeof *t->entries);
	if (!t->entries)
		return HW_ERR_NOMEM;
	t->mask = size - 1;
	t->count = 0;
	return 0;
}

int key_table_init(struct key_table *t, uint32_t expected)
{
	uint32_t size = TABLE_MIN;

	while (size / 2 < expected && size < TABLE_MAX)
		size *= 2;
	return allocate(t, size);
}

void key_table_fini(struct key_table *t)
{
	free(t->entries);
	t->entries = NULL;
}

static bool keys_equal(const struct pattern_key *a, const struct pattern_key *b)
{
	return a->symbol == b->symbol && a->channel == b->channel && a->kind == b->kind && a->type == b->type;
}

/* Multiply and fold: the symbol's octets sit in its low or its high half, and both must reach the mask. */
static uint32_t hash(const struct pattern_key *key)
{
	uint64_t rest = (uint64_t)key->channel << 32 | (uint32_t)key->kind << 16 | key->type;
	unsigned __int128 product =
		(unsigned __int128)(key->symbol ^ 0x9E3779B97F4A7C15u) * (rest ^ 0xD6E8FEB86659FD93u);
	uint64_t folded = (uint64_t)product ^ (uint64_t)(product >> 64);
	return (uint32_t)(folded ^ folded >> 32);
}

/* The entry of the key, or the free one where it belongs. */
static struct key_entry *probe(const struct key_table *t, const struct pattern_key *key)
{
	uint32_t i = hash(key) & t->mask;

	while (t->entries[i].used && !keys_equal(&t->entries[i].key, key))
		i = (i + 1) & t->mask;
	return &t->entries[i];
}

const uint32_t *key_table_find(const struct key_table *t, const struct pattern_key *key)
{
	const struct key_entry *e = probe(t, key);
	return e->used ? &e->value : NULL;
}

static int grow(struct key_table *t)
{
	struct key_table old = *t;

	if (old.mask + 1 >= TABLE_MAX || allocate(t, (old.mask + 1) * 2)) {
		*t = old;
		return HW_ERR_NOMEM;
	}
	for (uint32_t i = 0; i <= old.mask; i++)
		if (old.entries[i].used)
			*probe(t, &old.entries[i].key) = old.entries[i];
	t->count = old.count;
	free(old.entries);
	return 0;
}

int key_table_insert(struct key_table *t, const struct pattern_key *key, uint32_t value)
{
	if (t->count >= (t->mask + 1) / 2 && grow(t))
		return HW_ERR_NOMEM;
	*probe(t, key) = (struct key_entry){.key = *key, .value = value, .used = true};
	t->count++;
	return 0;
}
