/* SPDX-License-Identifier: Apache-2.0 */
#include <lshm/inspect.h>

#include "api/internal.h"
