/* cmocka and what it needs before it. */
#ifndef HAREWIRE_TESTS_FEED_CMOCKA_H
#define HAREWIRE_TESTS_FEED_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
