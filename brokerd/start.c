/* SPDX-License-Identifier: Apache-2.0 */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "ctl/error.h"
#include "log.h"
#include "notify.h"
#include "os/memory.h"
#include "os/path.h"
#include "os/process.h"
#include "os/socket.h"
#include "sweep.h"
#include "worker.h"

#define ARENA_BYTES (UINT64_C(64) << 30)
#define ARENA_BYTES_MIN (UINT64_C(256) << 20)
#define MEMORY_BYTES_MIN (UINT64_C(8) << 20) /* what a broker with a few clients touches */
#define MIB (UINT64_C(1) << 20)
#define SPACE_BYTES_SPARE (UINT64_C(32) << 20) /* for what a worker allocates as clients come */
#define SPACE_BYTES_OTHER (UINT64_C(64) << 20) /* that, programs and libraries, stacks */
#define FDS_MIN 64u                            /* its own, and those of a few clients */
#define NS_PER_S UINT64_C(1000000000)
#define DIRECTORY_MODE 0700
#define OTHERS_MODE 0077u

/* The socket's path with its directory resolved: a daemon has another working directory. */
static void choose_path(const struct options *options, char *path, char *directory)
{
    char chosen[LSI_SOCKET_PATH_BYTES], given[LSI_SOCKET_PATH_BYTES];
    char resolved[PATH_MAX];
    const char *base;

    if (lsi_path_choose(options->socket[0] ? options->socket : NULL, chosen, sizeof(chosen)) < 0 ||
        lsi_path_directory(chosen, given, sizeof(given)) < 0)
        log_die(EX_USAGE,
                "the socket's path is longer than %u bytes; choose a shorter one with --socket",
                LSI_SOCKET_PATH_BYTES - 1);
    if (mkdir(given, DIRECTORY_MODE) < 0 && errno != EEXIST)
        log_die(errno == EACCES ? EX_NOPERM : EX_CANTCREAT,
                "can't make the socket's directory %s: %s; make it, or choose a place of your own "
                "with --socket",
                given, lsi_error_text(errno));
    if (!realpath(given, resolved))
        log_die(EX_NOPERM, "can't use the socket's directory %s: %s; choose another with --socket",
                given, lsi_error_text(errno));
    base = strrchr(chosen, '/');
    base = base ? base + 1 : chosen;
    if (snprintf(path, LSI_SOCKET_PATH_BYTES, "%s/%s", resolved, base) >=
        (int)LSI_SOCKET_PATH_BYTES)
        log_die(EX_USAGE, "%s/%s is longer than %u bytes; choose a shorter path with --socket",
                resolved, base, LSI_SOCKET_PATH_BYTES - 1);
    (void)lsi_path_directory(path, directory, LSI_SOCKET_PATH_BYTES);
}

static void check_directory(const char *directory)
{
    struct stat status;

    if (lstat(directory, &status) < 0 || !S_ISDIR(status.st_mode))
        log_die(EX_NOPERM, "%s is not a directory; choose another with --socket", directory);
    if (status.st_uid != geteuid())
        log_die(EX_NOPERM,
                "the socket's directory %s belongs to uid %u, not to you (uid %u); choose a "
                "directory of your own with --socket",
                directory, (unsigned)status.st_uid, (unsigned)geteuid());
    if (status.st_mode & OTHERS_MODE)
        log_die(EX_NOPERM,
                "the socket's directory %s is open to others (mode %04o); chmod 700 it, or choose "
                "a directory of your own with --socket",
                directory, (unsigned)status.st_mode & 07777u);
}

