/*
 * What texts must look like, beyond being texts: checked as an option is read, so that a mistake is told with its flag,
 * or its file and line. Each: 0, HW_ERR_NOMEM, or HW_ERR_INVALID with what is wrong in `why`.
 */
#ifndef HAREWIRE_COMMAND_OPTION_CHECK_H
#define HAREWIRE_COMMAND_OPTION_CHECK_H

#include <stddef.h>

int check_field(const char *value, char *why, size_t why_bytes); /* NAME=VALUE */
int check_property(const char *value, char *why, size_t why_bytes);
int check_host(const char *value, char *why, size_t why_bytes);       /* NAME[:PORT] */
int check_credential(const char *value, char *why, size_t why_bytes); /* a file name */
int check_slots(const char *value, char *why, size_t why_bytes);
int check_milliseconds(const char *value, char *why, size_t why_bytes);
int check_pattern(const char *value, char *why, size_t why_bytes);
int check_exchange(const char *value, char *why, size_t why_bytes);
int check_queue(const char *value, char *why, size_t why_bytes);
int check_binding(const char *value, char *why, size_t why_bytes);

#endif
