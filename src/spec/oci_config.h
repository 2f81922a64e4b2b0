// Reads OCI runtime-spec 1.3 texts (config.json and parts of it) into the structures of
// container_spec.h. Unknown properties are ignored; a known one with a value of the wrong type or
// outside its enumeration is an error that says where. What spans fields is for validate.h.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "spec/container_spec.h"

namespace caisson::spec {

// The annotation that stands for ContainerSpec::root_source, with the one value "machine-view". It
// is taken only when the config names no root.path, so that nobody who may add annotations to a
// config can change what a given root is; it does not appear among the annotations of the spec.
inline constexpr std::string_view kRootAnnotation = "org.caisson.root";
inline constexpr std::string_view kMachineViewRoot = "machine-view";

// A whole config.json. `bundle` is the absolute path of its directory; `file_name` is for errors.
Result<ContainerSpec> read_oci_config(std::string_view text, std::string bundle,
                                      std::string_view file_name = "config.json");

// A "process" object alone, as `exec --process FILE` takes it.
Result<Process> read_oci_process(std::string_view text,
                                 std::string_view file_name = "process.json");

// A "linux.resources" object alone, as `update --resources FILE` takes it.
Result<Resources> read_oci_resources(std::string_view text,
                                     std::string_view file_name = "resources.json");

// A "mounts" array alone, or an object with one, as `mounts add` takes it.
Result<std::vector<Mount>> read_oci_mounts(std::string_view text,
                                           std::string_view file_name = "mounts.json");

}  // namespace caisson::spec
