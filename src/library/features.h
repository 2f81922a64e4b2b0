// What this runtime supports, as the runtime specification's features document (features.md).
#pragma once

#include <string>
#include <string_view>

namespace caisson::library {

// `indent` as for formats::JsonWriter; no newline at the end.
std::string features_json(std::string_view indent);

}  // namespace caisson::library
