/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching to a broker: say hello, map the public region, the board and the own control region,
 * hand the latter back to be sealed. And what every port needs of its context.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/forward.h"
#include "api/internal.h"
#include "os/barrier.h"
#include "api/session.h"
#include "os/memory.h"
#include "os/path.h"
#include "os/seal.h"
#include "os/socket.h"

uint64_t lsi_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t lsi_now_coarse_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void *lsi_part_at(const struct lsi_part *parts, struct lshm_ref ref, uint64_t bytes)
{
    uint64_t offset = (uint64_t)ref.line * LSHM_LINE_BYTES;
    const struct lsi_part *part;

    if (ref.part >= LSI_PARTS_MAX)
        return NULL;
    part = &parts[ref.part];
    if (part->base == NULL || offset > part->bytes || bytes > part->bytes - offset)
        return NULL;
    return (unsigned char *)part->base + offset;
}

LSI_API int lshm_socket_path(const char *option, char *path, size_t path_bytes)
{
    return lsi_path_find(option, path, path_bytes);
}

int lsi_options_copy(void *copy, size_t bytes, const void *options)
{
    uint64_t given;

    memset(copy, 0, bytes);
    if (options == NULL)
        return 0;
    memcpy(&given, options, sizeof given);
    if (given < sizeof given)
        return -EINVAL;
    for (size_t i = bytes; i < given; i++)
        if (((const unsigned char *)options)[i] != 0)
            return -EINVAL;
    memcpy(copy, options, given < bytes ? (size_t)given : bytes);
    return 0;
}

int lsi_context_map_control(struct lshm_context *context, int fd, uint64_t region, uint32_t part,
                            uint64_t bytes)
{
    struct lshm_region_header *header;
    void *base;
    int r = lsi_seal_check_writer(fd, bytes);

    if (r == 0)
        r = lsi_memory_fill(fd, bytes);
    if (r == 0)
        r = lsi_memory_map(fd, bytes, LSI_MAP_WRITE | lsi_context_map_flags(context), &base);
    if (r < 0)
        return r;
    header = base;
    *header = (struct lshm_region_header){
        .magic = LSHM_REGION_MAGIC,
        .abi_major = LSHM_ABI_MAJOR,
        .abi_minor = LSHM_ABI_MINOR,
        .kind = LSHM_REGION_CONTROL,
        .part = part,
        .bytes = bytes,
        .region = region,
        .client = context->client,
    };
    context->control_parts[part] = (struct lsi_part){ .base = base, .bytes = bytes };
    return 0;
}

static int map_hello(struct lshm_context *context, const struct lsi_ctl_packet *reply,
                     struct lshm_error *reterr_error)
{
    const struct lsi_ctl_hello_reply *hello = &reply->hello_reply;
    unsigned flags = lsi_context_map_flags(context);
    void *base;
    int r;

    if (hello->public_bytes < sizeof(struct lshm_public) ||
        hello->board_bytes < sizeof(struct lshm_board) ||
        hello->control_bytes < sizeof(struct lshm_control) || reply->fd_count != 3)
        return -LSHM_EPROTO;
    context->client = hello->client;
    if ((r = lsi_seal_check_reader(reply->fds[0], hello->public_bytes)) < 0 ||
        (r = lsi_memory_map(reply->fds[0], hello->public_bytes, flags, &base)) < 0)
        return r;
    context->public_region = base;
    context->public_bytes = hello->public_bytes;
    if ((r = lsi_session_check_abi(context->public_region->header.abi_major,
                                   context->public_region->header.abi_minor, reterr_error)) < 0)
        return r;
    if ((r = lsi_seal_check_reader(reply->fds[1], hello->board_bytes)) < 0 ||
        (r = lsi_memory_map(reply->fds[1], hello->board_bytes, flags, &base)) < 0)
        return r;
    context->board[0] = (struct lsi_part){ .base = base, .bytes = hello->board_bytes };
    context->board0 = base;
    r = lsi_context_map_control(context, reply->fds[2], hello->control_region, 0,
                                hello->control_bytes);
    context->control0 = context->control_parts[0].base;
    return r;
}

