/* What every test of this room includes. cmocka wants the standard headers first. */
#ifndef HAREWIRE_TESTS_AMQP_CMOCKA_H
#define HAREWIRE_TESTS_AMQP_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/prng.h"

#endif
