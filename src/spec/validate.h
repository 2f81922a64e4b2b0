// Rules of a container description that span fields and need no knowledge of the host. Types,
// ranges and enumerations were checked by the reader; what depends on the host is for plan/.
#pragma once

#include <string_view>

#include "base/result.h"
#include "spec/container_spec.h"

namespace caisson::spec {

// Errors name the field behind `file_name`: "config.json: linux.namespaces[2]"; without the name
// when that is empty, for descriptions that come from no file.
Result<> validate(const ContainerSpec& spec, std::string_view file_name = "config.json");

// A process alone, for exec. The fields stand at the top: "process.json: cwd".
Result<> validate_process(const Process& process, std::string_view file_name = "process.json");

// Resources alone, for update. Errors name the fields as those of a whole description.
Result<> validate_resources(const Resources& resources,
                            std::string_view file_name = "resources.json");

}  // namespace caisson::spec
