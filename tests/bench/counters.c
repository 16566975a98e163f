/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Count allocations and system calls of this process between begin and end.
 *
 * Allocations: the allocator's functions are defined here, so that the library's calls come here
 * too. System calls: a seccomp filter turns each into a SIGSYS, which is counted; the call itself
 * is not made. The filter stays, so the process can do little more than _exit() afterwards.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "bench.h"

static uint64_t *allocation_counter, *call_counter;

static void count_call(int signal_number)
{
    (void)signal_number;
    if (call_counter) {
        __atomic_fetch_add(call_counter, 1, __ATOMIC_RELAXED);
    }
}

void bench_count_begin(uint64_t *allocations, uint64_t *system_calls)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    struct sigaction action = {.sa_handler = count_call};

    sigaction(SIGSYS, &action, NULL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        bench_die("cannot install a seccomp filter: %m");
    }
    call_counter = system_calls;
    allocation_counter = allocations;
}

void bench_count_end(void)
{
    allocation_counter = NULL;
    call_counter = NULL;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if !defined(SANITIZED) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#define HOOK __attribute__((visibility("default")))
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

static void count_allocation(void)
{
    if (allocation_counter) {
        __atomic_fetch_add(allocation_counter, 1, __ATOMIC_RELAXED);
    }
}

HOOK void *malloc(size_t bytes)
{
    count_allocation();
    return __libc_malloc(bytes);
}

HOOK void *calloc(size_t count, size_t bytes)
{
    count_allocation();
    return __libc_calloc(count, bytes);
}

HOOK void *realloc(void *memory, size_t bytes)
{
    count_allocation();
    return __libc_realloc(memory, bytes);
}

HOOK void *aligned_alloc(size_t alignment, size_t bytes)
{
    count_allocation();
    return __libc_memalign(alignment, bytes);
}

HOOK int posix_memalign(void **ret_memory, size_t alignment, size_t bytes)
{
    count_allocation();
    void *memory = __libc_memalign(alignment, bytes);
    if (memory == NULL) {
        return ENOMEM;
    }
    *ret_memory = memory;
    return 0;
}

#endif
