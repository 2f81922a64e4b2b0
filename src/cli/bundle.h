// An OCI bundle on disk.
#pragma once

#include <string>

#include "base/result.h"
#include "spec/container_spec.h"

namespace caisson::cli {

struct Bundle {
  std::string path;  // absolute, without links
  std::string config_text;
  spec::ContainerSpec spec;
};

// `directory` empty: the current one. `config_file` names another file than its config.json.
Result<Bundle> read_bundle(const std::string& directory, const std::string& config_file = {});

}  // namespace caisson::cli
