/* Requests of the control socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/console/request.h"
#include "dataplane/base/error.h"

static struct request request;
static char why[512];

static int parse(const char *line)
{
	why[0] = '\0';
	return request_parse(line, strlen(line), &request, why, sizeof why);
}

static void each_request_is_understood(void **state)
{
	assert_int_equal(parse("{\"request\":\"stat\"}"), 0);
	assert_int_equal(request.type, REQUEST_STAT);
	assert_int_equal(parse("{\"file\":\"/tmp/a b\",\"snaplen\":96,\"request\":\"capture-start\"}"), 0);
	assert_int_equal(request.type, REQUEST_CAPTURE_START);
	assert_string_equal(request.file, "/tmp/a b");
	assert_int_equal(request.snap_bytes, 96);
	assert_int_equal(parse("{\"request\":\"capture-start\",\"file\":\"/x\"}"), 0);
	assert_int_equal(request.snap_bytes, 0);
	assert_int_equal(parse("{\"request\":\"capture-stop\"}"), 0);
	assert_int_equal(request.type, REQUEST_CAPTURE_STOP);
	assert_int_equal(parse("{\"request\":\"trace\"}"), 0);
	assert_int_equal(request.type, REQUEST_TRACE);
	assert_int_equal(request.connection, 0);
	assert_int_equal(parse("{\"connection\":7,\"request\":\"trace\"}"), 0);
	assert_int_equal(request.type, REQUEST_TRACE);
	assert_int_equal(request.connection, 7);
}

static void what_is_wrong_is_refused_with_a_sentence(void **state)
{
	static const struct {
		const char *line, *says;
	} wrong[] = {
		{"", "one line"},
		{"stat", "not JSON"},
		{"{\"request\":\"stat\"", "not JSON"},
		{"{\"request\":\"stat\"} x", "not JSON"},
		{"{\"request\":\"stat\"}{}", "not JSON"},
		{"{\"request\":\"stat\",}", "not JSON"},
		{"[[[[[[[[1]]]]]]]]", "not JSON"},
		{"[\"stat\"]", "one JSON object"},
		{"null", "not JSON"},
		{"{}", "no member 'request'"},
		{"{\"request\":1}", "unknown request"},
		{"{\"request\":\"reboot\"}", "unknown request"},
		{"{\"request\":\"stat\\u0000x\"}", "unknown request"},
		{"{\"request\":\"stat\",\"path\":\"/x\"}", "unknown member"},
		{"{\"request\":\"stat\",\"file\":\"/x\"}", "takes no other member"},
		{"{\"request\":\"stat\",\"connection\":1}", "only trace takes a 'connection'"},
		{"{\"request\":\"trace\",\"connection\":0}", "'connection' must be"},
		{"{\"request\":\"trace\",\"connection\":\"1\"}", "'connection' must be"},
		{"{\"request\":\"trace\",\"snaplen\":5}", "takes no other member"},
		{"{\"request\":\"trace\",\"connection\":1,\"file\":\"/x\"}", "takes no other member"},
		{"{\"request\":\"capture-start\"}", "needs a 'file'"},
		{"{\"request\":\"capture-start\",\"file\":\"x\"}", "absolute path"},
		{"{\"request\":\"capture-start\",\"file\":\"\"}", "absolute path"},
		{"{\"request\":\"capture-start\",\"file\":\"/x\\u0000y\"}", "absolute path"},
		{"{\"request\":\"capture-start\",\"file\":7}", "absolute path"},
		{"{\"request\":\"capture-start\",\"file\":\"/x\",\"snaplen\":-1}", "'snaplen'"},
		{"{\"request\":\"capture-start\",\"file\":\"/x\",\"snaplen\":262145}", "'snaplen'"},
		{"{\"request\":\"capture-start\",\"file\":\"/x\",\"snaplen\":\"96\"}", "'snaplen'"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		if (parse(wrong[i].line) != HW_ERR_INVALID || !strstr(why, wrong[i].says))
			fail_msg("%s: '%s' does not say '%s'", wrong[i].line, why, wrong[i].says);
	}
}

/* json-c takes a 0 octet for the end. */
static void what_follows_a_zero_octet_is_not_overlooked(void **state)
{
	static const char line[] = "{\"request\":\"stat\"}\0 and more";
	assert_int_equal(request_parse(line, sizeof line - 1, &request, why, sizeof why), HW_ERR_INVALID);
}

static void the_longest_path_fits_and_a_longer_one_does_not(void **state)
{
	char line[REQUEST_LINE_MAX], path[PATH_MAX + 1];
	memset(path, 'x', sizeof path);
	path[0] = '/';
	path[PATH_MAX - 1] = '\0';
	snprintf(line, sizeof line, "{\"request\":\"capture-start\",\"file\":\"%s\"}", path);
	assert_int_equal(parse(line), 0);
	assert_string_equal(request.file, path);
	path[PATH_MAX - 1] = 'x';
	path[PATH_MAX] = '\0';
	snprintf(line, sizeof line, "{\"request\":\"capture-start\",\"file\":\"%s\"}", path);
	assert_int_equal(parse(line), HW_ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_is_understood),
		cmocka_unit_test(what_is_wrong_is_refused_with_a_sentence),
		cmocka_unit_test(what_follows_a_zero_octet_is_not_overlooked),
		cmocka_unit_test(the_longest_path_fits_and_a_longer_one_does_not),
	};
	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
