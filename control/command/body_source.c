#include "control/command/body_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/error.h"

#define DEFAULT_SIZE 256u
#define READ_BYTES   65536u

void body_generate(uint64_t number, uint8_t *bytes, size_t len)
{
	char text[24];
	size_t digits = (size_t)snprintf(text, sizeof text, "%llu\n", (unsigned long long)number);
	size_t head = digits <= len ? digits : len;

	if (digits > len) /* without the newline */
		memcpy(bytes, text + digits - 1 - (len < digits - 1 ? len : digits - 1), head);
	else
		memcpy(bytes, text, head);
	for (size_t i = head; i < len; i++)
		bytes[i] = (uint8_t)('a' + (number + i) % 26);
}

static bool make_room(struct body_source *b, size_t more)
{
	if (more <= b->capacity - b->len)
		return true;
	size_t capacity = b->capacity ? b->capacity : READ_BYTES;
	while (capacity - b->len < more)
		capacity *= 2;
	uint8_t *bytes = realloc(b->bytes, capacity);
	if (!bytes)
		return false;
	b->bytes = bytes;
	b->capacity = capacity;
	return true;
}

/* One read. Returns its result; ENOMEM and EFBIG are errors of ours. */
static ssize_t read_some(struct body_source *b)
{
	ssize_t n;

	errno = b->len >= BODY_BYTES_MAX ? EFBIG : ENOMEM;
	if (b->len >= BODY_BYTES_MAX || !make_room(b, READ_BYTES))
		return -1;
	do
		n = read(b->fd, b->bytes + b->len, b->capacity - b->len);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		b->len += (size_t)n;
	return n;
}

static int open_input(struct body_source *b, const struct settings *s, char *why, size_t why_bytes)
{
	b->fd = s->file && strcmp(s->file, "-") != 0 ? open(s->file, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	if (b->fd >= 0)
		return 0;
	snprintf(why, why_bytes, "cannot read %s: %s", s->file ? s->file : "standard input", strerror(errno));
	return HW_ERR_SYSTEM;
}

static int read_whole_body(struct body_source *b, const struct settings *s, char *why, size_t why_bytes)
{
	ssize_t n = 0;

	if (s->body) {
		b->len = strlen(s->body);
		b->bytes = malloc(b->len + 1);
		if (b->bytes)
			memcpy(b->bytes, s->body, b->len);
		return b->bytes ? 0 : HW_ERR_NOMEM;
	}
	int code = open_input(b, s, why, why_bytes);
	while (!code && (n = read_some(b)) > 0)
		;
	if (n < 0) {
		snprintf(why, why_bytes, "cannot read %s: %s", s->file ? s->file : "standard input", strerror(errno));
		code = HW_ERR_SYSTEM;
	}
	return code;
}

int body_source_init(struct body_source *b, const struct settings *s, char *why, size_t why_bytes)
{
	memset(b, 0, sizeof *b);
	b->fd = -1;
	b->next_number = 1;
	/* A rate or a duration speaks of many messages: without a count, of as many as there is time for. */
	bool many = s->rate > 0 || s->duration_ns != SETTING_UNSET;
	b->count = s->count == SETTING_UNSET ? (many ? UINT64_MAX : 1) : s->count;
	snprintf(why, why_bytes, "out of memory");

	if (s->lines) {
		b->kind = BODY_LINES;
		b->count = s->count; /* unset: all there are */
		return open_input(b, s, why, why_bytes);
	}
	if (s->body || s->file || (s->size == SETTING_UNSET && s->count == SETTING_UNSET && !many)) {
		b->kind = BODY_FIXED;
		return read_whole_body(b, s, why, why_bytes);
	}
	b->kind = BODY_GENERATED;
	b->len = s->size == SETTING_UNSET ? DEFAULT_SIZE : s->size;
	b->bytes = malloc(b->len + 1);
	return b->bytes ? 0 : HW_ERR_NOMEM;
}

void body_source_fini(struct body_source *b)
{
	if (b->fd >= 0)
		close(b->fd);
	free(b->bytes);
}

/* Drops the line handed out last. */
static void drop_line(struct body_source *b)
{
	memmove(b->bytes, b->bytes + b->line_end, b->len - b->line_end);
	b->len -= b->line_end;
	b->line_end = 0;
}

static bool input_ready(const struct body_source *b)
{
	struct pollfd p = {.fd = b->fd, .events = POLLIN};
	return poll(&p, 1, 0) > 0;
}

/* A last line without its newline is a line too. */
static enum source_result next_line(struct body_source *b, struct run_message *message)
{
	const uint8_t *newline = NULL;

	if (b->line_end)
		drop_line(b);
	while (!(newline = b->len ? memchr(b->bytes, '\n', b->len) : NULL) && !b->end_of_file) {
		if (!input_ready(b))
			return SOURCE_WAIT;
		ssize_t n = read_some(b);
		if (n < 0) {
			run_fail(b->run, HW_ERR_SYSTEM, "cannot read a line: %s", strerror(errno));
			return SOURCE_FAILED;
		}
		b->end_of_file = n == 0;
	}
	if (!newline && !b->len)
		return SOURCE_END;
	message->len = newline ? (size_t)(newline - b->bytes) : b->len;
	b->line_end = message->len + (newline != NULL);
	message->body = b->bytes;
	return SOURCE_MESSAGE;
}

enum source_result body_source_next(void *source, struct run_message *message)
{
	struct body_source *b = source;

	if (b->next_number > b->count)
		return SOURCE_END;
	if (b->kind == BODY_LINES) {
		enum source_result result = next_line(b, message);
		if (result != SOURCE_MESSAGE)
			return result;
	} else {
		if (b->kind == BODY_GENERATED)
			body_generate(b->next_number, b->bytes, b->len);
		message->body = b->bytes;
		message->len = b->len;
	}
	message->publisher = (uint32_t)((b->next_number - 1) % b->run->publisher_count);
	message->template_id = b->template_ids[message->publisher];
	message->due_ns = pace_next(&b->pace, 0);
	b->next_number++;
	return SOURCE_MESSAGE;
}
