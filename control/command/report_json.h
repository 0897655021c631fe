/* The same as JSON (json-c): one object, on one line. */
#ifndef HAREWIRE_COMMAND_REPORT_JSON_H
#define HAREWIRE_COMMAND_REPORT_JSON_H

#include "control/command/report.h"

/* A percentile is worth showing from so many samples on. */
#define REPORT_P999_SAMPLES  100000u
#define REPORT_P9999_SAMPLES 1000000u

void report_refused_json(const char *command, const char *why);
void report_publish_json(const struct publish_report *report);
void report_consume_json(const struct consume_report *report);

#endif