static int attach(struct lshm_context *context, const char *name, struct lshm_error *reterr_error)
{
    struct lsi_ctl_hello hello = {
        .header = { .type = LSI_CTL_HELLO },
        .abi_major = LSHM_ABI_MAJOR,
        .abi_minor = LSHM_ABI_MINOR,
    };
    struct lsi_ctl_mapped mapped = { .header = { .type = LSI_CTL_MAPPED }, .count = 1 };
    struct lsi_ctl_packet reply;
    int r;

    if (lsi_barrier_register() == 0)
        hello.flags = LSI_CTL_HELLO_BARRIER;
    lsi_ctl_set_text(hello.name, sizeof hello.name, name);
    r = lsi_control_request(context, &hello.header, sizeof hello, &reply, reterr_error);
    if (r == 0)
        r = lsi_session_check_abi(reply.hello_reply.abi_major, reply.hello_reply.abi_minor,
                                  reterr_error);
    if (r == 0) {
        r = map_hello(context, &reply, reterr_error);
        if (r < 0 && r != -LSHM_EVERSION)
            lsi_error_set(reterr_error, r, "cannot map the broker's memory: %s; see lshm doctor",
                          lshm_strerror(r));
        mapped.header.id = hello.header.id;
        mapped.header.status = r;
        mapped.regions[0] = reply.hello_reply.control_region;
    }
    lsi_ctl_close_fds(&reply, 0);
    if (r < 0)
        return r;
    r = lsi_control_send(context, &mapped.header, sizeof mapped);
    if (r == 0)
        r = lsi_control_await(context, &mapped.header, sizeof mapped, &reply, reterr_error);
    lsi_ctl_close_fds(&reply, 0);
    return r;
}

/* One page that a forked child finds wiped: the cheapest way to ask whether we still are who we
 * were. */
static int make_alive(struct lshm_context *context)
{
    size_t bytes = (size_t)lsi_memory_page_bytes();
    uint8_t *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return -errno;
    if (madvise(page, bytes, MADV_WIPEONFORK) != 0) {
        munmap(page, bytes);
        return -errno;
    }
    *page = 1;
    context->alive = page;
    return 0;
}

static int context_init(struct lshm_context *context, const struct lshm_context_options *options)
{
    context->magic = LSI_CONTEXT_MAGIC;
    context->flags = options->flags;
    context->socket = -1;
    context->epoll = context->event = context->timer = -1;
    context->timeout_ns = options->timeout_ns > 0 ? options->timeout_ns : LSI_DEFAULT_TIMEOUT_NS;
    pthread_mutex_init(&context->control, NULL);
    pthread_mutex_init(&context->peers_lock, NULL);
    LIST_INIT(&context->publishers);
    LIST_INIT(&context->subscribers);
    LIST_INIT(&context->waiters);
    LIST_INIT(&context->leaving);
    for (uint32_t i = 0; i < LSI_PEER_BUCKETS; i++)
        LIST_INIT(&context->peers[i]);
    return make_alive(context);
}

static void context_free(struct lshm_context *context)
{
    while (!LIST_EMPTY(&context->leaving)) {
        struct lsi_leaving *leaving = LIST_FIRST(&context->leaving);

        LIST_REMOVE(leaving, entry);
        free(leaving);
    }
    lsi_wait_close(context);
    lsi_peers_clear(context);
    for (uint32_t i = 0; i < LSI_PARTS_MAX; i++) {
        if (context->board[i].base != NULL)
            lsi_memory_unmap(context->board[i].base, context->board[i].bytes);
        if (context->control_parts[i].base != NULL)
            lsi_memory_unmap(context->control_parts[i].base, context->control_parts[i].bytes);
    }
    if (context->public_region != NULL)
        lsi_memory_unmap((void *)(uintptr_t)context->public_region, context->public_bytes);
    if (context->alive != NULL)
        munmap((void *)(uintptr_t)context->alive, (size_t)lsi_memory_page_bytes());
    if (context->socket >= 0)
        close(context->socket);
    pthread_mutex_destroy(&context->control);
    pthread_mutex_destroy(&context->peers_lock);
    context->magic = 0;
    free(context);
}

