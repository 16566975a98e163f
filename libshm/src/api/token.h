/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token of a message that was taken: port (16) | link (16) | sample (16) | generation (16).
 *
 * The full message number and publisher are checked too, so a token is good for exactly one
 * release, although the generation comes round after 65,536 uses of its place.
 */
#ifndef LSI_TOKEN_H
#define LSI_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

/* What is the same in all tokens of a link. */
static inline uint64_t lsi_token_of_link(uint32_t port, uint32_t link)
{
    return (uint64_t)port << 48 | (uint64_t)link << 32;
}

static inline uint64_t lsi_token(uint64_t of_link, uint32_t sample, uint32_t generation)
{
    return of_link | (uint64_t)sample << 16 | (generation & 0xffffu);
}

static inline bool lsi_token_is_of_link(uint64_t token, uint64_t of_link)
{
    return (token ^ of_link) >> 32 == 0;
}

static inline uint32_t lsi_token_port(uint64_t token)
{
    return (uint32_t)(token >> 48);
}

static inline uint32_t lsi_token_link(uint64_t token)
{
    return (uint32_t)(token >> 32) & 0xffffu;
}

static inline uint32_t lsi_token_sample(uint64_t token)
{
    return (uint32_t)(token >> 16) & 0xffffu;
}

static inline uint32_t lsi_token_generation(uint64_t token)
{
    return (uint32_t)token & 0xffffu;
}

#endif
