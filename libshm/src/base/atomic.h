/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one file that spells atomics. The order stands in the name; there is no default.
 *
 * Shared structures hold plain fixed-width integers (abi.h); these operations are applied to them.
 * Words are 1, 4 or 8 bytes and naturally aligned, so each access is one instruction on every
 * supported CPU, and a process killed between two of them leaves each word old or new.
 *
 * lsi_fence_full() is the only StoreLoad barrier. On x86 it is a locked no-op on the own stack
 * (2 ns here; mfence takes 16). ThreadSanitizer knows no fences: under it a full fence is a
 * sequentially consistent operation on a private word, which orders nothing between threads in
 * TSan's eyes and so hides no race.
 */
#ifndef LSI_ATOMIC_H
#define LSI_ATOMIC_H

#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define LSI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LSI_TSAN 1
#endif
#endif

#define lsi_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define lsi_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define lsi_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define lsi_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/*
 * Two neighbouring words at once, 16-byte aligned on the shared side: relaxed, each word for itself
 * (both halves of a 16-byte access are: Intel SDM vol. 3A, 9.1.1; Arm ARM, B2.2.1), in one
 * instruction. Word by word where a tool must see the single words.
 */
#if !defined(LSI_TSAN) && !defined(LSI_WORDS_ONLY)
typedef uint64_t lsi_pair __attribute__((vector_size(16), may_alias));
typedef uint64_t lsi_private_pair __attribute__((vector_size(16), aligned(8), may_alias));
static inline void lsi_store_pair_relaxed(uint64_t *to, const uint64_t *from)
{
    *(volatile lsi_pair *)to = *(const lsi_private_pair *)from;
}
static inline void lsi_load_pair_relaxed(uint64_t *to, const uint64_t *from)
{
    *(lsi_private_pair *)to = *(const volatile lsi_pair *)from;
}
#else
#define lsi_store_pair_relaxed(to, from)                                                           \
    (lsi_store_relaxed(&(to)[0], (from)[0]), lsi_store_relaxed(&(to)[1], (from)[1]))
#define lsi_load_pair_relaxed(to, from)                                                            \
    ((to)[0] = lsi_load_relaxed(&(from)[0]), (to)[1] = lsi_load_relaxed(&(from)[1]))
#endif

/* For process-private words only: no shared word is ever written by two processes. */
#define lsi_exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define lsi_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define lsi_cas_acquire(p, expected, desired)                                                      \
    __atomic_compare_exchange_n((p), (expected), (desired), 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define lsi_cas_release(p, expected, desired)                                                      \
    __atomic_compare_exchange_n((p), (expected), (desired), 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED)

#ifdef LSI_TSAN
static inline void lsi_fence_full(void)
{
    uint64_t word = 0;
    (void)__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
    __asm__ volatile("" : : "r"(&word) : "memory");
}
static inline void lsi_fence_acquire(void)
{
    __asm__ volatile("" : : : "memory");
}
static inline void lsi_fence_release(void)
{
    __asm__ volatile("" : : : "memory");
}
#else
static inline void lsi_fence_full(void)
{
#if defined(__x86_64__)
    __asm__ volatile("lock; orl $0, -4(%%rsp)" : : : "memory", "cc");
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}
static inline void lsi_fence_acquire(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}
static inline void lsi_fence_release(void)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}
#endif

/* Spin-wait hint. */
static inline void lsi_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
