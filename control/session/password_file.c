#define _GNU_SOURCE /* explicit_bzero */

#include "control/session/password_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/error.h"

static bool is_credential(const char *path)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	size_t len = directory ? strlen(directory) : 0;

	return len && strncmp(path, directory, len) == 0 && path[len] == '/' && !strchr(path + len + 1, '/');
}

static int check_file(int fd, const char *path, char *why, size_t why_bytes)
{
	struct stat st;

	if (fstat(fd, &st)) {
		snprintf(why, why_bytes, "cannot read the password file %.200s: %s", path, strerror(errno));
		return HW_ERR_SYSTEM;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(why, why_bytes,
			 "the password file %.200s is no regular file: it is read anew for every connection", path);
		return HW_ERR_INVALID;
	}
	mode_t forbidden = S_IRWXG | S_IRWXO;
	if (is_credential(path))
		forbidden &= (mode_t)~S_IRGRP;
	if (!(st.st_mode & forbidden))
		return 0;
	snprintf(why, why_bytes,
		 "the password file %.200s has mode %04o, others may have access to it: chmod 600 %.200s", path,
		 st.st_mode & 07777, path);
	return HW_ERR_INVALID;
}

/* Up to `bytes` octets; -1: errno. */
static ssize_t read_start(int fd, char *text, size_t bytes)
{
	size_t len = 0;

	while (len < bytes) {
		ssize_t n = read(fd, text + len, bytes - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* Cuts what was read off after its first line. */
static int take_line(const char *path, char *text, size_t len, size_t bytes, char *why, size_t why_bytes)
{
	const char *reason = NULL;
	char *end = memchr(text, '\n', len);
	size_t line = end ? (size_t)(end - text) : len;

	if (line && text[line - 1] == '\r')
		line--;
	if (line == 0)
		reason = "is empty: the password is its first line";
	else if (memchr(text, '\0', line))
		reason = "holds a NUL octet";
	else if (line >= bytes)
		reason = "holds a password that is too long";
	else
		explicit_bzero(text + line, bytes - line);
	if (reason)
		snprintf(why, why_bytes, "the password file %.200s %s", path, reason);
	return reason ? HW_ERR_INVALID : 0;
}

int password_file_read(const char *path, char *password, size_t password_bytes, char *why, size_t why_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO holds nobody up */
	int code = fd < 0 ? HW_ERR_SYSTEM : check_file(fd, path, why, why_bytes);
	ssize_t len = code ? 0 : read_start(fd, password, password_bytes);

	if (fd < 0 || len < 0) {
		snprintf(why, why_bytes, "cannot read the password file %.200s: %s", path, strerror(errno));
		code = HW_ERR_SYSTEM;
	}
	if (!code)
		code = take_line(path, password, (size_t)len, password_bytes, why, why_bytes);
	if (code)
		explicit_bzero(password, password_bytes);
	if (fd >= 0)
		close(fd);
	return code;
}
