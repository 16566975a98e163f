# SPDX-License-Identifier: Apache-2.0
# lshm_add_test(NAME LABEL unit|threads|multi SOURCES file... [LIBS target...]
#               [INCLUDES directory...])
# One cmocka executable, one ctest entry with that label. LIBS that no directory defines are left
# out.
find_package(PkgConfig REQUIRED)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

set(LSHM_TEST_TIMEOUT_S 60)

function(lshm_add_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL" "SOURCES;LIBS;INCLUDES")
    add_executable(${name} ${arg_SOURCES})
    target_include_directories(${name} PRIVATE ${arg_INCLUDES})
    foreach(lib IN LISTS arg_LIBS)
        if(TARGET ${lib})
            target_link_libraries(${name} PRIVATE ${lib})
        endif()
    endforeach()
    target_link_libraries(${name} PRIVATE PkgConfig::CMOCKA)
    add_test(NAME ${name} COMMAND ${name})
    if(name IN_LIST LSHM_TESTS_NATIVE)
        set(arg_LABEL native)
    endif()
    set_tests_properties(${name} PROPERTIES
        LABELS ${arg_LABEL}
        TIMEOUT ${LSHM_TEST_TIMEOUT_S}
        ENVIRONMENT "CMOCKA_MESSAGE_OUTPUT=TAP;${LSHM_TEST_ENVIRONMENT}")
endfunction()
