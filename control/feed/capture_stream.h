/*
 * The octets of a capture file, decompressed when it is gzip's, as a FILE that libpcap can read.
 *
 * libpcap drops a record that the end of the file cuts short; the messages in its first part are good nevertheless. The
 * stream therefore remembers the last octets it gave out. It is unbuffered, so that its offset after a record is the
 * record's end.
 */
#ifndef HAREWIRE_FEED_CAPTURE_STREAM_H
#define HAREWIRE_FEED_CAPTURE_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <zlib.h>

#define CAPTURE_TAIL_BYTES (1u << 19) /* more than the longest record libpcap accepts */

struct capture_stream {
	gzFile gz;
	FILE *file;
	uint64_t offset;                  /* octets given out */
	bool cut_short;                   /* the compressed file itself ends too early */
	bool damaged;                     /* not gzip any more, or a read error */
	uint8_t tail[CAPTURE_TAIL_BYTES]; /* ring: octet i of the stream lies at i % CAPTURE_TAIL_BYTES */
};

/* Opens `path`, or standard input for "-". 0 or HW_ERR_SYSTEM (errno). */
int capture_stream_open(struct capture_stream *s, const char *path);

/* Closes what libpcap has not taken over (pcap_close closes `file`). */
void capture_stream_close(struct capture_stream *s);

/* Copies up to `len` octets from stream offset `from` on, which must be within the tail. Returns how many there are. */
uint32_t capture_stream_tail(const struct capture_stream *s, uint64_t from, uint8_t *dst, uint32_t len);

#endif
