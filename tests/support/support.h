/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LST_SUPPORT_H
#define LST_SUPPORT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>
#endif