static void die_of_other(const char *path, int lock_fd)
{
    char pid[16] = "";
    ssize_t count = lock_fd >= 0 ? pread(lock_fd, pid, sizeof(pid) - 1, 0) : 0;

    pid[count > 0 ? count : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    log_die(EX_UNAVAILABLE,
            "another broker%s%s%s already serves %s; use it, stop it, or choose another --socket",
            pid[0] ? " (pid " : "", pid, pid[0] ? ")" : "", path);
}

/* A broker's, also a killed one's, holds its number and nothing else. */
static void check_lock_file(const char *path, int fd)
{
    char text[16];
    ssize_t i, count = pread(fd, text, sizeof(text), 0);

    for (i = 0; i < count && ((text[i] >= '0' && text[i] <= '9') || text[i] == '\n'); i++)
        continue;
    if (i != count || count == (ssize_t)sizeof(text))
        log_die(EX_CANTCREAT,
                "%s is there, and is not a broker's lock file; move it away, or choose another "
                "--socket",
                path);
}

/* 1: locked, and the file is still the one at that path. */
static int try_lock(const char *path, const char *socket_path, int *ret_fd)
{
    struct stat locked, found;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        log_die(EX_CANTCREAT, "can't make the lock file %s: %s; choose another --socket", path,
                lsi_error_text(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            die_of_other(socket_path, fd);
        log_die(EX_OSERR, "can't lock %s: %s; choose a place on a local file system with --socket",
                path, lsi_error_text(errno));
    }
    check_lock_file(path, fd);
    if (fstat(fd, &locked) == 0 && stat(path, &found) == 0 && locked.st_ino == found.st_ino &&
        locked.st_dev == found.st_dev) {
        *ret_fd = fd;
        return 1;
    }
    close(fd); /* its last owner removed it between open and lock */
    return 0;
}

/* Connecting to any other file is refused as by a socket at which nobody listens. */
static void check_stale(const char *path)
{
    struct stat status;

    if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
        log_die(EX_CANTCREAT,
                "%s is there, and is not a socket; move it away, or choose another --socket", path);
}

static int open_socket(const char *path)
{
    int fd, status = lsi_socket_connect(path, &fd);

    if (status == 0)
        die_of_other(path, -1);
    check_stale(path);
    if (status == -ECONNREFUSED && unlink(path) < 0)
        log_die(EX_NOPERM, "can't remove the stale socket %s: %s; remove it", path,
                lsi_error_text(errno));
    status = lsi_socket_listen(path, &fd);
    if (status < 0)
        log_die(EX_CANTCREAT, "can't listen at %s: %s; remove what is there, or choose another "
                "--socket", path, lsi_error_text(-status));
    return fd;
}

/* Removed again when a later step fails: log_die() ends by exit(). */
static char made[2][LSI_SOCKET_PATH_BYTES + 8];

static void remove_made(void)
{
    for (size_t i = 0; i < 2; i++) {
        if (made[i][0] != '\0')
            unlink(made[i]);
    }
}

static void note_made(size_t index, const char *path)
{
    snprintf(made[index], sizeof(made[index]), "%s", path);
}

static void check_memory(void)
{
    uint64_t available;

    if (lsi_memory_available(&available) == 0 && available < MEMORY_BYTES_MIN)
        log_die(EX_OSERR,
                "not enough memory for a broker: %llu MiB needed, %llu MiB are available; end "
                "other programs",
                (unsigned long long)(MEMORY_BYTES_MIN / MIB),
                (unsigned long long)(available / MIB));
}

static void die_without_space(void)
{
    const uint64_t needed =
        sizeof(struct registry) + ARENA_BYTES_MIN + worker_private_bytes() + SPACE_BYTES_OTHER;

    log_die(EX_OSERR,
            "not enough address space for a broker: %llu MiB needed; raise its limit (ulimit -v "
            "%llu)",
            (unsigned long long)((needed + MIB - 1) / MIB),
            (unsigned long long)((needed + MIB - 1) / MIB * (MIB / 1024)));
}

static struct registry *make_registry(void)
{
    void *base;

    if (lsi_memory_reserve(sizeof(struct registry), 1, &base) < 0)
        die_without_space();
    return base;
}

/* As large as there is address space for, when a worker has taken what it needs. */
static void *make_arena(struct registry *registry)
{
    const uint64_t left = worker_private_bytes() + SPACE_BYTES_SPARE;
    uint64_t bytes = ARENA_BYTES;
    void *base, *spare;

    if (lsi_memory_reserve(left, 0, &spare) < 0)
        die_without_space();
    while (lsi_memory_reserve(bytes, 0, &base) < 0) {
        bytes /= 2;
        if (bytes < ARENA_BYTES_MIN)
            die_without_space();
    }
    lsi_memory_unmap(spare, left);
    registry->arena_bytes = bytes;
    return base;
}

static void raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < FDS_MIN)
        log_die(EX_OSERR,
                "not enough descriptors for a broker: %u needed, %llu allowed; raise the limit of "
                "open files (ulimit -n)",
                FDS_MIN, (unsigned long long)limit.rlim_max);
}

