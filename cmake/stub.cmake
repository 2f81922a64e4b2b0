# The stub of src/sandbox/platform/stub: the freestanding program in whose memory guest code runs. Its
# bytes live in caisson_sandbox_platform between the symbols caisson_stub_begin and caisson_stub_end.
# As the launcher (launcher.cmake) it links nothing of ours; besides, it may not use vector registers
# (they are the guest's while a handler runs) nor memory of its own (guest code could write there).
set(stub_folder ${CMAKE_SOURCE_DIR}/src/sandbox/platform/stub)
file(GLOB stub_sources CONFIGURE_DEPENDS ${stub_folder}/*.cc ${stub_folder}/*.S)
get_target_property(platform_type caisson_sandbox_platform TYPE)
if(NOT CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" OR platform_type STREQUAL "INTERFACE_LIBRARY")
  return()
endif()

add_executable(caisson_stub ${stub_sources})
set_target_properties(caisson_stub PROPERTIES POSITION_INDEPENDENT_CODE OFF
  LINK_DEPENDS ${stub_folder}/stub.lds)
target_compile_definitions(caisson_stub PRIVATE _GNU_SOURCE)
target_include_directories(caisson_stub PRIVATE $<$<COMPILE_LANGUAGE:ASM>:${CMAKE_SOURCE_DIR}/src>)
target_compile_options(caisson_stub PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -fno-threadsafe-statics -Wold-style-cast
    -O2 -fpie -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables
    -fvisibility=hidden -fno-strict-aliasing -mgeneral-regs-only -mno-red-zone -mfsgsbase -fno-jump-tables
    -fcf-protection=none -fno-stack-clash-protection -fno-tree-loop-distribute-patterns
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wimplicit-fallthrough>
  "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-iquote ${CMAKE_SOURCE_DIR}/src>"
  -g0 -fno-sanitize=all $<$<BOOL:${CAISSON_WERROR}>:-Werror>)
target_link_options(caisson_stub PRIVATE
  -static -nostdlib -nostartfiles -no-pie -fno-sanitize=all -Wl,-T,${stub_folder}/stub.lds
  -Wl,-z,noexecstack,-z,norelro,--build-id=none,--strip-all,--fatal-warnings,--orphan-handling=error)

add_library(caisson_stub_bytes OBJECT ${CMAKE_SOURCE_DIR}/cmake/stub_bytes.S)
target_compile_definitions(caisson_stub_bytes PRIVATE CAISSON_STUB="$<TARGET_FILE:caisson_stub>")
add_dependencies(caisson_stub_bytes caisson_stub)
set_source_files_properties(${CMAKE_SOURCE_DIR}/cmake/stub_bytes.S PROPERTIES
  OBJECT_DEPENDS ${CMAKE_BINARY_DIR}/caisson_stub)
target_sources(caisson_sandbox_platform PRIVATE $<TARGET_OBJECTS:caisson_stub_bytes>)

# ninja platform_figures: what the platforms cost.
add_executable(platform_figures EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/platform_figures.cc)
target_link_libraries(platform_figures PRIVATE caisson_sandbox_platform)
