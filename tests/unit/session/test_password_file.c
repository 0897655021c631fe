#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/session/password_file.h"
#include "dataplane/base/error.h"

#define PASSWORD_BYTES 16

static char directory[] = "/tmp/harewire-test-XXXXXX";
static char path[64], password[PASSWORD_BYTES], why[256];

static int set_up(void **state)
{
	unsetenv("CREDENTIALS_DIRECTORY");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof path, "%s/secret", directory);
	return 0;
}

static int tear_down(void **state)
{
	unlink(path);
	return rmdir(directory);
}

static int read_text(const char *text, size_t len, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
	memset(password, 'x', sizeof password);
	why[0] = '\0';
	return password_file_read(path, password, sizeof password, why, sizeof why);
}

#define READ(text, mode) read_text(text, sizeof(text) - 1, mode)

static void assert_refused(int code, const char *part)
{
	static const char zeros[PASSWORD_BYTES];

	assert_true(code < 0);
	if (!strstr(why, part) || !strstr(why, directory))
		fail_msg("'%s' does not say '%s' of %s", why, part, directory);
	assert_memory_equal(password, zeros, sizeof zeros);
}

static void the_password_is_the_first_line_without_its_end(void **state)
{
	assert_int_equal(READ("hush", 0600), 0);
	assert_string_equal(password, "hush");
	assert_int_equal(READ("hush\n", 0400), 0);
	assert_string_equal(password, "hush");
	assert_int_equal(READ("hush \r\nmore\n", 0600), 0);
	assert_string_equal(password, "hush ");
	assert_int_equal(READ("123456789012345\nmore", 0600), 0);
	assert_string_equal(password, "123456789012345");
}

static void what_holds_no_password_is_refused_by_name(void **state)
{
	assert_refused(READ("", 0600), "is empty");
	assert_refused(READ("\nhush\n", 0600), "is empty");
	assert_refused(READ("hu\0sh\n", 0600), "a NUL octet");
	assert_refused(READ("1234567890123456\n", 0600), "too long");
	unlink(path);
	assert_refused(password_file_read(path, password, sizeof password, why, sizeof why), "No such file");
	assert_refused(password_file_read(directory, password, sizeof password, why, sizeof why), "no regular file");
}

/* Nobody writes to it: an open that waits for that would never return. */
static void a_fifo_is_refused_and_not_waited_for(void **state)
{
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(password_file_read(path, password, sizeof password, why, sizeof why), "no regular file");
	unlink(path);
}

static void a_file_that_others_have_access_to_is_refused_with_its_mode(void **state)
{
	assert_refused(READ("hush\n", 0640), "has mode 0640");
	assert_refused(READ("hush\n", 0604), "has mode 0604");
	assert_refused(READ("hush\n", 0620), "has mode 0620");
	assert_null(strstr(why, "hush"));
}

/* What systemd's ACL for the service's user looks like in the mode. */
static void a_credential_may_be_readable_to_its_group(void **state)
{
	setenv("CREDENTIALS_DIRECTORY", directory, 1);
	assert_int_equal(READ("hush\n", 0440), 0);
	assert_refused(READ("hush\n", 0460), "has mode 0460");
	assert_refused(READ("hush\n", 0444), "has mode 0444");
	setenv("CREDENTIALS_DIRECTORY", "/tmp", 1); /* not directly in it */
	assert_refused(READ("hush\n", 0440), "has mode 0440");
	setenv("CREDENTIALS_DIRECTORY", "", 1);
	assert_refused(READ("hush\n", 0440), "has mode 0440");
	unsetenv("CREDENTIALS_DIRECTORY");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_password_is_the_first_line_without_its_end),
		cmocka_unit_test(what_holds_no_password_is_refused_by_name),
		cmocka_unit_test(a_fifo_is_refused_and_not_waited_for),
		cmocka_unit_test(a_file_that_others_have_access_to_is_refused_with_its_mode),
		cmocka_unit_test(a_credential_may_be_readable_to_its_group),
	};
	return cmocka_run_group_tests_name("password_file", tests, set_up, tear_down);
}
