/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the supervisor that started us, by the protocol of sd_notify(3). */
#ifndef BROKERD_NOTIFY_H
#define BROKERD_NOTIFY_H

/* Sends "READY=1" to NOTIFY_SOCKET, if there is one. What cannot be told is not. */
void notify_ready(void);

#endif
