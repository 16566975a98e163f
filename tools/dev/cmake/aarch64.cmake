# SPDX-License-Identifier: Apache-2.0
# A build for aarch64 by Debian's cross compiler, whose tests run under qemu-aarch64. The libraries
# that it needs lie below LSHM_SYSROOT (tools/dev/sysroot).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES LSHM_SYSROOT)
set(lsi_libraries ${LSHM_SYSROOT}/usr/lib/aarch64-linux-gnu)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${LSHM_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${lsi_libraries}/pkgconfig)
set(CMAKE_EXE_LINKER_FLAGS_INIT -Wl,-rpath-link,${lsi_libraries})

# Children of the tests are started through the emulator, too: it cannot start its own kind. All
# schedules of tests/sim take it minutes, and they show no more than on the machine itself.
set(CMAKE_CROSSCOMPILING_EMULATOR /usr/bin/qemu-aarch64)
set(LSHM_TEST_ENVIRONMENT
    QEMU_LD_PREFIX=/usr/aarch64-linux-gnu
    QEMU_SET_ENV=LD_LIBRARY_PATH=${lsi_libraries}
    LSHM_TEST_EMULATOR=${CMAKE_CROSSCOMPILING_EMULATOR}
    LSHM_TEST_RUNS=200)
# What it cannot do: wipe memory at a fork, limit memory, filter system calls, be fast enough for
# thousands of ports and for tests that kill at a certain moment.
set(LSHM_TESTS_NATIVE test_broker_start test_death test_errors test_evict test_fork test_scale
    test_support)
