#include "control/command/body_output.h"

#include <string.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/error.h"

int body_output_open(struct body_output *o, const char *path, enum output_format format)
{
	o->format = format;
	o->file = NULL;
	if (!path)
		return 0;
	o->file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	return o->file ? 0 : HW_ERR_SYSTEM;
}

int body_output_write(struct body_output *o, const void *body, size_t len)
{
	uint8_t prefix[4];

	if (!o->file)
		return 0;
	if (o->format == FORMAT_LEN32) {
		put_be32(prefix, (uint32_t)len);
		fwrite(prefix, 1, sizeof prefix, o->file);
	}
	fwrite(body, 1, len, o->file);
	if (o->format == FORMAT_LINES)
		fputc('\n', o->file);
	return ferror(o->file) ? HW_ERR_SYSTEM : 0;
}

int body_output_close(struct body_output *o)
{
	FILE *file = o->file;

	o->file = NULL;
	if (!file)
		return 0;
	int failed = file == stdout ? fflush(file) : fclose(file);
	return failed ? HW_ERR_SYSTEM : 0;
}
