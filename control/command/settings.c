#define _GNU_SOURCE /* reallocarray */

#include "control/command/settings.h"

#include <stdlib.h>
#include <string.h>

#include "control/feed/pattern.h"
#include "dataplane/base/error.h"

#define NS_PER_S 1000000000ull

void settings_init(struct settings *s, enum subcommand command)
{
	*s = (struct settings){
		.command = command,
		.heartbeat_s = 10,
		.frame_max = 131072,
		.connect_timeout_ns = 10 * NS_PER_S,
		.reconnect_min_ns = SETTING_UNSET,
		.reconnect_max_ns = SETTING_UNSET,
		.confirm_timeout_ns = 30 * NS_PER_S,
		.nic_queue = SETTING_UNSET,
		.cpu = SETTING_UNSET,
		.publishers = SETTING_UNSET,
		.size = SETTING_UNSET,
		.count = SETTING_UNSET,
		.priority = SETTING_UNSET,
		.confirm = SETTING_UNSET,
		.log_bytes = 16u << 20,
		.max_messages = 65536,
		.duration_ns = SETTING_UNSET,
		.timeout_ns = 30 * NS_PER_S,
		.idle_timeout_ns = SETTING_UNSET,
		.pattern = PATTERN_DEFAULT,
		.symbols = SETTING_UNSET,
		.seed = SETTING_UNSET,
		.prefetch = 1000,
		.interval_ns = NS_PER_S,
	};
}

void settings_fini(struct settings *s)
{
	free(s->hosts.items);
	free(s->declare_exchanges.items);
	free(s->declare_queues.items);
	free(s->bindings.items);
	free(s->queue_arguments.items);
	free(s->properties.items);
	free(s->headers.items);
	free(s->workers);
	free(s->operands.items);
	declarations_fini(&s->topology);
}

int text_list_add(struct text_list *list, const char *text)
{
	const char **items = reallocarray(list->items, list->count + 1, sizeof *items);

	if (!items)
		return HW_ERR_NOMEM;
	items[list->count++] = text;
	list->items = items;
	return 0;
}
