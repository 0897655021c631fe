#include "tests/lib/amqp_phrases.h"

#include <stdio.h>
#include <sys/utsname.h>

#include "dataplane/harewire.h"

void script_expect_method(struct script *s, uint16_t channel, uint16_t class_id, uint16_t method_id,
			  struct octets *arguments)
{
	octets_method(script_add(s, SCRIPT_EXPECT), channel, class_id, method_id, arguments);
}

void script_send_method(struct script *s, uint16_t channel, uint16_t class_id, uint16_t method_id,
			struct octets *arguments)
{
	octets_method(script_add(s, SCRIPT_SEND), channel, class_id, method_id, arguments);
}

void script_send_zeros(struct script *s, uint16_t channel, uint16_t class_id, uint16_t method_id, unsigned zeros)
{
	struct octets arguments = {0};
	for (unsigned i = 0; i < zeros; i++)
		octets_int(&arguments, 0, 1);
	script_send_method(s, channel, class_id, method_id, &arguments);
}

void script_expect_protocol_header(struct script *s)
{
	octets_raw(script_add(s, SCRIPT_EXPECT), "AMQP\0\0\x09\x01", 8);
}

void script_send_start(struct script *s, uint8_t minor, const char *mechanisms)
{
	struct octets arguments = {0}, properties = {0};
	octets_int(&arguments, 0, 1);
	octets_int(&arguments, minor, 1);
	octets_entry_string(&properties, "product", "a script");
	octets_table(&arguments, &properties);
	octets_long_string(&arguments, mechanisms);
	octets_long_string(&arguments, "en_US");
	script_send_method(s, 0, 10, 10, &arguments);
}

void script_expect_start_ok(struct script *s, bool consumes)
{
	struct octets arguments = {0}, properties = {0}, capabilities = {0};
	struct utsname host;
	char platform[256];
	uname(&host);
	snprintf(platform, sizeof platform, "%s %s", host.sysname, host.machine);
	octets_entry_string(&properties, "product", "Harewire");
	octets_entry_string(&properties, "version", HAREWIRE_VERSION);
	octets_entry_string(&properties, "platform", platform);
	octets_entry_string(&properties, "connection_name", "tester");
	octets_entry_bool(&capabilities, "publisher_confirms", true);
	octets_entry_bool(&capabilities, "basic.nack", true);
	octets_entry_bool(&capabilities, "connection.blocked", true);
	octets_entry_bool(&capabilities, "authentication_failure_close", true);
	if (consumes)
		octets_entry_bool(&capabilities, "consumer_cancel_notify", true);
	octets_entry_table(&properties, "capabilities", &capabilities);
	octets_table(&arguments, &properties);
	octets_short_string(&arguments, "PLAIN");
	octets_int(&arguments, 8, 4);
	octets_raw(&arguments, "\0me\0hush", 8);
	octets_short_string(&arguments, "en_US");
	script_expect_method(s, 0, 10, 11, &arguments);
}

static struct octets tuning(uint16_t channel_max, uint32_t frame_max, uint16_t heartbeat_s)
{
	struct octets arguments = {0};
	octets_int(&arguments, channel_max, 2);
	octets_int(&arguments, frame_max, 4);
	octets_int(&arguments, heartbeat_s, 2);
	return arguments;
}

void script_send_tune(struct script *s, uint16_t channel_max, uint32_t frame_max, uint16_t heartbeat_s)
{
	struct octets arguments = tuning(channel_max, frame_max, heartbeat_s);
	script_send_method(s, 0, 10, 30, &arguments);
}

void script_expect_tune_ok_and_open(struct script *s, uint16_t channel_max, uint32_t frame_max, uint16_t heartbeat_s)
{
	struct octets arguments = tuning(channel_max, frame_max, heartbeat_s);
	script_expect_method(s, 0, 10, 31, &arguments);
	octets_short_string(&arguments, "v");
	octets_int(&arguments, 0, 2); /* two reserved fields */
	script_expect_method(s, 0, 10, 40, &arguments);
}

void script_send_open_ok(struct script *s)
{
	script_send_zeros(s, 0, 10, 41, 1);
}

void script_expect_channel_open(struct script *s)
{
	struct octets arguments = {0};
	octets_int(&arguments, 0, 1);
	script_expect_method(s, 1, 20, 10, &arguments);
	script_send_zeros(s, 1, 20, 11, 4);
}

void script_expect_goodbye(struct script *s)
{
	struct octets arguments = {0};
	octets_int(&arguments, 200, 2);
	octets_short_string(&arguments, "bye");
	octets_int(&arguments, 0, 4);
	script_expect_method(s, 0, 10, 50, &arguments);
	script_send_method(s, 0, 10, 51, NULL);
}
