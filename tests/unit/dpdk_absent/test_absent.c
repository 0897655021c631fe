/* A build without DPDK says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/error.h"
#include "drivers/dpdk/dpdk.h"

static void says_that_it_is_not_built_in(void **state)
{
	char why[256] = "";
	struct driver *d = NULL;
	const struct dpdk_options options = {.device = "net_null0", .cpu = -1};
	assert_int_equal(dpdk_create(&options, &d, why, sizeof why), HW_ERR_UNSUPPORTED);
	assert_non_null(strstr(why, "libdpdk-dev"));
	assert_null(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(says_that_it_is_not_built_in)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
