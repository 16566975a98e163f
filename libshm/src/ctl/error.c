/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/error.h"

#include <string.h>

#include <lshm/error.h>

const char *lsi_error_text(int number)
{
    unsigned magnitude = number < 0 ? 0u - (unsigned)number : (unsigned)number;
    const char *text;

    switch (magnitude) {
#define CASE(name, value, meaning)                                                                 \
    case value:                                                                                    \
        return meaning;
        LSHM_ERROR_TABLE(CASE)
#undef CASE
    case 0:
        return "success";
    }
    text = strerrordesc_np((int)magnitude);
    return text ? text : "unknown error";
}
