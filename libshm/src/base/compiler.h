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
#define LSI_NOINLINE __attribute__((noinline))
#define LSI_HOT static inline __attribute__((always_inline))

#define LSI_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define LSI_PREFETCH_READ(p) __builtin_prefetch((p), 0, 3)
/*
 * On x86 the builtin gives prefetchw only with -mprfchw; without it one gets a shared copy of the
 * line and an upgrade later, which is slower than none (one way, 64 B: 73 ns a message against 20).
 * CPUs that do not know prefetchw ignore it.
 */
#if defined(__x86_64__)
#define LSI_PREFETCH_WRITE(p) __asm__ volatile("prefetchw %0" : : "m"(*(const char *)(p)))
#else
#define LSI_PREFETCH_WRITE(p) __builtin_prefetch((p), 1, 3)
#endif

#endif
