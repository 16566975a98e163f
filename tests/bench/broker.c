/* SPDX-License-Identifier: Apache-2.0 */
/* A broker for this run alone: its socket is in a new directory, LSHM_SOCKET names it. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "bench.h"

#define START_LIMIT_NS 10000000000u
#define STOP_LIMIT_NS 5000000000u
#define POLL_US 2000

static pid_t broker, owner;
static char directory[BENCH_PATH_MAX - 16];
static char socket_path[BENCH_PATH_MAX], log_path[BENCH_PATH_MAX];

static bool accepts(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    bool connected = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return connected;
}

static void show_log(void)
{
    char line[512];
    FILE *log = fopen(log_path, "r");
    while (log && fgets(line, sizeof(line), log)) {
        fputs(line, stderr);
    }
    if (log) {
        fclose(log);
    }
}

static void remove_directory(void)
{
    DIR *listing = opendir(directory);
    struct dirent *entry;
    while (listing && (entry = readdir(listing))) {
        unlinkat(dirfd(listing), entry->d_name, 0);
    }
    if (listing) {
        closedir(listing);
    }
    rmdir(directory);
}

void bench_broker_stop(void)
{
    if (broker <= 0 || getpid() != owner) {
        return;
    }
    uint64_t start_ns = bench_now_ns();
    kill(broker, SIGTERM);
    while (waitpid(broker, NULL, WNOHANG) == 0) {
        if (bench_now_ns() - start_ns > STOP_LIMIT_NS) {
            kill(broker, SIGKILL);
        }
        usleep(POLL_US);
    }
    broker = 0;
    remove_directory();
}

void bench_broker_start(const char *brokerd)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(directory, sizeof(directory), "%s/lshm-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(directory)) {
        bench_die("cannot make %s: %m", directory);
    }
    snprintf(socket_path, sizeof(socket_path), "%s/broker.sock", directory);
    snprintf(log_path, sizeof(log_path), "%s/log", directory);
    setenv("LSHM_SOCKET", socket_path, 1);
    owner = getpid();
    broker = bench_fork();
    if (broker == 0) {
        int null_fd = open("/dev/null", O_RDWR);
        int log_fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(null_fd, STDIN_FILENO);
        dup2(null_fd, STDOUT_FILENO);
        dup2(log_fd, STDERR_FILENO);
        execl(brokerd, "brokerd", "--foreground", "--socket", socket_path, (char *)NULL);
        fprintf(stderr, "cannot run %s: %s\n", brokerd, strerror(errno));
        _exit(127);
    }
    atexit(bench_broker_stop);
    uint64_t start_ns = bench_now_ns();
    while (!accepts()) {
        if (waitpid(broker, NULL, WNOHANG) == broker) {
            broker = 0;
            show_log();
            remove_directory();
            bench_die("%s ended at once", brokerd);
        }
        if (bench_now_ns() - start_ns > START_LIMIT_NS) {
            show_log();
            bench_die("%s does not accept connections", brokerd);
        }
        usleep(POLL_US);
    }
}

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC), parent = 0;
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0) {
        close(fd);
    }
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    const char *end_of_name = strrchr(text, ')');
    return end_of_name && sscanf(end_of_name + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

uint32_t bench_broker_processes(int32_t *pids, uint32_t most)
{
    uint32_t count = 0;
    DIR *listing = opendir("/proc");
    struct dirent *entry;
    while (listing && (entry = readdir(listing)) && count < most) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && (pid == broker || parent_of(pid) == broker)) {
            pids[count++] = pid;
        }
    }
    if (listing) {
        closedir(listing);
    }
    return count;
}

uint64_t bench_broker_cpu_ns(void)
{
    int32_t pids[BENCH_HELPERS_MAX];
    uint32_t count = bench_broker_processes(pids, BENCH_HELPERS_MAX);
    uint64_t sum_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum_ns += bench_cpu_of_ns(pids[i]);
    }
    return sum_ns;
}
