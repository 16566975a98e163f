/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the control socket is: an option, LSHM_SOCKET, $XDG_RUNTIME_DIR/lshm/broker.sock,
 * /run/lshm/broker.sock, lshm-UID/broker.sock in the temporary directory.
 *
 * A client takes the first of the last three that exists in a directory of root's or its own; a
 * broker the first whose directory it may have. The directory is 0700 and its owner's word is
 * checked by both ends: a socket in somebody else's directory is never used.
 */
#ifndef LSI_OS_PATH_H
#define LSI_OS_PATH_H

#include <stddef.h>
#include <sys/types.h>

/* For clients: 0 or −ENAMETOOLONG. When nothing exists: where a broker would be. */
int lsi_path_find(const char *option, char *path, size_t path_bytes);
/* For brokers. */
int lsi_path_choose(const char *option, char *path, size_t path_bytes);
/* The directory of `path`, "." when it names none. */
int lsi_path_directory(const char *path, char *directory, size_t directory_bytes);

#endif
