#define _GNU_SOURCE /* fopencookie */
#include "drivers/dpdk/eal_log.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rte_log.h>

#include "dataplane/base/error.h"

/* One log per process, as DPDK has it. */
static struct {
	pthread_mutex_t lock;
	bool print;
	FILE *before; /* where DPDK's log went */
	char first_error[192];
} eal_log = {.lock = PTHREAD_MUTEX_INITIALIZER};

static ssize_t take(void *cookie, const char *text, size_t len)
{
	pthread_mutex_lock(&eal_log.lock);
	if (eal_log.print)
		fwrite(text, 1, len, stderr);
	if (!eal_log.first_error[0] && rte_log_cur_msg_loglevel() <= (int)RTE_LOG_ERR) {
		const char *end = memchr(text, '\n', len);
		size_t line_len = end ? (size_t)(end - text) : len;
		snprintf(eal_log.first_error, sizeof eal_log.first_error, "%.*s", (int)line_len, text);
	}
	pthread_mutex_unlock(&eal_log.lock);
	return (ssize_t)len;
}

int eal_log_open(bool print)
{
	eal_log.print = print;
	eal_log.before = rte_log_get_stream();
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = take});
	if (!stream || rte_openlog_stream(stream) != 0)
		return HW_ERR_NOMEM;
	return 0;
}

void eal_log_give_back(void)
{
	rte_openlog_stream(eal_log.before);
}

void eal_log_mark(void)
{
	pthread_mutex_lock(&eal_log.lock);
	eal_log.first_error[0] = '\0';
	pthread_mutex_unlock(&eal_log.lock);
}

void eal_log_first_error(char *text, size_t bytes)
{
	pthread_mutex_lock(&eal_log.lock);
	snprintf(text, bytes, "%s", eal_log.first_error);
	pthread_mutex_unlock(&eal_log.lock);
}
