// An OCI bundle on disk.
#pragma once

#include <string>

#include "base/result.h"
#include "spec/container_spec.h"

namespace caisson::library {

struct Bundle {
  std::string path;  // absolute, without links
  std::string config_text;
  spec::ContainerSpec spec;
};

// `directory` empty: the current one. `config_file` names another file than its config.json.
Result<Bundle> read_bundle(const std::string& directory, const std::string& config_file = {});
// The same with the text of a config.json that the caller has.
Result<Bundle> bundle_with_config(const std::string& directory, std::string config_text);

}  // namespace caisson::library
