/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "text.h"

#define FINDING_BYTES 512

const char usage_doctor[] =
    "usage: lshm doctor [--json] [--socket PATH]\n"
    "\n"
    "Check what lshm needs: versions, memory and its limits, what the kernel offers, and whether\n"
    "the broker can be reached. Each finding is ok, warn or fail, with its fix. Exit code: 0 when\n"
    "nothing failed, 69 when only the broker cannot be used, else 71.\n"
    "\n"
    "  lshm doctor\n"
    "  lshm doctor --json | jq '.findings[] | select(.level != \"ok\")'\n";

static const char *const level_names[] = { "ok", "warn", "fail" };

static void print_json(struct doctor *doctor, enum level level, const char *name, const char *text,
                       const char *fix)
{
    json_object(&doctor->json, NULL);
    json_string(&doctor->json, "name", name);
    json_string(&doctor->json, "level", level_names[level]);
    json_string(&doctor->json, "text", text);
    if (fix != NULL)
        json_string(&doctor->json, "fix", fix);
    else
        json_null(&doctor->json, "fix");
    json_end(&doctor->json);
}

void doctor_find(struct doctor *doctor, enum level level, const char *name, const char *fix,
                 const char *format, ...)
{
    static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };
    char text[FINDING_BYTES], safe[TEXT_SAFE_BYTES(FINDING_BYTES)];
    bool colour = doctor->tool->colour;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    doctor->count[level]++;
    if (doctor->tool->json) {
        print_json(doctor, level, name, text, fix);
        return;
    }
    printf("%s%-4s%s  %-16s  %s\n", colour ? colours[level] : "", level_names[level],
           colour ? "\033[0m" : "", name, text_safe(safe, sizeof safe, text));
    if (fix != NULL)
        printf("      %-16s  fix: %s\n", "", fix);
}

int doctor_read(const char *path, char *text, size_t text_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, text, text_bytes - 1);
    close(fd);
    if (n < 0)
        return -EIO;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return 0;
}

int cmd_doctor(struct tool *tool, int argc, char **argv)
{
    struct doctor doctor = { .tool = tool };
    int r;

    tool_no_arguments(tool, argc, argv);
    json_init(&doctor.json, stdout);
    if (tool->json) {
        json_object(&doctor.json, NULL);
        json_array(&doctor.json, "findings");
    }
    doctor_versions(&doctor);
    doctor_limits(&doctor);
    doctor_memory(&doctor);
    doctor_kernel(&doctor);
    doctor_processor(&doctor);
    doctor_broker(&doctor);
    if (tool->json) {
        json_end(&doctor.json);
        json_number(&doctor.json, "ok", doctor.count[LEVEL_OK]);
        json_number(&doctor.json, "warn", doctor.count[LEVEL_WARN]);
        json_number(&doctor.json, "fail", doctor.count[LEVEL_FAIL]);
        json_end(&doctor.json);
    } else {
        printf("%u ok, %u to look at, %u failed\n", doctor.count[LEVEL_OK],
               doctor.count[LEVEL_WARN], doctor.count[LEVEL_FAIL]);
    }
    r = tool_finish(tool);
    if (r != EX_OK || doctor.count[LEVEL_FAIL] == 0)
        return r;
    return doctor.broker_failed && doctor.count[LEVEL_FAIL] == 1 ? EX_UNAVAILABLE : EX_OSERR;
}
