# SPDX-License-Identifier: MIT
# The compiler's flags as INTERFACE targets, so that nothing is set globally and generated code can do without.
#
#   berth_warnings   what our own code is held to
#   berth_flags      C17 with GNU names, sanitizers, hardening: for everything that is linked together
include_guard(GLOBAL)

add_library(berth_warnings INTERFACE)
target_compile_options(berth_warnings INTERFACE
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Wcast-qual
    -Wwrite-strings -Wconversion -Wimplicit-fallthrough -Wpointer-arith -Wold-style-definition
    $<$<BOOL:${BERTH_WERROR}>:-Werror>)

add_library(berth_flags INTERFACE)
target_compile_definitions(berth_flags INTERFACE _GNU_SOURCE)
target_compile_options(berth_flags INTERFACE
    -std=c17 -fno-common -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=
    # Asserts and stack traces should name frames in a release, too.
    -fno-omit-frame-pointer)

if(BERTH_SANITIZE)
    target_compile_options(berth_flags INTERFACE -fsanitize=${BERTH_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(berth_flags INTERFACE -fsanitize=${BERTH_SANITIZE})
endif()

if(BERTH_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "BERTH_FUZZ needs clang: configure with --preset fuzz")
    endif()
    target_compile_options(berth_flags INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(berth_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(BERTH_HARDEN)
    target_compile_options(berth_flags INTERFACE
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection)
    target_link_options(berth_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()
