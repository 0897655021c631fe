/* --so_flags=name=value,...: what a script may choose of struct tcp_config and of the stack around it. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/packetdrill/stack.h"

#define MS     1000000ull
#define SECOND (1000 * MS)

enum flag_kind { FLAG_MS, FLAG_SECONDS, FLAG_BOOL, FLAG_U8, FLAG_U16, FLAG_U32, FLAG_ISN };

struct flag {
	const char *name;
	size_t at; /* in struct stack */
	enum flag_kind kind;
	uint64_t most;
};

#define CONFIG(member) offsetof(struct stack, config.member)

static const struct flag flags_known[] = {
	{"mtu", CONFIG(mtu), FLAG_U16, 65535},
	{"receive_bytes", CONFIG(receive_bytes), FLAG_U32, 1u << 20},
	{"ttl", CONFIG(ttl), FLAG_U8, 255},
	{"rto_min_ms", CONFIG(rto_min_ns), FLAG_MS, 3600000},
	{"rto_max_ms", CONFIG(rto_max_ns), FLAG_MS, 3600000},
	{"connect_timeout_ms", CONFIG(connect_timeout_ns), FLAG_MS, 3600000},
	{"user_timeout_ms", CONFIG(user_timeout_ns), FLAG_MS, 3600000},
	{"time_wait_ms", CONFIG(time_wait_ns), FLAG_MS, 3600000},
	{"delayed_ack_ms", CONFIG(delayed_ack_ns), FLAG_MS, 3600000},
	{"control", CONFIG(control), FLAG_U32, TCP_NO_CONTROL},
	{"cwnd_max_bytes", CONFIG(cwnd_max_bytes), FLAG_U32, 1u << 30},
	{"ecn", CONFIG(ecn), FLAG_BOOL, 1},
	{"restart_after_idle", CONFIG(restart_after_idle), FLAG_BOOL, 1},
	{"keepalive_idle_ms", CONFIG(keepalive_idle_ns), FLAG_MS, 36000000},
	{"keepalive_interval_ms", CONFIG(keepalive_interval_ns), FLAG_MS, 3600000},
	{"keepalive_probes", CONFIG(keepalive_probes), FLAG_U32, 100},
	{"patience_s", offsetof(struct stack, patience_ns), FLAG_SECONDS, 1000000},
	{"isn", offsetof(struct stack, isn), FLAG_ISN, UINT32_MAX},
};

static void store(struct stack *s, const struct flag *flag, uint64_t value)
{
	void *at = (uint8_t *)s + flag->at;
	switch (flag->kind) {
	case FLAG_MS:
		*(uint64_t *)at = value * MS;
		break;
	case FLAG_SECONDS:
		*(uint64_t *)at = value * SECOND;
		break;
	case FLAG_BOOL:
		*(bool *)at = value;
		break;
	case FLAG_U8:
		*(uint8_t *)at = (uint8_t)value;
		break;
	case FLAG_U16:
		*(uint16_t *)at = (uint16_t)value;
		break;
	case FLAG_ISN:
		s->isn_given = true;
		*(uint32_t *)at = (uint32_t)value;
		break;
	case FLAG_U32:
		*(uint32_t *)at = (uint32_t)value;
		break;
	}
}

/* One "name=value" of `len` octets. */
static bool set_one(struct stack *s, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len);
	if (!equals)
		return false;
	size_t name_len = (size_t)(equals - text);
	char *end;
	errno = 0;
	unsigned long long value = strtoull(equals + 1, &end, 10);
	if (errno || end == equals + 1 || end != text + len)
		return false;
	for (size_t i = 0; i < sizeof flags_known / sizeof flags_known[0]; i++) {
		const struct flag *flag = &flags_known[i];
		if (strlen(flag->name) == name_len && memcmp(flag->name, text, name_len) == 0 && value <= flag->most) {
			store(s, flag, value);
			return true;
		}
	}
	return false;
}

bool stack_set_flags(struct stack *s, const char *flags, char wrong[64])
{
	while (flags && *flags) {
		size_t len = strcspn(flags, ",");
		if (!set_one(s, flags, len)) {
			snprintf(wrong, 64, "%.*s", (int)(len < 63 ? len : 63), flags);
			return false;
		}
		flags += len + (flags[len] == ',');
	}
	return true;
}
