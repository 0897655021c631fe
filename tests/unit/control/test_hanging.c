/*
 * A whole engine that is taken down while the resolver, or a mount with a password file, hangs: both are played here. A
 * test that hangs is a failure, said by SIGALRM.
 */
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/session/password_file.h"
#include "dataplane/base/error.h"
#include "dataplane/harewire.h"
#include "tests/lib/played_broker.h"

static _Atomic bool hangs;
static _Atomic uint32_t begun, done;

static void hang(void)
{
	begun++;
	while (hangs)
		poll(NULL, 0, 1);
	done++;
}

/* ---- in the libraries' stead ---- */

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	hang();
	return EAI_AGAIN;
}

int password_file_read(const char *path, char *password, size_t password_bytes, char *why, size_t why_bytes)
{
	hang();
	snprintf(why, why_bytes, "cannot read it");
	return HW_ERR_SYSTEM;
}

/* ---- the tests ---- */

static struct harewire *start(void)
{
	struct harewire_options engine;
	struct harewire *hw;
	begun = done = 0;
	hangs = true;
	harewire_options_init(&engine);
	engine.driver = "kernel";
	engine.mode = HAREWIRE_INLINE;
	assert_int_equal(harewire_create(&engine, &hw, NULL, 0), 0);
	return hw;
}

static void open_and_destroy(const char *url, const char *password_file)
{
	struct harewire_publisher_options o;
	struct harewire_publisher *publisher;
	struct harewire *hw = start();
	harewire_publisher_options_init(&o);
	o.url = url;
	o.password_file = password_file;
	o.log_bytes = 1 << 16;
	o.max_messages = 256;
	assert_int_equal(harewire_publisher_open(hw, &o, &publisher, NULL, 0), 0);
	while (begun == 0)
		harewire_poll(hw);
	alarm(60);
	harewire_publisher_destroy(publisher);
	harewire_destroy(hw);
	alarm(0);
	assert_int_equal(done, 0);
	hangs = false;
	while (done == 0) /* by a thread that nobody waits for any more */
		poll(NULL, 0, 1);
}

static void an_engine_is_destroyed_while_a_name_is_looked_up(void **state)
{
	open_and_destroy("amqp://broker.example", NULL);
}

static void an_engine_is_destroyed_while_a_password_file_is_read(void **state)
{
	static struct played_broker broker;
	char url[64];
	played_broker_start(&broker);
	snprintf(url, sizeof url, "amqp://127.0.0.1:%u", broker.port);
	open_and_destroy(url, "/mount/password");
	played_broker_stop(&broker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_engine_is_destroyed_while_a_name_is_looked_up),
		cmocka_unit_test(an_engine_is_destroyed_while_a_password_file_is_read),
	};
	return cmocka_run_group_tests_name("hanging", tests, NULL, NULL);
}
