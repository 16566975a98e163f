/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the test support share. */
#ifndef LST_INTERNAL_H
#define LST_INTERNAL_H

#include "support.h"

#define LST_LINE_FD 3 /* a child's end of its line */

/* Children started and not yet waited for. */
extern int lst_child_count;

/* Keep the text and return code. */
__attribute__((format(printf, 2, 3))) int lst_complain(int code, const char *format, ...);

/* qemu-user knows neither option that is used here: it does without. 0 or -1. */
int lst_prctl(int option, unsigned long value);

int64_t lst_now_ms(void);
void lst_pause(void);

/* Fork and execute path; a child with_line gets LST_LINE_FD. */
int lst_spawn(struct lst_child *child, const char *path, char *const argv[], bool with_line);
int lst_child_signal(struct lst_child *child, int signal);
bool lst_child_has_ended(const struct lst_child *child);

#endif
