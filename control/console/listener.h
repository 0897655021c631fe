/* The place where a control socket lies: a local socket of mode 0600 that only its owner and root may use. */
#ifndef HAREWIRE_LISTENER_H
#define HAREWIRE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct listener {
	int fd;
	struct sockaddr_un address;
	dev_t device; /* what we have made there, so that nobody else's is removed */
	ino_t inode;
};

/* Replaces a socket that nobody answers. 0, or HW_ERR_* and a sentence in `why`: HW_ERR_BUSY if somebody answers. */
int listener_open(struct listener *l, const char *path, char *why, size_t why_bytes);
void listener_close(struct listener *l);

/* A client, non-blocking, or -1: there is none, or it may not. */
int listener_accept(struct listener *l);

#endif
