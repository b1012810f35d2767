# SPDX-License-Identifier: MIT
# The words of the build. A component's CMakeLists.txt says nothing else.
#
# berth_library(NAME berth_core SOURCES a.c ... [DEPS target ...] [PRIVATE_DEPS target ...]
#               [PUBLIC_INCLUDE include] [EXPORT_PRIVATE prefix [HEADERS a.h ...]] [INSTALL]
#               [PKGCONFIG name DESCRIPTION text [PKG_REQUIRES module ...] [PKG_LIBS flag ...]])
#     A static library (position independent, so that plugins can hold it). Without SOURCES: headers only.
#     Sources are private. `#include "x.h"` finds the headers beside the source; nobody else finds them.
#     PUBLIC_INCLUDE   this folder goes to all dependents; INSTALL installs what is in it, and the archive.
#     EXPORT_PRIVATE   dependents (and the library itself) reach this folder's headers as "prefix/x.h": a link
#                      named `prefix` in the build tree, so that the neighbours stay out of reach. With HEADERS
#                      only those. Choose the folder's path as the prefix: base, broker/core, worker/core.
#     DEPS             goes to dependents too; PRIVATE_DEPS does not (its headers stay unreachable for them).
#     PKGCONFIG        installs name.pc; PKG_REQUIRES are modules of ours, PKG_LIBS the archives behind it. Both are
#                      public, since archives are all there is, and say nothing of what they need: whoever links one
#                      needs them all, with --static and without. What Debian brings stands in PKG_LIBS by name: its
#                      own modules cannot be linked as archives (libnorm.pc, MIT's Kerberos).
#
# berth_program(NAME berthd SOURCES main.c ... [DEPS target ...] [EXPORTS] [WHOLE target ...] [NO_INSTALL])
#     Built as build/PRESET/bin/NAME, installed into bin/. EXPORTS: its symbols are visible to plugins. WHOLE: libraries
#     of ours that are in it as a whole, for a plugin may call what the program itself does not.
#
# berth_plugin(NAME mail SOURCES mail.c [DEPS target ...])
#     A shared object without the prefix `lib` in build/PRESET/bin/, to be loaded; not installed.
#
# berth_test(NAME test_buf SOURCES test_buf.c ... [DEPS target ...] [LABELS unit] [TIMEOUT 300] [WRAP malloc ...]
#            [PROGRAMS berthd ...] [ARGS ...] [ONE_THREAD])
#     A program with cmocka and tests/support, run by ctest; label `unit` unless others are given. WRAP: the
#     linker's --wrap for these functions. PROGRAMS: built first; the macro BERTH_BIN_DIR says where they are.
#     Tests with the label `integration` or `slow` run alone on the machine (RUN_SERIAL) for the sake of deadlines.
#     ONE_THREAD: it has no other, so it is no part of a build for ThreadSanitizer. Those with the label `unit` are what
#     the target `unit_tests` builds; what is a test by add_test() alone adds its program by add_dependencies().
#
# berth_fuzzer(NAME fuzz_wire SOURCES fuzz_wire.c ... CORPUS folder [DEPS target ...])
#     LLVMFuzzerTestOneInput. In the fuzz preset a libFuzzer program and a short run of it (label slow); everywhere
#     else a unit test that replays the corpus.
include_guard(GLOBAL)

set(BERTH_BIN_DIR ${CMAKE_BINARY_DIR}/bin)
add_custom_target(unit_tests)

# A folder with links to what may be included, named build/internal/NAME.
function(berth_export_headers out name prefix headers)
    set(root ${CMAKE_BINARY_DIR}/internal/${name})
    file(REMOVE_RECURSE ${root})
    cmake_path(APPEND root ${prefix} OUTPUT_VARIABLE link)
    if(headers)
        file(MAKE_DIRECTORY ${link})
        foreach(header IN LISTS headers)
            file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${header} ${link}/${header} SYMBOLIC)
        endforeach()
    else()
        cmake_path(GET link PARENT_PATH parent)
        file(MAKE_DIRECTORY ${parent})
        file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${link} SYMBOLIC)
    endif()
    set(${out} ${root} PARENT_SCOPE)
endfunction()

