/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler needs to be told: hints, visibility, attributes. */
#ifndef LSI_COMPILER_H
#define LSI_COMPILER_H

#define LSI_LIKELY(x) __builtin_expect(!!(x), 1)
#define LSI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define LSI_API __attribute__((visibility("default")))
#define LSI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define LSI_MUST_USE __attribute__((warn_unused_result))
#define LSI_COLD __attribute__((cold, noinline))

#define LSI_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define LSI_PREFETCH_READ(p) __builtin_prefetch((p), 0, 3)
#define LSI_PREFETCH_WRITE(p) __builtin_prefetch((p), 1, 3)

#endif
