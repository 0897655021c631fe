#define _GNU_SOURCE
#include "control/console/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/error.h"

#define BACKLOG 8

/* Does anybody answer there? EACCES and the like are for bind to report. */
static bool is_answered(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answered = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
				    errno == EAGAIN || errno == EINPROGRESS);
	if (fd >= 0)
		close(fd);
	return answered;
}

/* Removes a socket that an engine has left there when it was killed. */
static int clear_place(const struct sockaddr_un *address, char *why, size_t why_bytes)
{
	struct stat st;
	if (lstat(address->sun_path, &st))
		return 0; /* nothing there; or bind says what is wrong */
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, why_bytes, "control socket: %s is there and is not a socket", address->sun_path);
		return HW_ERR_INVALID;
	}
	if (is_answered(address)) {
		snprintf(why, why_bytes, "control socket: another engine answers at %s", address->sun_path);
		return HW_ERR_BUSY;
	}
	unlink(address->sun_path);
	return 0;
}

static int bind_there(struct listener *l, char *why, size_t why_bytes)
{
	struct stat st;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The socket's own mode, before it has a name, is that of the file which bind makes. */
	if (l->fd >= 0 && !fchmod(l->fd, 0600) && !bind(l->fd, (struct sockaddr *)&l->address, sizeof l->address) &&
	    !lstat(l->address.sun_path, &st) && !listen(l->fd, BACKLOG)) {
		l->device = st.st_dev;
		l->inode = st.st_ino;
		return 0;
	}
	snprintf(why, why_bytes, "control socket: %s: %s", l->address.sun_path, strerror(errno));
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	return HW_ERR_SYSTEM;
}

int listener_open(struct listener *l, const char *path, char *why, size_t why_bytes)
{
	memset(l, 0, sizeof *l);
	l->fd = -1;
	l->address.sun_family = AF_UNIX;
	if (!*path || strlen(path) >= sizeof l->address.sun_path) {
		snprintf(why, why_bytes, "control socket: its path must have 1 to %zu octets",
			 sizeof l->address.sun_path - 1);
		return HW_ERR_INVALID;
	}
	strcpy(l->address.sun_path, path);
	int err = clear_place(&l->address, why, why_bytes);
	return err ? err : bind_there(l, why, why_bytes);
}

void listener_close(struct listener *l)
{
	struct stat st;
	if (l->fd < 0)
		return;
	if (!lstat(l->address.sun_path, &st) && st.st_dev == l->device && st.st_ino == l->inode)
		unlink(l->address.sun_path);
	close(l->fd);
	l->fd = -1;
}

/* The file's mode says the same; but a directory may be shared, and a mode can be changed. */
static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;
	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) && (peer.uid == 0 || peer.uid == geteuid());
}

int listener_accept(struct listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0 && !may_ask(fd)) {
		close(fd);
		fd = -1;
	}
	return fd;
}
