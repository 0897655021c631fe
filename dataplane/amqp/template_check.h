/* What a template refuses before anything is encoded. */
#ifndef HAREWIRE_AMQP_TEMPLATE_CHECK_H
#define HAREWIRE_AMQP_TEMPLATE_CHECK_H

#include "dataplane/amqp/template.h"

/* NULL when the options can be encoded, else a static sentence that says what is wrong with them. */
const char *amqp_options_refusal(const struct amqp_message_options *options);

#endif
