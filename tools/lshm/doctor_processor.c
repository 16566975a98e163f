/* SPDX-License-Identifier: Apache-2.0 */
/* What makes waking and time-stamping slow: the clock, and how processors change their speed. */
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "doctor.h"

static void check_clock(struct doctor *doctor)
{
    char text[64] = "";
    bool slow;

    if (doctor_read("/sys/devices/system/clocksource/clocksource0/current_clocksource", text,
                    sizeof text) < 0)
        return;
    slow = strcmp(text, "hpet") == 0 || strcmp(text, "acpi_pm") == 0;
    doctor_find(doctor, slow ? LEVEL_WARN : LEVEL_OK, "clock",
                slow ? "boot with a working TSC; until then time-stamp fewer messages" : NULL,
                "%s%s", text, slow ? ": reading it takes a microsecond" : "");
}

/* Drivers that choose the speed themselves call what they do 'powersave' and are fast with it. */
static bool is_slow(const char *policy, const char *governor)
{
    char path[320], driver[64] = "";

    if (strcmp(governor, "powersave") != 0)
        return false;
    snprintf(path, sizeof path, "%s/scaling_driver", policy);
    doctor_read(path, driver, sizeof driver);
    return strcmp(driver, "intel_pstate") != 0 && strcmp(driver, "amd-pstate-epp") != 0;
}

static void check_governors(struct doctor *doctor)
{
    char path[320], governor[64], first[64] = "";
    unsigned slow = 0;
    glob_t found;

    if (glob("/sys/devices/system/cpu/cpufreq/policy*", 0, NULL, &found) != 0) {
        doctor_find(doctor, LEVEL_OK, "governor", NULL, "none to be seen: the machine or its host "
                    "chooses the speed");
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        snprintf(path, sizeof path, "%s/scaling_governor", found.gl_pathv[i]);
        if (doctor_read(path, governor, sizeof governor) < 0)
            continue;
        slow += is_slow(found.gl_pathv[i], governor);
        if (first[0] == '\0')
            snprintf(first, sizeof first, "%s", governor);
    }
    if (slow > 0)
        doctor_find(doctor, LEVEL_WARN, "governor", "cpupower frequency-set -g performance (or "
                    "schedutil)", "powersave on %u of %zu: these processors stay at their lowest "
                    "speed", slow, found.gl_pathc);
    else
        doctor_find(doctor, LEVEL_OK, "governor", NULL, "%s", first);
    globfree(&found);
}

void doctor_processor(struct doctor *doctor)
{
    check_clock(doctor);
    check_governors(doctor);
}
