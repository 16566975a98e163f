/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define LIBBSD_NETBSD_VIS /* the argument order that BSDs have now */
#include <bsd/vis.h>

#define LOG_LINE_BYTES 1024

static int system_fd = -1;
static int is_foreground = 1;

void log_open(void)
{
    system_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void log_leave_foreground(void)
{
    is_foreground = 0;
}

static void send_to_system(const char *line)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    char packet[LOG_LINE_BYTES + 64];
    int length = snprintf(packet, sizeof(packet), "<%d>brokerd[%d]: %s", LOG_DAEMON | LOG_NOTICE,
                          (int)getpid(), line);

    if (length > 0 && system_fd >= 0)
        (void)sendto(system_fd, packet, strnlen(packet, sizeof(packet)),
                     MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&address,
                     sizeof(address));
}

void log_info(const char *format, ...)
{
    char line[LOG_LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (is_foreground)
        dprintf(STDERR_FILENO, "brokerd: %s\n", line);
    else
        send_to_system(line);
}

void log_die(int exit_code, const char *format, ...)
{
    char line[LOG_LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "brokerd: %s\n", line);
    exit(exit_code);
}

const char *log_advice(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files (ulimit -n)";
    case ENOMEM:
    case ENOSPC:
        return "end other programs, or raise the limits of memory (ulimit -v, the control group)";
    default:
        return "brokerd needs Linux 5.3 or later, /proc, and processes (ulimit -u)";
    }
}

const char *log_name(const char *name, char *text, size_t text_bytes)
{
    if (strnvis(text, text_bytes, name, VIS_CSTYLE | VIS_WHITE) < 0)
        text[0] = '\0';
    return text;
}
