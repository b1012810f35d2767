# SPDX-License-Identifier: MIT
# berth_proto(TARGET name ROOT folder PROTOS berth/v1/a.proto ...)
#
# Generates C from the named messages into the build tree with protoc-c and compiles it into the library `name`,
# without warnings (it is not our code) and never committed. Paths are relative to ROOT, as in `import`. Who links
# `name` may `#include <berth/v1/a.pb-c.h>`; tests/tidy allows that in proto/ and in translate.c only.
include_guard(GLOBAL)
find_program(BERTH_PROTOC_C protoc-c REQUIRED)

function(berth_proto)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "TARGET;ROOT" "PROTOS")
    set(out ${CMAKE_BINARY_DIR}/generated/${arg_TARGET})
    file(MAKE_DIRECTORY ${out})
    foreach(proto IN LISTS arg_PROTOS)
        cmake_path(REMOVE_EXTENSION proto OUTPUT_VARIABLE stem)
        set(made ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h)
        # A change of one message can change what its importers become: each depends on all.
        set(inputs ${arg_PROTOS})
        list(TRANSFORM inputs PREPEND ${arg_ROOT}/)
        add_custom_command(OUTPUT ${made}
            COMMAND ${BERTH_PROTOC_C} --c_out=${out} --proto_path=${arg_ROOT} ${proto}
            DEPENDS ${inputs} WORKING_DIRECTORY ${arg_ROOT} COMMENT "protoc-c ${proto}" VERBATIM)
        set_source_files_properties(${out}/${stem}.pb-c.c PROPERTIES COMPILE_OPTIONS "-w")
        target_sources(${arg_TARGET} PRIVATE ${made})
    endforeach()
    target_include_directories(${arg_TARGET} SYSTEM PUBLIC ${out})
    target_link_libraries(${arg_TARGET} PUBLIC PkgConfig::PROTOBUFC)
endfunction()
