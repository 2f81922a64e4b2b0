// The checks behind `caisson doctor`: does this machine have what containers need, and if not, why,
// and what to do about it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace caisson::cli {

enum class Health {
  kOk,
  kLimited,  // something will be refused or left out
  kMissing,  // run cannot work
};

struct Finding {
  std::string_view check;
  Health health = Health::kOk;
  std::string what;  // what was found, or the cause
  std::string cure;  // empty when there is nothing to mend
};

std::string_view health_name(Health health);

// Every check, in order. Changes nothing on this machine: trials are made in child processes.
std::vector<Finding> examine(const Context& context);

// --- parts, one file each

void check_kernel(std::vector<Finding>& findings);
void check_namespaces(std::vector<Finding>& findings);
void check_cgroups(std::vector<Finding>& findings);
void check_sandbox(const Context& context, std::vector<Finding>& findings);
void check_surroundings(const Context& context, std::vector<Finding>& findings);

// The first line of a small file, trimmed; empty when it cannot be read.
std::string first_line(const char* path);

}  // namespace caisson::cli
