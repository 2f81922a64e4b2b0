// A short way to write an allow-list of system calls with checked arguments, and to load it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "base/result.h"
#include "spec/container_spec.h"

namespace caisson::sandbox::boot {

// An argument that must be: equal to `value`, or (mask != 0) have these bits of it.
struct Argument {
  std::uint32_t index = 0;
  std::uint64_t value = 0;
  std::uint64_t mask = 0;
};

class FilterRules {
 public:
  FilterRules();
  // These calls with any arguments.
  FilterRules& allow(std::initializer_list<std::string_view> names);
  // This call, when all of them hold; several lines for one call are alternatives.
  FilterRules& allow(std::string_view name, std::initializer_list<Argument> arguments);
  // Fails with an errno instead of ending the process.
  FilterRules& refuse(std::initializer_list<std::string_view> names, std::uint32_t error);
  FilterRules& refuse(std::string_view name, std::uint32_t error,
                      std::initializer_list<Argument> arguments);

  const spec::Seccomp& profile() const { return profile_; }
  // For all threads of this process, for ever. no_new_privs must be set.
  Result<> load() const;

 private:
  spec::Seccomp profile_;
};

}  // namespace caisson::sandbox::boot
