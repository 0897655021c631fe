/* cmocka and what it needs before it; files for tests. */
#ifndef HAREWIRE_TESTS_COMMAND_CMOCKA_H
#define HAREWIRE_TESTS_COMMAND_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define assert_says(text, part)                                                                                        \
	do {                                                                                                           \
		if (!strstr(text, part))                                                                               \
			fail_msg("'%s' does not say '%s'", text, part);                                                \
	} while (0)

/* Writes `text` to a new file of that mode, whose name is put into `path`. */
static inline void write_file(char path[64], const char *text, mode_t mode)
{
	strcpy(path, "/tmp/harewire-test-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

#endif
