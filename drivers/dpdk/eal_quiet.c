#define _GNU_SOURCE /* fopencookie */
#include "drivers/dpdk/eal_quiet.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/base/error.h"

struct quiet_stream {
	FILE *real, *stream;
};

/* stdout and stderr are the process's. The streams stay open: another thread may be about to write to one. */
static struct {
	pthread_t thread;
	struct quiet_stream out, err;
	char first_line[192];
} quiet;

static ssize_t write_out(void *cookie, const char *text, size_t len)
{
	const struct quiet_stream *s = cookie;
	if (!pthread_equal(pthread_self(), quiet.thread))
		return (ssize_t)fwrite(text, 1, len, s->real);
	size_t used = strlen(quiet.first_line);
	if (s == &quiet.err && !strchr(quiet.first_line, '\n'))
		snprintf(quiet.first_line + used, sizeof quiet.first_line - used, "%.*s", (int)len, text);
	return (ssize_t)len;
}

/* Unbuffered, so that each write is made by the thread whose it is. */
static int open_stream(struct quiet_stream *s, FILE *real)
{
	s->real = real;
	s->stream = fopencookie(s, "w", (cookie_io_functions_t){.write = write_out});
	if (!s->stream || setvbuf(s->stream, NULL, _IONBF, 0) != 0)
		return HW_ERR_NOMEM;
	return 0;
}

int eal_quiet_begin(void)
{
	quiet.thread = pthread_self();
	if (open_stream(&quiet.out, stdout) || open_stream(&quiet.err, stderr))
		return HW_ERR_NOMEM;
	stdout = quiet.out.stream;
	stderr = quiet.err.stream;
	return 0;
}

void eal_quiet_end(char *text, size_t bytes)
{
	stdout = quiet.out.real;
	stderr = quiet.err.real;
	snprintf(text, bytes, "%.*s", (int)strcspn(quiet.first_line, "\n"), quiet.first_line);
}
