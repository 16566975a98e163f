/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/topic.h"

#include <lshm/abi.h>

static int is_segment_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '.' || c == '-';
}

size_t lsi_topic_check(const char *name, size_t bytes)
{
    size_t length, segment = 0;

    if (bytes > LSHM_TOPIC_BYTES)
        bytes = LSHM_TOPIC_BYTES;
    for (length = 0; length < bytes; length++) {
        if (is_segment_char(name[length])) {
            segment++;
        } else if (segment > 0 && name[length] == '/') {
            segment = 0;
        } else {
            return segment > 0 && name[length] == '\0' ? length : 0;
        }
    }
    return 0;
}