/* Before there is a file that a signal could leave behind; what comes meanwhile stays pending. */
static void block_signals(sigset_t *ret_signals)
{
    signal(SIGPIPE, SIG_IGN); /* workers inherit it */
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN); /* they mean nothing here, and by default they kill */
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, ret_signals, NULL);
}

static void die_of_system(const char *what, int error)
{
    log_die(EX_OSERR, "can't %s: %s; %s", what, lsi_error_text(error), log_advice(error));
}

/*
 * Leaves the foreground when it is known that the broker stands: the process that was started waits
 * for that, and ends with the broker's own exit code when it fails. Returns in the child, with the
 * descriptor on which it says so.
 */
static int fork_daemon(void)
{
    int ends[2], status;
    char said;
    pid_t pid = -1;

    if (pipe2(ends, O_CLOEXEC) == 0)
        pid = fork();
    if (pid < 0)
        die_of_system("leave the foreground", errno);
    if (pid == 0) {
        close(ends[0]);
        setsid();
        return ends[1];
    }
    close(ends[1]);
    if (read(ends[0], &said, 1) == 1)
        _exit(EX_OK);
    _exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : EX_OSERR);
}

static void detach(int tell_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        close(null);
    }
    (void)!chdir("/");
    log_leave_foreground();
    (void)!write(tell_fd, "", 1); /* and stays open: workers know its number as the keeper's */
}

/* What only the process that stays may make. */
static int finish(struct keeper *keeper, const sigset_t *signals)
{
    struct registry *registry = keeper->registry;
    int pair[2], status;

    registry->keeper_pid = (uint64_t)getpid();
    if (ftruncate(registry->lock_fd, 0) == 0)
        dprintf(registry->lock_fd, "%d\n", (int)getpid());
    keeper->signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (keeper->signal_fd < 0)
        return -errno;
    status = lsi_process_open(getpid(), &registry->keeper_fd);
    if (status < 0)
        return status;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    keeper->request_fd = pair[0];
    registry->request_fd = pair[1];
    return sweep_note_keeper(registry);
}

void start_keeper(const struct options *options, struct keeper *ret_keeper)
{
    char path[LSI_SOCKET_PATH_BYTES], directory[LSI_SOCKET_PATH_BYTES];
    char lock_path[LSI_SOCKET_PATH_BYTES + 8];
    struct timespec now;
    struct registry *registry;
    sigset_t signals;
    int lock_fd, status;

    closefrom(STDERR_FILENO + 1); /* whatever else it was started with is not its own */
    raise_fd_limit();
    choose_path(options, path, directory);
    check_directory(directory);
    block_signals(&signals);
    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    while (!try_lock(lock_path, path, &lock_fd))
        continue;
    note_made(0, lock_path);
    atexit(remove_made);
    check_memory();
    registry = make_registry();
    snprintf(registry->socket_path, sizeof(registry->socket_path), "%s", path);
    snprintf(registry->lock_path, sizeof(registry->lock_path), "%s", lock_path);
    registry->lock_fd = lock_fd;
    registry->listen_fd = open_socket(path);
    note_made(1, path);
    clock_gettime(CLOCK_REALTIME, &now);
    registry->start_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
    registry->clients_max = options->clients_max;
    registry->client_bytes_max = options->client_bytes_max;
    registry->topic_bytes_max = options->topic_bytes_max;
    registry->retain_bytes_max = options->retain_bytes_max;
    log_open();
    ret_keeper->registry = registry;
    ret_keeper->drain_ns = options->drain_ns;
    ret_keeper->arena = make_arena(registry);
    ret_keeper->tell_fd = options->is_foreground ? -1 : fork_daemon();
    status = finish(ret_keeper, &signals);
    if (status < 0)
        die_of_system("start", -status);
    made[0][0] = made[1][0] = '\0'; /* from here on the keeper and the worker see to them */
}

void start_done(const struct keeper *keeper)
{
    if (keeper->tell_fd >= 0)
        detach(keeper->tell_fd);
    log_info("version %s serves %s", LSHM_VERSION, keeper->registry->socket_path);
    notify_ready();
}
