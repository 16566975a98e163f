/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line for each event: to stderr in the foreground, else to the system's log.
 *
 * Not syslog(3): it may open its descriptor anew, and keeper and worker share one table of them.
 */
#ifndef BROKERD_LOG_H
#define BROKERD_LOG_H

#include <stddef.h>

#include "base/compiler.h"

void log_open(void);
/* From now on to the system's log. */
void log_leave_foreground(void);
void log_info(const char *format, ...) LSI_PRINTF(1, 2);
/* Prints "brokerd: what, why, how to fix it" on stderr and exits. */
void log_die(int exit_code, const char *format, ...) LSI_PRINTF(2, 3) __attribute__((noreturn));
/* What to do about an error of the system that keeps a broker from starting. */
const char *log_advice(int error);
/* Makes a name from outside printable. */
const char *log_name(const char *name, char *text, size_t text_bytes);

#endif
