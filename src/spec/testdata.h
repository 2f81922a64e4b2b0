// Texts of src/spec/testdata, for tests only.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/text.h"

namespace caisson::spec {

inline std::string test_text(std::string_view name) {
  auto path = cat(CAISSON_SOURCE_DIR "/src/spec/testdata/", name);
  std::string text;
  std::FILE* file = std::fopen(path.c_str(), "re");
  EXPECT_NE(file, nullptr) << path;
  if (file == nullptr) return text;
  char buffer[4096];
  while (auto got = std::fread(buffer, 1, sizeof buffer, file)) text.append(buffer, got);
  (void)std::fclose(file);
  return text;
}

}  // namespace caisson::spec
