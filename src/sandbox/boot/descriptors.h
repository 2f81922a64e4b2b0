// The descriptors that a sandbox's kernel gets for its mounts: one per place of the host that the
// plan shows, in the order of the plan. Both sides walk the same list: the executor opens, the
// kernel takes, and what is missing or left over is an error.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "plan/plan.h"

namespace caisson::sandbox::boot {

struct HostPlace {
  std::string path;    // on the host
  std::string target;  // in the container
  std::string origin;  // what asked for it
  bool is_root = false;
  bool optional = false;   // absent: the step is left out
  bool writable = false;   // the guest's writes reach it
  bool recursive = false;  // with what is mounted below
};

// The place that takes what is written to an overlaid root; no path of a container.
inline constexpr const char* kUpperTarget = "the overlay's folder";

// Root first, then the folder of its overlay, then every bind and overlaid mount in the order of
// their steps.
std::vector<HostPlace> host_places(const plan::Plan& plan);

// Whether a step takes one of them.
bool shows_host(const plan::MountStep& step);

// Opens all of them, in order; -1 stands for an optional one that is not there.
Result<std::vector<Fd>> open_host_places(const std::vector<HostPlace>& places);

// Hands the descriptors out, strictly in order.
class Dispenser {
 public:
  Dispenser(std::vector<Fd> descriptors, std::vector<HostPlace> places);
  // EINVAL: fewer or more descriptors than places; says which.
  Result<> check() const;
  // The next one, for a step with this target. Invalid Fd: an optional place that is not there.
  Result<Fd> take(const std::string& target);
  // How many were taken: the last one's number plus one.
  std::size_t taken() const { return next_; }
  // EINVAL: some were not taken; names them.
  Result<> check_empty() const;

 private:
  std::vector<Fd> descriptors_;
  std::vector<HostPlace> places_;
  std::size_t next_ = 0;
};

}  // namespace caisson::sandbox::boot
