/* SPDX-License-Identifier: Apache-2.0 */
/* lshm, as an adaptor. The broker is the benchmark's. */
#include "peer.h"

const struct bench_system *const peer_system = &bench_lshm;

void peer_prepare(struct peer_control *control)
{
    (void)control;
}
