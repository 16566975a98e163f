/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/internal.h"
#include "ctl/error.h"

LSI_API const char *lshm_version(void)
{
    return LSHM_VERSION;
}

LSI_API const char *lshm_strerror(int number)
{
    switch (number) {
    case ECHILD:
    case -ECHILD:
        return "this context belongs to the parent process: open one after fork()";
    case EDEADLK:
    case -EDEADLK:
        return "it would wait for a subscriber that this very thread reads";
    default:
        return lsi_error_text(number);
    }
}

LSI_API const char *lshm_error_name(int number)
{
    const char *name;

    switch (abs(number)) {
#define CASE(name, value, meaning)                                                                 \
    case value:                                                                                    \
        return "LSHM_" #name;
        LSHM_ERROR_TABLE(CASE)
#undef CASE
    case 0:
        return "OK";
    }
    name = strerrorname_np(abs(number));
    return name != NULL ? name : "E?";
}

void lsi_error_set(struct lshm_error *reterr_error, int number, const char *format, ...)
{
    va_list arguments;

    if (reterr_error == NULL)
        return;
    reterr_error->number = abs(number);
    va_start(arguments, format);
    vsnprintf(reterr_error->text, sizeof reterr_error->text, format, arguments);
    va_end(arguments);
}
