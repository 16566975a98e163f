/* SPDX-License-Identifier: Apache-2.0 */
/* What the examples share: ending with a reason, and the clock that messages are stamped with. */
#ifndef LSHM_EXAMPLE_H
#define LSHM_EXAMPLE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <lshm/lshm.h>

/* The result of a call; a negative one ends the program. `error` may be NULL. */
static inline int must(int result, const char *what, const struct lshm_error *error)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s: %s\n", what, lshm_error_name(result),
                error != NULL && error->text[0] != '\0' ? error->text : lshm_strerror(result));
        exit(EXIT_FAILURE);
    }
    return result;
}

static inline uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A positive number from the command line. */
static inline uint32_t number_argument(const char *text)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);

    if (*end != '\0' || number == 0 || number > UINT32_MAX) {
        fprintf(stderr, "%s is not a number from 1 to %u\n", text, UINT32_MAX);
        exit(EXIT_FAILURE);
    }
    return (uint32_t)number;
}

#endif
