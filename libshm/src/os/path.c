/* SPDX-License-Identifier: Apache-2.0 */
#include "os/path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "os/socket.h"

enum place { PLACE_RUNTIME, PLACE_RUN, PLACE_TEMPORARY, PLACE_COUNT };

static int print(char *path, size_t path_bytes, const char *format, ...) LSI_PRINTF(3, 4);

static int print(char *path, size_t path_bytes, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(path, path_bytes, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= path_bytes || (size_t)length >= LSI_SOCKET_PATH_BYTES)
        return -ENAMETOOLONG;
    return 0;
}

/* −ENOENT: there is no such place for this process. */
static int print_place(enum place place, char *path, size_t path_bytes)
{
    const char *directory;

    switch (place) {
    case PLACE_RUNTIME:
        directory = secure_getenv("XDG_RUNTIME_DIR");
        if (!directory || directory[0] != '/')
            return -ENOENT;
        return print(path, path_bytes, "%s/lshm/broker.sock", directory);
    case PLACE_RUN:
        return print(path, path_bytes, "/run/lshm/broker.sock");
    default:
        directory = secure_getenv("TMPDIR");
        if (!directory || directory[0] != '/')
            directory = "/tmp";
        return print(path, path_bytes, "%s/lshm-%u/broker.sock", directory, (unsigned)geteuid());
    }
}

/* 0: not given, 1: printed. */
static int print_given(const char *option, char *path, size_t path_bytes)
{
    int status;

    if (!option || !option[0])
        option = secure_getenv("LSHM_SOCKET");
    if (!option || !option[0])
        return 0;
    status = print(path, path_bytes, "%s", option);
    return status < 0 ? status : 1;
}

int lsi_path_directory(const char *path, char *directory, size_t directory_bytes)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return print(directory, directory_bytes, ".");
    if (slash == path)
        return print(directory, directory_bytes, "/");
    return print(directory, directory_bytes, "%.*s", (int)(slash - path), path);
}

static int is_trusted_socket(const char *path)
{
    char directory[LSI_SOCKET_PATH_BYTES];
    struct stat status;

    if (stat(path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return 0;
    if (lsi_path_directory(path, directory, sizeof(directory)) < 0 || lstat(directory, &status) < 0)
        return 0;
    return S_ISDIR(status.st_mode) && (status.st_uid == 0 || status.st_uid == geteuid());
}

/* /run/lshm is for root, and for whoever was given it. */
static int may_have(enum place place)
{
    if (place != PLACE_RUN || geteuid() == 0)
        return 1;
    return access("/run/lshm", W_OK) == 0 || access("/run", W_OK) == 0;
}

int lsi_path_choose(const char *option, char *path, size_t path_bytes)
{
    int status = print_given(option, path, path_bytes);
    enum place place;

    if (status != 0)
        return status < 0 ? status : 0;
    for (place = PLACE_RUNTIME; place < PLACE_COUNT; place++) {
        if (!may_have(place))
            continue;
        status = print_place(place, path, path_bytes);
        if (status != -ENOENT)
            return status;
    }
    return -ENOENT;
}

int lsi_path_find(const char *option, char *path, size_t path_bytes)
{
    int status = print_given(option, path, path_bytes);
    enum place place;

    if (status != 0)
        return status < 0 ? status : 0;
    for (place = PLACE_RUNTIME; place < PLACE_COUNT; place++) {
        if (print_place(place, path, path_bytes) == 0 && is_trusted_socket(path))
            return 0;
    }
    return lsi_path_choose(NULL, path, path_bytes);
}
