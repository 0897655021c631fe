#define _GNU_SOURCE /* fopencookie */

#include "control/feed/capture_stream.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/error.h"

#define GZ_BUFFER_BYTES (1u << 18)

static void remember(struct capture_stream *s, const uint8_t *bytes, size_t len)
{
	if (len > CAPTURE_TAIL_BYTES) {
		s->offset += len - CAPTURE_TAIL_BYTES;
		bytes += len - CAPTURE_TAIL_BYTES;
		len = CAPTURE_TAIL_BYTES;
	}
	size_t at = s->offset % CAPTURE_TAIL_BYTES;
	size_t first = len < CAPTURE_TAIL_BYTES - at ? len : CAPTURE_TAIL_BYTES - at;
	memcpy(s->tail + at, bytes, first);
	memcpy(s->tail, bytes + first, len - first);
	s->offset += len;
}

static ssize_t stream_read(void *cookie, char *buffer, size_t len)
{
	struct capture_stream *s = cookie;
	int code;

	int n = gzread(s->gz, buffer, len < GZ_BUFFER_BYTES ? (unsigned)len : GZ_BUFFER_BYTES);
	if (n < (int)len) {
		gzerror(s->gz, &code);
		s->cut_short |= code == Z_BUF_ERROR;
		s->damaged |= code != Z_OK && code != Z_BUF_ERROR;
	}
	if (n < 0) /* a cut is an end like any other, to libpcap */
		return s->damaged ? -1 : 0;
	remember(s, (const uint8_t *)buffer, (size_t)n);
	return n;
}

static int stream_close(void *cookie)
{
	struct capture_stream *s = cookie;

	gzclose(s->gz);
	s->gz = NULL;
	return 0;
}

int capture_stream_open(struct capture_stream *s, const char *path)
{
	memset(s, 0, offsetof(struct capture_stream, tail));
	errno = 0;
	s->gz = strcmp(path, "-") == 0 ? gzdopen(dup(STDIN_FILENO), "rb") : gzopen(path, "rbe");
	if (!s->gz)
		return HW_ERR_SYSTEM;
	gzbuffer(s->gz, GZ_BUFFER_BYTES);

	s->file = fopencookie(s, "rb", (cookie_io_functions_t){.read = stream_read, .close = stream_close});
	if (!s->file) {
		gzclose(s->gz);
		return HW_ERR_SYSTEM;
	}
	setvbuf(s->file, NULL, _IONBF, 0);
	return 0;
}

void capture_stream_close(struct capture_stream *s)
{
	if (s->file)
		fclose(s->file);
	s->file = NULL;
}

uint32_t capture_stream_tail(const struct capture_stream *s, uint64_t from, uint8_t *dst, uint32_t len)
{
	uint64_t held = s->offset - from;

	if (held > CAPTURE_TAIL_BYTES)
		return 0;
	uint32_t n = held < len ? (uint32_t)held : len;
	for (uint32_t i = 0; i < n; i++)
		dst[i] = s->tail[(from + i) % CAPTURE_TAIL_BYTES];
	return n;
}
