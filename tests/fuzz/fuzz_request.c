/*
 * libFuzzer: requests of the control socket. The line is a block of its own, so that the address sanitizer sees any
 * step beyond it. What is accepted keeps what request.h promises, and what is refused says why.
 */
#include <string.h>

#include "control/console/request.h"
#include "dataplane/base/error.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct request request;
	char why[512] = "";
	char *line = malloc(size ? size : 1);
	if (!line)
		return 0;
	if (size)
		memcpy(line, data, size);
	int err = request_parse(line, size, &request, why, sizeof why);
	if (err) {
		REQUIRE(err == HW_ERR_INVALID && why[0]);
	} else {
		REQUIRE(memchr(request.file, '\0', sizeof request.file));
		REQUIRE((request.type == REQUEST_CAPTURE_START) == (request.file[0] == '/'));
		REQUIRE(request.snap_bytes <= REQUEST_SNAP_MAX);
		REQUIRE(request.connection == 0 || request.type == REQUEST_TRACE);
	}
	free(line);
	return 0;
}
