/* SPDX-License-Identifier: Apache-2.0 */
/* What an error number means, the system's or lshm's own: for texts of library and broker. */
#ifndef LSI_ERROR_H
#define LSI_ERROR_H

/* Of either sign, and any: it may come from another process. Never NULL. */
const char *lsi_error_text(int number);

#endif
