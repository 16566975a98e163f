/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "text.h"
#include "tool.h"

static void print(const struct tool *tool, const char *text)
{
    char safe[TEXT_SAFE_BYTES(1024)];

    text_safe(safe, sizeof safe, text);
    if (tool->command != NULL)
        fprintf(stderr, "lshm %s: %s\n", tool->command->name, safe);
    else
        fprintf(stderr, "lshm: %s\n", safe);
}

int tool_fail(const struct tool *tool, int code, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print(tool, text);
    return code;
}

int tool_exit_code(int result)
{
    switch (abs(result)) {
    case LSHM_ENOBROKER:
    case LSHM_EGONE:
    case LSHM_EVERSION:
    case LSHM_EBROKER:
        return EX_UNAVAILABLE;
    case LSHM_EDENIED:
    case EACCES:
    case EPERM:
        return EX_NOPERM;
    case LSHM_ENAME:
    case EINVAL:
    case ENAMETOOLONG:
        return EX_USAGE;
    case LSHM_ENOTOPIC:
    case LSHM_ETOOBIG:
    case LSHM_EMISMATCH:
        return EX_DATAERR;
    case LSHM_EAGAIN:
    case ETIMEDOUT:
    case EAGAIN:
        return EX_TEMPFAIL;
    case LSHM_EPROTO:
    case LSHM_ECORRUPT:
    case LSHM_ESTALE:
    case LSHM_EFOREIGN:
        return EX_SOFTWARE;
    case EPIPE:
    case EIO:
    case ENOSPC:
        return EX_IOERR;
    default:
        return EX_OSERR;
    }
}

int tool_fail_result(const struct tool *tool, int result, const struct lshm_error *error,
                     const char *what)
{
    if (error != NULL && error->text[0] != '\0')
        return tool_fail(tool, tool_exit_code(result), "%s", error->text);
    return tool_fail(tool, tool_exit_code(result), "%s: %s (%s)", what, lshm_strerror(result),
                     lshm_error_name(result));
}

/* Whoever read it has seen enough. */
static bool is_closed_pipe(int fd)
{
    struct pollfd poll_fd = { .fd = fd };

    return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & (POLLERR | POLLHUP);
}

int tool_finish(const struct tool *tool)
{
    if (ferror(stdout) && stop_wanted()) /* the order to stop interrupted a write that waited */
        return EX_OK;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || is_closed_pipe(STDOUT_FILENO))
        return EX_OK;
    return tool_fail(tool, EX_IOERR, "cannot write to standard output: it is full or closed");
}
