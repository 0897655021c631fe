/* A kernel TCP connection to a broker, for what does not take the fast path. */
#ifndef HAREWIRE_SESSION_CONNECT_H
#define HAREWIRE_SESSION_CONNECT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Connects to the first of the host's IPv4 addresses that answers; timeout_ns is for all of them, name resolution
 * (which has limits of its own) aside. Returns a descriptor, non-blocking, Nagle off; or HW_ERR_* with a sentence in
 * `text`.
 */
int connect_tcp(const char *host, uint16_t port, uint64_t timeout_ns, char *text, size_t text_bytes);

#endif
