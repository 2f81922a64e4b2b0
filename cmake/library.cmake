# libcaisson.a and libcaisson.so: the objects of all folders but cli, compiled once, behind the
# functions of include/caisson/caisson.h.
file(STRINGS include/caisson/caisson.h abi_line REGEX "^#define CAISSON_ABI_VERSION [0-9]+$")
string(REGEX MATCH "[0-9]+" abi_version "${abi_line}")

set(library_objects $<TARGET_OBJECTS:caisson_launcher_bytes>)
foreach(name base sys formats spec plan linux container library abi)
  list(APPEND library_objects $<TARGET_OBJECTS:caisson_${name}>)
endforeach()

# Visible are the functions of the header and what the standard library's headers instantiate; the
# version script keeps the latter inside.
set(export_map ${CMAKE_BINARY_DIR}/libcaisson.map)
file(CONFIGURE OUTPUT ${export_map} CONTENT "CAISSON_@abi_version@ { global: caisson_*; local: *; };\n" @ONLY)

add_library(caisson_static STATIC ${library_objects})
set_target_properties(caisson_static PROPERTIES OUTPUT_NAME caisson LINKER_LANGUAGE CXX)

add_library(caisson_shared SHARED ${library_objects})
set_target_properties(caisson_shared PROPERTIES OUTPUT_NAME caisson LINKER_LANGUAGE CXX
  VERSION ${abi_version}.${PROJECT_VERSION} SOVERSION ${abi_version} LINK_DEPENDS ${export_map})
target_link_options(caisson_shared PRIVATE -Wl,--version-script=${export_map}
  -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code
  -Wl,--gc-sections,--as-needed,--fatal-warnings)
if(CAISSON_SANITIZE)
  target_link_options(caisson_shared PRIVATE -fsanitize=${CAISSON_SANITIZE})
else()
  target_link_options(caisson_shared PRIVATE -Wl,--no-undefined)
endif()

include(GNUInstallDirs)
# The installed tree may be moved.
file(RELATIVE_PATH pc_to_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/caisson.pc.in ${CMAKE_BINARY_DIR}/caisson.pc @ONLY)
install(TARGETS caisson_static caisson_shared
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/caisson/caisson.h include/caisson/caisson.hpp
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/caisson)
install(FILES ${CMAKE_BINARY_DIR}/caisson.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
