# Language, warnings, hardening: one interface target that everything links.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(caisson_options INTERFACE)
# -iquote: <sys/socket.h> must stay the C library's, "sys/socket.h" is ours.
target_compile_options(caisson_options INTERFACE "SHELL:-iquote ${CMAKE_SOURCE_DIR}/src")
target_compile_definitions(caisson_options INTERFACE _GNU_SOURCE CAISSON_VERSION="${PROJECT_VERSION}")
target_compile_options(caisson_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>
  -fvisibility=hidden -ffunction-sections -fdata-sections -fno-strict-overflow
  -fno-delete-null-pointer-checks -fstack-protector-strong -ftrivial-auto-var-init=zero
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wimplicit-fallthrough
  -Wvla -Wundef -Wcast-align -Wswitch-enum
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast -Wextra-semi
    -Wsuggest-override>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 takes the moved-from value inside TRY for freed memory when it inlines at -O2, and empty
  # optionals for uninitialized ones; clang's analysis of both is right.
  target_compile_options(caisson_options INTERFACE -Wduplicated-cond -Wlogical-op
    -Wno-free-nonheap-object -Wno-maybe-uninitialized)
else()
  # Statement expressions are how TRY works; clang reports them even behind __extension__, and takes
  # a TRY without a use for the value as a result ignored. g++ reports the results that really are.
  # std::stable_sort of libstdc++ 12 calls what the same library deprecates.
  target_compile_options(caisson_options INTERFACE -Wno-gnu-statement-expression
    -Wno-unused-result -Wno-unused-value -Wno-deprecated-declarations)
endif()
if(CAISSON_WERROR)
  target_compile_options(caisson_options INTERFACE -Werror)
endif()
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  target_compile_options(caisson_options INTERFACE -fcf-protection=full -fstack-clash-protection)
endif()
if(CAISSON_SANITIZE)
  target_compile_options(caisson_options INTERFACE -fsanitize=${CAISSON_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(caisson_options INTERFACE -fsanitize=${CAISSON_SANITIZE})
endif()
if(CAISSON_FUZZ)
  target_compile_options(caisson_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(NOT CAISSON_SANITIZE)
  target_compile_definitions(caisson_options INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=3> _GLIBCXX_ASSERTIONS)
endif()

# Relative relocations as a bitmap: a position-independent program begins sooner.
include(CheckLinkerFlag)
check_linker_flag(CXX -Wl,-z,pack-relative-relocs CAISSON_PACKS_RELOCATIONS)

function(caisson_link_options target)
  target_link_options(${target} PRIVATE -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code
    -Wl,--gc-sections,--as-needed,--fatal-warnings)
  if(CAISSON_STATIC)
    target_link_options(${target} PRIVATE -static-pie
      $<$<BOOL:${CAISSON_PACKS_RELOCATIONS}>:-Wl,-z,pack-relative-relocs>)
  endif()
endfunction()

# caisson_precompile(LIBRARY): what most files include of the standard library is compiled once per build. A
# third of a library's time; ccache, where it is there, saves more and finds less with it. Programs are
# compiled with -fPIE, for which it is of no use.
if(CCACHE)
  set(precompile OFF)
else()
  set(precompile ON)
endif()
option(CAISSON_PRECOMPILE "Precompile headers of the standard library" ${precompile})
function(caisson_precompile target)
  if(NOT CAISSON_PRECOMPILE)
    return()
  endif()
  if(NOT TARGET caisson_headers)
    file(WRITE ${CMAKE_BINARY_DIR}/headers.cc "")
    add_library(caisson_headers OBJECT ${CMAKE_BINARY_DIR}/headers.cc)
    # g++ 12 takes what comes out of precompiled headers for no system header, and warns of what is none of ours.
    target_compile_options(caisson_options INTERFACE
      -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict)
    target_link_libraries(caisson_headers PRIVATE caisson_options)
    target_precompile_headers(caisson_headers PRIVATE <algorithm> <array> <atomic> <functional> <map> <memory>
      <mutex> <optional> <span> <string> <string_view> <utility> <variant> <vector>)
  endif()
  target_precompile_headers(${target} REUSE_FROM caisson_headers)
endfunction()
