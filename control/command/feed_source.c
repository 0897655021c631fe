#include "control/command/feed_source.h"

#include <string.h>

#include "dataplane/base/error.h"

#define EXPECTED_KEYS 4096u

int feed_source_init(struct feed_source *f, struct feed *feed, const struct pattern *pattern,
		     struct properties *properties, uint64_t count)
{
	memset(f, 0, sizeof *f);
	f->feed = feed;
	f->pattern = *pattern;
	f->properties = properties;
	f->left = count;
	if (key_table_init(&f->templates, EXPECTED_KEYS))
		return HW_ERR_NOMEM;
	return key_table_init(&f->symbols, EXPECTED_KEYS);
}

void feed_source_fini(struct feed_source *f)
{
	key_table_fini(&f->templates);
	key_table_fini(&f->symbols);
}

static int note_symbol(struct feed_source *f, const struct feed_message *m)
{
	struct pattern_key key = {0};

	memcpy(&key.symbol, m->symbol, sizeof key.symbol);
	if (!m->symbol_len || key_table_find(&f->symbols, &key))
		return 0;
	return key_table_insert(&f->symbols, &key, 0);
}

/* First sight of a routing key. */
static int make_template(struct feed_source *f, const struct feed_message *m, const struct pattern_key *key,
			 uint32_t *template_id)
{
	char routing_key[ROUTING_KEY_MAX + 1];
	const char *why = NULL;

	pattern_write(&f->pattern, m, routing_key);
	f->properties->options.routing_key = routing_key;
	int code = harewire_template_prepare(f->run->publisher, &f->properties->options, template_id, &why);
	if (code) {
		run_fail(f->run, code, "no template for routing key %s (the %u-th): %s", routing_key,
			 f->templates.count + 1, why ? why : harewire_error_text(code));
		return code;
	}
	return key_table_insert(&f->templates, key, *template_id);
}

static int find_template(struct feed_source *f, const struct feed_message *m, uint32_t *template_id)
{
	struct pattern_key key = pattern_key(&f->pattern, m);
	const uint32_t *known = key_table_find(&f->templates, &key);

	if (known) {
		*template_id = *known;
		/* With the symbol in the key, a new symbol is a new key. */
		return f->pattern.fields & PATTERN_SYMBOL ? 0 : note_symbol(f, m);
	}
	int code = make_template(f, m, &key, template_id);
	return code ? code : note_symbol(f, m);
}

enum source_result feed_source_next(void *source, struct run_message *message)
{
	struct feed_source *f = source;
	struct feed_message m;

	if (!f->left)
		return SOURCE_END;
	int result = feed_next(f->feed, &m);
	if (result == 0)
		return SOURCE_END;
	if (result < 0) {
		run_fail(f->run, result, "%s", f->feed->why);
		return SOURCE_FAILED;
	}
	int code = find_template(f, &m, &message->template_id);
	if (code) {
		run_fail(f->run, code, "%s", harewire_error_text(code));
		return SOURCE_FAILED;
	}
	f->left--;
	message->body = m.bytes;
	message->len = m.len;
	message->due_ns = pace_next(&f->pace, m.time_ns);
	return SOURCE_MESSAGE;
}
