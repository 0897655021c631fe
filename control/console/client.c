#define _GNU_SOURCE
#include "control/console/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void client_init(struct client *c, int fd)
{
	memset(c, 0, sizeof *c);
	c->fd = fd;
}

void client_fini(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->out);
	client_init(c, -1);
}

static bool try_again(void)
{
	return errno == EAGAIN || errno == EINTR;
}

bool client_read(struct client *c)
{
	size_t space = sizeof c->in - c->in_len;
	if (space == 0)
		return true;
	ssize_t n = recv(c->fd, c->in + c->in_len, space, 0);
	if (n > 0)
		c->in_len += (size_t)n;
	return n > 0 || (n < 0 && try_again());
}

const char *client_line(const struct client *c, size_t *len)
{
	const char *end = c->out || c->waiting ? NULL : memchr(c->in, '\n', c->in_len);
	*len = end ? (size_t)(end - c->in) : 0;
	return end ? c->in : NULL;
}

void client_drop_line(struct client *c)
{
	const char *end = memchr(c->in, '\n', c->in_len);
	size_t len = (size_t)(end - c->in) + 1;
	memmove(c->in, c->in + len, c->in_len - len);
	c->in_len -= len;
}

bool client_line_too_long(const struct client *c)
{
	return c->in_len == sizeof c->in && !memchr(c->in, '\n', c->in_len);
}

bool client_answer(struct client *c, const char *line)
{
	size_t len = line ? strlen(line) : 0;
	c->waiting = false;
	c->out = line ? malloc(len + 1) : NULL;
	if (!c->out)
		return false;
	memcpy(c->out, line, len);
	c->out[len] = '\n';
	c->out_len = len + 1;
	c->out_taken = 0;
	return client_write(c);
}

bool client_write(struct client *c)
{
	while (c->out) {
		ssize_t n = send(c->fd, c->out + c->out_taken, c->out_len - c->out_taken, MSG_NOSIGNAL);
		if (n < 0)
			return try_again();
		c->out_taken += (size_t)n;
		if (c->out_taken == c->out_len) {
			free(c->out);
			c->out = NULL;
		}
	}
	return true;
}
