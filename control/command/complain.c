#include <stdarg.h>
#include <stdio.h>

#include "control/command/command.h"

void complain(const char *format, ...)
{
	va_list arguments;

	fputs("harewire: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}
