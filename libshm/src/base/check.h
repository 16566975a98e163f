/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbered invariants of design.md, section 4, checked in debug builds. They speak of our own
 * logic only: what another process writes is validated, never asserted on.
 */
#ifndef LSI_CHECK_H
#define LSI_CHECK_H

#ifdef NDEBUG
#define LSI_INVARIANT(number, condition) ((void)0)
#else
#define LSI_INVARIANT(number, condition)                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            __builtin_trap();                                                                      \
    } while (0)
#endif

#endif
