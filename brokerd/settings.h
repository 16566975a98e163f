/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a broker can be told, on its command line and in a file: the same names, the same values.
 *
 * The file is read first, so that the command line wins; LSHM_SOCKET wins over the file's socket.
 * Everything that is wrong ends the process in one line, which for a file begins with FILE:LINE.
 */
#ifndef BROKERD_SETTINGS_H
#define BROKERD_SETTINGS_H

#include "start.h"

#define SETTINGS_FILE "/etc/lshm/brokerd.conf"

void settings_init(struct options *ret_options);
/* From the command line: a name that there is. */
void settings_set(struct options *options, const char *name, const char *value);
/* NULL: SETTINGS_FILE, if there is one. */
void settings_read(struct options *options, const char *path);
/* On stdout, as a file that says the same. */
void settings_print(const struct options *options);

#endif
