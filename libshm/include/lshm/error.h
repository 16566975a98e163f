/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error table. Calls return 0 or a count, −errno for an error of the system, or one of
 * these negated. Numbers are fixed for ever; every language's names are generated from this list.
 *
 * No call of this version returns EMISMATCH or EBROKER: their numbers are reserved.
 *
 * X(name, number, what it means)
 */
#ifndef LSHM_ERROR_H
#define LSHM_ERROR_H

#define LSHM_ERROR_TABLE(X)                                                                        \
    X(EAGAIN, 4097,                                                                                \
      "full: readers have not passed, or keep, what is in the way; wait, or release sooner")       \
    X(ENOSLOT, 4098,                                                                               \
      "every loan is out: publish or abort one, or open with larger loans_max or slot_count")      \
    X(ETOOBIG, 4099, "larger than what was opened for: raise payload_bytes, or send in pieces")    \
    X(EQUOTA, 4100, "a quota of this client or topic is used up")                                  \
    X(EHELD, 4101, "window and holds are full of samples: release some, or open with larger ones") \
    X(ESTALE, 4102, "the message was released, published or aborted already: use each once")       \
    X(EFOREIGN, 4103, "not a message of this port: give it back to the port it came from")         \
    X(ENAME, 4104, "not a topic name")                                                             \
    X(ENOTOPIC, 4105, "no such topic")                                                             \
    X(EVERSION, 4106, "the other end speaks another ABI version")                                  \
    X(ENOBROKER, 4107, "no broker listens there")                                                  \
    X(EGONE, 4108, "the broker is gone")                                                           \
    X(EDENIED, 4109, "the access rules do not allow it")                                           \
    X(ECORRUPT, 4110, "a peer wrote something that cannot be")                                     \
    X(EEVICTED, 4111, "this subscription lost its place: it stood still for too long")             \
    X(ECLOSED, 4112, "the port or its context is closed: open another")                            \
    X(EPEER, 4113, "a peer does not answer the broker")                                            \
    X(EPROTO, 4114, "the other end broke the control protocol")                                    \
    X(ELIMIT, 4115, "a fixed maximum is reached")                                                  \
    X(EMISMATCH, 4116, "the topic exists with other settings")                                     \
    X(EBUSY, 4117, "the port is in use by another thread: give each thread its own")               \
    X(EBROKER, 4118, "another broker is there already")

#define LSHM_ERROR_ENTRY(name, number, text) LSHM_##name = (number),
enum lshm_error_number { LSHM_ERROR_TABLE(LSHM_ERROR_ENTRY) LSHM_ERROR_END };
#undef LSHM_ERROR_ENTRY

#endif