function(berth_install_pkgconfig name description requires libs)
    list(JOIN requires " " PC_REQUIRES)
    list(JOIN libs " " PC_LIBS)
    set(PC_NAME ${name})
    set(PC_DESCRIPTION ${description})
    # Relative, so that `cmake --install --prefix` may put it anywhere.
    file(RELATIVE_PATH PC_UP /x/${CMAKE_INSTALL_LIBDIR}/pkgconfig /x)
    string(REGEX REPLACE "/$" "" PC_UP ${PC_UP})
    configure_file(${PROJECT_SOURCE_DIR}/cmake/berth.pc.in ${CMAKE_BINARY_DIR}/pkgconfig/${name}.pc @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/pkgconfig/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

function(berth_library)
    cmake_parse_arguments(PARSE_ARGV 0 arg "INSTALL"
        "NAME;PUBLIC_INCLUDE;EXPORT_PRIVATE;PKGCONFIG;DESCRIPTION"
        "SOURCES;DEPS;PRIVATE_DEPS;HEADERS;PKG_REQUIRES;PKG_LIBS")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "berth_library(${arg_NAME}): unknown: ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(arg_SOURCES)
        set(scope PUBLIC)
        add_library(${arg_NAME} STATIC ${arg_SOURCES})
        set_target_properties(${arg_NAME} PROPERTIES POSITION_INDEPENDENT_CODE ON PREFIX lib)
        target_link_libraries(${arg_NAME} PRIVATE berth_flags berth_warnings ${arg_PRIVATE_DEPS})
    else()
        set(scope INTERFACE)
        add_library(${arg_NAME} INTERFACE)
    endif()
    target_link_libraries(${arg_NAME} ${scope} ${arg_DEPS})
    if(arg_PUBLIC_INCLUDE)
        target_include_directories(${arg_NAME} ${scope} ${CMAKE_CURRENT_SOURCE_DIR}/${arg_PUBLIC_INCLUDE})
    endif()
    if(arg_EXPORT_PRIVATE)
        berth_export_headers(root ${arg_NAME} ${arg_EXPORT_PRIVATE} "${arg_HEADERS}")
        target_include_directories(${arg_NAME} ${scope} ${root})
    endif()
    if(arg_INSTALL)
        install(TARGETS ${arg_NAME} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
        if(arg_PUBLIC_INCLUDE)
            install(DIRECTORY ${arg_PUBLIC_INCLUDE}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
                FILES_MATCHING PATTERN "*.h")
        endif()
    endif()
    if(arg_PKGCONFIG)
        berth_install_pkgconfig(${arg_PKGCONFIG} "${arg_DESCRIPTION}" "${arg_PKG_REQUIRES}" "${arg_PKG_LIBS}")
    endif()
endfunction()

function(berth_program)
    cmake_parse_arguments(PARSE_ARGV 0 arg "EXPORTS;NO_INSTALL" "NAME" "SOURCES;DEPS;WHOLE")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "berth_program(${arg_NAME}): unknown: ${arg_UNPARSED_ARGUMENTS}")
    endif()
    add_executable(${arg_NAME} ${arg_SOURCES})
    set_target_properties(${arg_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${BERTH_BIN_DIR}
        POSITION_INDEPENDENT_CODE ON ENABLE_EXPORTS ${arg_EXPORTS})
    target_link_libraries(${arg_NAME} PRIVATE berth_flags berth_warnings ${arg_DEPS} ${arg_WHOLE})
    foreach(library IN LISTS arg_WHOLE)
        set_property(TARGET ${arg_NAME} PROPERTY LINK_LIBRARY_OVERRIDE_${library} WHOLE_ARCHIVE)
    endforeach()
    if(NOT arg_NO_INSTALL)
        install(TARGETS ${arg_NAME} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
endfunction()

function(berth_plugin)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SOURCES;DEPS")
    add_library(${arg_NAME} MODULE ${arg_SOURCES})
    set_target_properties(${arg_NAME} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${BERTH_BIN_DIR}
        C_VISIBILITY_PRESET hidden)
    target_link_libraries(${arg_NAME} PRIVATE berth_flags berth_warnings ${arg_DEPS})
endfunction()

function(berth_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "ONE_THREAD" "NAME;TIMEOUT" "SOURCES;DEPS;LABELS;WRAP;PROGRAMS;ARGS")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "berth_test(${arg_NAME}): unknown: ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(arg_ONE_THREAD AND BERTH_SANITIZE STREQUAL "thread")
        return()
    endif()
    if(NOT arg_LABELS)
        set(arg_LABELS unit)
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 300)
    endif()
    add_executable(${arg_NAME} ${arg_SOURCES})
    target_link_libraries(${arg_NAME} PRIVATE berth_flags berth_warnings ${arg_DEPS} berth_testsupport)
    target_compile_definitions(${arg_NAME} PRIVATE BERTH_BIN_DIR="${BERTH_BIN_DIR}")
    foreach(function IN LISTS arg_WRAP)
        target_link_options(${arg_NAME} PRIVATE -Wl,--wrap=${function})
        # Or an optimizer that knows malloc removes the call that is to fail.
        target_compile_options(${arg_NAME} PRIVATE -fno-builtin-${function})
    endforeach()
    if(arg_PROGRAMS)
        add_dependencies(${arg_NAME} ${arg_PROGRAMS})
    endif()
    add_test(NAME ${arg_NAME} COMMAND ${arg_NAME} ${arg_ARGS})
    set_tests_properties(${arg_NAME} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
    if("unit" IN_LIST arg_LABELS)
        add_dependencies(unit_tests ${arg_NAME})
    endif()
    if("integration" IN_LIST arg_LABELS OR "slow" IN_LIST arg_LABELS)
        set_tests_properties(${arg_NAME} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()

function(berth_fuzzer)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;CORPUS" "SOURCES;DEPS")
    add_executable(${arg_NAME} ${arg_SOURCES})
    target_link_libraries(${arg_NAME} PRIVATE berth_flags berth_warnings ${arg_DEPS})
    cmake_path(ABSOLUTE_PATH arg_CORPUS BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE corpus)
    if(BERTH_FUZZ)
        target_link_options(${arg_NAME} PRIVATE -fsanitize=fuzzer)
        set(found ${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}.found)
        file(MAKE_DIRECTORY ${found})
        add_test(NAME ${arg_NAME} COMMAND ${arg_NAME} -max_total_time=60 -timeout=10 ${found} ${corpus})
        set_tests_properties(${arg_NAME} PROPERTIES LABELS slow TIMEOUT 180)
    else()
        target_sources(${arg_NAME} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/fuzz_replay.c)
        add_test(NAME ${arg_NAME}_replay COMMAND ${arg_NAME} ${corpus})
        set_tests_properties(${arg_NAME}_replay PROPERTIES LABELS unit TIMEOUT 300)
        add_dependencies(unit_tests ${arg_NAME})
    endif()
endfunction()
