/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of an agent that concern its process, not its ports. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <stddef.h>

/* Runs the command if it is one of these. */
void agent_process_command(const char *line, char *answer, size_t answer_bytes);
/* The role of a process that only lives. */
int agent_idle(int argc, char **argv);

#endif
