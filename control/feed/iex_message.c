#include "control/feed/iex_message.h"

#include <string.h>

#include "control/feed/iextp.h"

bool iex_feed_kind(uint16_t protocol, enum feed_kind *kind)
{
	switch (protocol) {
	case IEXTP_DEEP_1_0:
		*kind = FEED_DEEP;
		return true;
	case IEXTP_TOPS_1_5:
	case IEXTP_TOPS_1_6:
		*kind = FEED_TOPS;
		return true;
	default:
		return false;
	}
}

void iex_message_read(const uint8_t *bytes, uint32_t len, struct feed_message *message)
{
	message->bytes = bytes;
	message->len = len;
	message->type = len ? (char)bytes[0] : 0;
	message->symbol_len = 0;
	memset(message->symbol, 0, sizeof message->symbol);
	if (len < IEX_SYMBOL_AT + FEED_SYMBOL_MAX || message->type == IEX_TYPE_SYSTEM_EVENT)
		return;

	const uint8_t *symbol = bytes + IEX_SYMBOL_AT;
	uint8_t symbol_len = FEED_SYMBOL_MAX;
	while (symbol_len && (symbol[symbol_len - 1] == ' ' || symbol[symbol_len - 1] == 0))
		symbol_len--;
	memcpy(message->symbol, symbol, symbol_len);
	message->symbol_len = symbol_len;
}
