// Paths as text: cleaning and comparing without looking at any file system.
#pragma once

#include <string>
#include <string_view>

namespace caisson::plan {

// Absolute, without empty, "." and ".." components and without a trailing slash; ".." stops at the
// root, a relative path is taken as below it. "/a//b/../c/" gives "/a/c", "" gives "/".
std::string clean_path(std::string_view path);

// `path` is `directory` or stands below it. Both are clean.
bool at_or_below(std::string_view path, std::string_view directory);
// `path` stands below `directory` and is not the directory itself. Both are clean.
bool below(std::string_view path, std::string_view directory);

// `name` below the clean path `directory`, with one slash between.
std::string join_path(std::string_view directory, std::string_view name);

// One of the components is "..".
bool climbs(std::string_view path);

}  // namespace caisson::plan