LSI_API int lshm_context_open(const struct lshm_context_options *options,
                              struct lshm_error *reterr_error, struct lshm_context **ret_context)
{
    char path[LSI_SOCKET_PATH_BYTES];
    struct lshm_context_options given;
    struct lshm_context *context;
    int r = lsi_options_copy(&given, sizeof given, options);

    if (r < 0 || given.flags & ~LSHM_CONTEXT_DUMP || given.reserved != 0) {
        lsi_error_set(reterr_error, EINVAL, "the context's options have unknown or unset fields: "
                      "set size to sizeof, and zero the rest");
        return -EINVAL;
    }
    context = calloc(1, sizeof *context);
    if (context == NULL)
        return -ENOMEM;
    r = context_init(context, &given);
    if (r == 0)
        r = lsi_session_connect(given.socket, path, reterr_error, &context->socket);
    if (r == 0) {
        pthread_mutex_lock(&context->control);
        r = attach(context, given.name != NULL ? given.name : program_invocation_short_name,
                   reterr_error);
        pthread_mutex_unlock(&context->control);
    }
    if (r == 0 && (r = lsi_wait_open(context)) < 0)
        lsi_error_set(reterr_error, r, "cannot make descriptors to wait on: %s; see ulimit -n",
                      lshm_strerror(r));
    if (r < 0) {
        context_free(context);
        return r;
    }
    *ret_context = context;
    return 0;
}

LSI_API void lshm_context_close(struct lshm_context *context)
{
    struct lsi_ctl_header bye = { .type = LSI_CTL_BYE };

    if (context == NULL || context->magic != LSI_CONTEXT_MAGIC || lsi_context_forked(context))
        return;
    while (!LIST_EMPTY(&context->publishers)) {
        lsi_publisher_return_loans(LIST_FIRST(&context->publishers));
        lsi_publisher_end(LIST_FIRST(&context->publishers));
    }
    while (!LIST_EMPTY(&context->subscribers))
        lsi_subscriber_end(LIST_FIRST(&context->subscribers));
    pthread_mutex_lock(&context->control);
    lsi_control_send(context, &bye, sizeof bye);
    pthread_mutex_unlock(&context->control);
    context_free(context);
}

LSI_API uint64_t lshm_context_get_client(const struct lshm_context *context)
{
    return context != NULL && context->magic == LSI_CONTEXT_MAGIC ? context->client : 0;
}

LSI_API int lshm_context_is_draining(const struct lshm_context *context)
{
    if (context == NULL || context->magic != LSI_CONTEXT_MAGIC)
        return -LSHM_ECLOSED;
    if (lsi_context_forked(context))
        return -ECHILD;
    /* RLX: a flag that stands alone. */
    return lsi_load_relaxed(&context->public_region->draining) != 0;
}

LSI_API int lshm_context_clear_topic(struct lshm_context *context, const char *topic,
                                     struct lshm_error *reterr_error)
{
    struct lsi_ctl_topic_clear request = { .header = { .type = LSI_CTL_TOPIC_CLEAR } };
    struct lsi_ctl_packet reply;
    int r;

    if (context == NULL || context->magic != LSI_CONTEXT_MAGIC)
        return -LSHM_ECLOSED;
    if (lsi_context_forked(context))
        return -ECHILD;
    r = lsi_name_check(topic, reterr_error);
    if (r < 0)
        return r;
    lsi_ctl_set_text(request.topic, sizeof request.topic, topic);
    pthread_mutex_lock(&context->control);
    r = lsi_control_request(context, &request.header, sizeof request, &reply, reterr_error);
    pthread_mutex_unlock(&context->control);
    lsi_ctl_close_fds(&reply, 0);
    return r < 0 ? r : (int)reply.topic_clear_reply.publishers;
}
