#include "drivers/dpdk/telemetry.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <rte_telemetry.h>

#include "dataplane/base/error.h"

/* DPDK's commands are the process's, and cannot be taken back: those of no source have nothing to say. */
static struct {
	pthread_mutex_t lock;
	struct telemetry_source source;
	bool open, registered;
} telemetry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void answer_list(enum telemetry_list list, struct rte_tel_data *data)
{
	uint64_t ids[TELEMETRY_IDS_MAX];
	const struct telemetry_source *s = &telemetry.source;
	uint32_t n = telemetry.open ? s->list(s->context, list, ids, TELEMETRY_IDS_MAX) : 0;
	rte_tel_data_start_array(data, RTE_TEL_U64_VAL);
	for (uint32_t i = 0; i < n; i++)
		rte_tel_data_add_array_u64(data, ids[i]);
}

static int answer_one(enum telemetry_list list, const char *parameter, struct rte_tel_data *data)
{
	struct telemetry_figure figures[TELEMETRY_FIGURES_MAX];
	const struct telemetry_source *s = &telemetry.source;
	char *end;
	uint64_t id = strtoull(parameter, &end, 10);
	if (*end)
		return -EINVAL;
	uint32_t n = telemetry.open ? s->describe(s->context, list, id, figures) : 0;
	rte_tel_data_start_dict(data);
	for (uint32_t i = 0; i < n; i++) {
		const struct telemetry_figure *f = &figures[i];
		if (f->is_text)
			rte_tel_data_add_dict_string(data, f->name, f->text);
		else
			rte_tel_data_add_dict_u64(data, f->name, f->number);
	}
	return n ? 0 : -ENOENT;
}

static int answer(enum telemetry_list list, const char *parameter, struct rte_tel_data *data)
{
	int rc = 0;
	pthread_mutex_lock(&telemetry.lock);
	if (parameter && *parameter)
		rc = answer_one(list, parameter, data);
	else
		answer_list(list, data);
	pthread_mutex_unlock(&telemetry.lock);
	return rc;
}

static int on_workers(const char *command, const char *parameter, struct rte_tel_data *data)
{
	return answer(TELEMETRY_WORKERS, parameter, data);
}

static int on_connections(const char *command, const char *parameter, struct rte_tel_data *data)
{
	return answer(TELEMETRY_CONNECTIONS, parameter, data);
}

static int on_publishers(const char *command, const char *parameter, struct rte_tel_data *data)
{
	return answer(TELEMETRY_PUBLISHERS, parameter, data);
}

static bool register_commands(void)
{
	return !rte_telemetry_register_cmd("/harewire/workers", on_workers,
					   "Workers of Harewire; with an index: its driver, queue and packets") &&
	       !rte_telemetry_register_cmd("/harewire/connections", on_connections,
					   "Connections to brokers; with an id: its addresses and TCP's figures") &&
	       !rte_telemetry_register_cmd("/harewire/publishers", on_publishers,
					   "Publishers; with an id: its messages, log and latencies");
}

int dpdk_telemetry_open(const struct telemetry_source *source)
{
	int err = 0;
	pthread_mutex_lock(&telemetry.lock);
	if (telemetry.open)
		err = HW_ERR_BUSY;
	else if (!telemetry.registered && !register_commands())
		err = HW_ERR_SYSTEM;
	if (!err) {
		telemetry.registered = telemetry.open = true;
		telemetry.source = *source;
	}
	pthread_mutex_unlock(&telemetry.lock);
	return err;
}

void dpdk_telemetry_close(void)
{
	pthread_mutex_lock(&telemetry.lock);
	telemetry.open = false;
	pthread_mutex_unlock(&telemetry.lock);
}
