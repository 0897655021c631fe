/*
 * What DEEP 1.0 and TOPS 1.5/1.6 messages have in common: type (1 octet), flags or status (1), timestamp (8), symbol
 * (8, padded with spaces). The system event ('S') has no symbol. Pure.
 */
#ifndef HAREWIRE_FEED_IEX_MESSAGE_H
#define HAREWIRE_FEED_IEX_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/feed/feed.h"

#define IEX_TYPE_SYSTEM_EVENT 'S'
#define IEX_TIMESTAMP_AT      2u
#define IEX_SYMBOL_AT         10u

/* Which feed an IEX-TP protocol id is; false: none of those above. */
bool iex_feed_kind(uint16_t protocol, enum feed_kind *kind);

/* Sets type and symbol, bytes and len of `message`. Any octets will do, also none. */
void iex_message_read(const uint8_t *bytes, uint32_t len, struct feed_message *message);

#endif
