/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents: processes that use the library as the test tells them.
 *
 * An agent is a child in the role "agent": it reads a command, does it, answers "ok NUMBER" or
 * "no ERROR TEXT", and reads the next one. So a test is a script in the parent, in which every step
 * happens after the one before. A command that takes long is started with agent_tell() and its
 * answer is heard with agent_hear(), with other agents' commands in between.
 *
 * Every message that agents send says what it is: user[0] is its number in its port, user[1] its
 * port's key and its length, and the payload follows from these. Who takes one checks all of it,
 * and that each publisher's messages come one after the other; gaps only where it may lose some.
 * When it closes a subscription, or ends, what that took, lost and has ahead must be what agents
 * have published since it joined (agent_ledger.h).
 *
 * Commands. P and S are the numbers that pub and sub answered; names with = have a default.
 *   attach PATH timeout_ms=                detach          reattach PATH COUNT
 *   pub TOPIC payload= memory= ring= slots= entry= wait_ms= loans= key= flags= history=
 *       retain= stall_ms= spin_ms=                                               close_pub P
 *   sub TOPIC window= holds= flags= limit= history= spin_ms=                       close_sub S
 *   send P COUNT min= max= batch=          COUNT messages; refused: "no ERROR COUNT-SENT: TEXT"
 *   take S COUNT ms= batch= shuffle= last=  checks and releases COUNT messages, or up to message
 *                                          `last`, counted from 0; answers how many
 *   pass P S COUNT ms=                    forwards COUNT messages of S by P, whole
 *   grab S COUNT ms=                       takes COUNT messages and keeps them
 *   drop S N                               releases the N messages grabbed first
 *   intact S                               checks the kept ones again; answers how many
 *   none S ms=                             nothing is there and nothing comes
 *   spoil P COUNT                          writes on COUNT loans, or on as many as there are,
 *                                          and keeps them; answers how many
 *   clear TOPIC                            drops what it retains; answers of how many
 *   trim P                                 gives back what it does not use; answers bytes
 *   pstat P FIELD    sstat S FIELD         a statistic
 *   gaps S                                 messages between those that a lossy one took
 *   ping P S COUNT   pong S P COUNT        one message to and one fro
 *   poll                                   from now on it waits by the context's descriptor
 *   slow                                   how many waits took more than half a second
 *   any N ms=                              waits for the first N readers; answers which, from 1
 *   sleep S ms=                            waits for nothing; answers the CPU time it took, in us
 *   cpu                                    CPU time of this process so far, in us
 *   blocked                                how many times it has gone to sleep so far
 *   limit fds|bytes N     uid N            setrlimit, setuid
 *   deny                                   membarrier(2) fails from now on
 *   churn TOPIC COUNT                      opens and closes a publisher and a subscriber
 *   fork       a child that does nothing; its pid       exec       this process does nothing more
 *   exit
 */
#ifndef AGENT_H
#define AGENT_H

#include <lshm/lshm.h>

#include "support.h"

#define AGENT_ANSWER_MS 30000

struct agent {
    struct lst_child process;
    char line[LST_LINE_MAX]; /* its last answer */
};

/* The roles a program of agents hands to lst_main(). */
extern const struct lst_role agent_roles[];
extern const size_t agent_role_count;

/* A broker per test, at *state, with the leak checks of lst_setup() and lst_teardown(). */
struct agent_rig {
    struct lst_fixture *fixture;
    struct lst_broker broker;
};
extern struct agent_rig agent_rig;
int agent_setup(void **state);
int agent_setup_in_tmp(void **state); /* with lst_setup_in_tmp() */
int agent_teardown(void **state);
/* The broker's worker, 0 while there is none; and another one in its place. */
pid_t agent_rig_worker(void);
void agent_rig_kill_worker(void);
#define AGENT_TEST(name) cmocka_unit_test_setup_teardown(name, agent_setup, agent_teardown)

/* How long the next ones live at most. */
extern unsigned agent_deadline_s;

/* A new process; attached to the rig's broker with agent_start(). */
void agent_start_only(struct agent *agent);
void agent_start(struct agent *agent);
void agent_tell(struct agent *agent, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Its answer, which must be "ok NUMBER": the number. */
long long agent_hear(struct agent *agent);
/* Tell and hear. */
long long agent_do(struct agent *agent, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Hear "no ERROR TEXT" with this error; the text is in agent->line. */
void agent_hear_no(struct agent *agent, const char *error);
/* Nothing is heard for this long. */
void agent_is_busy(struct agent *agent, int ms);
void agent_end(struct agent *agent);
void agent_kill(struct agent *agent);

#endif
