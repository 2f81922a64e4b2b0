# The launcher of src/linux/launcher: a freestanding static program of a few kilobytes, without libc,
# whose bytes live in caisson_linux between the symbols caisson_launcher_begin and
# caisson_launcher_end. It does not link caisson_options: stack protector, sanitizers, CET and
# hardening of libc calls all need start-up code or a library that it does not have.
file(GLOB launcher_sources CONFIGURE_DEPENDS
  ${CMAKE_SOURCE_DIR}/src/linux/launcher/*.cc ${CMAKE_SOURCE_DIR}/src/linux/launcher/*.S)
list(FILTER launcher_sources EXCLUDE REGEX "_test\\.cc$")
get_target_property(linux_type caisson_linux TYPE)
if(NOT launcher_sources OR linux_type STREQUAL "INTERFACE_LIBRARY")
  return()
endif()

add_executable(caisson_launcher ${launcher_sources})
set_target_properties(caisson_launcher PROPERTIES POSITION_INDEPENDENT_CODE OFF)
target_compile_definitions(caisson_launcher PRIVATE _GNU_SOURCE)
target_compile_options(caisson_launcher PRIVATE
  "SHELL:-iquote ${CMAKE_SOURCE_DIR}/src"
  -Os -g0 -fno-pie -ffreestanding -fno-sanitize=all -fno-stack-protector -fno-asynchronous-unwind-tables
  -fno-unwind-tables -ffunction-sections -fdata-sections -fvisibility=hidden -fno-strict-aliasing
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wimplicit-fallthrough
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -fno-threadsafe-statics -Wold-style-cast>
  $<$<BOOL:${CAISSON_WERROR}>:-Werror>)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  target_compile_options(caisson_launcher PRIVATE -fcf-protection=none -fno-stack-clash-protection)
endif()
target_link_options(caisson_launcher PRIVATE
  -static -nostdlib -nostartfiles -fno-sanitize=all
  -Wl,-z,noseparate-code,-z,norelro,-z,noexecstack,--build-id=none,--gc-sections,--strip-all,--fatal-warnings)

# An object library of its own, so that the C++ flags of caisson_options stay away from the assembler.
add_library(caisson_launcher_bytes OBJECT ${CMAKE_SOURCE_DIR}/cmake/launcher_bytes.S)
target_compile_definitions(caisson_launcher_bytes PRIVATE
  CAISSON_LAUNCHER="$<TARGET_FILE:caisson_launcher>")
add_dependencies(caisson_launcher_bytes caisson_launcher)
set_source_files_properties(${CMAKE_SOURCE_DIR}/cmake/launcher_bytes.S PROPERTIES
  OBJECT_DEPENDS ${CMAKE_BINARY_DIR}/caisson_launcher)
target_sources(caisson_linux PRIVATE $<TARGET_OBJECTS:caisson_launcher_bytes>)
