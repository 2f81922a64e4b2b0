// Writes descriptions as OCI runtime-spec texts: what oci_config.h reads, without loss.
#pragma once

#include <string>

#include "spec/container_spec.h"

namespace caisson::spec {

// The version that is written for descriptions that name none.
inline constexpr std::string_view kOciVersion = "1.3.0";

// The description as an indented config.json. ContainerSpec::bundle is where the text belongs and
// not part of it; root_source becomes the annotation of oci_config.h. Absent and empty stay apart
// where ContainerSpec keeps them apart.
std::string write_oci_config(const ContainerSpec& spec);

// Parts alone, as `exec --process` and `update --resources` take them.
std::string write_oci_process(const Process& process);
std::string write_oci_resources(const Resources& resources);

}  // namespace caisson::spec
