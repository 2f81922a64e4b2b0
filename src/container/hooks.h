// Runs the hooks of an OCI configuration.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "container/api.h"
#include "container/container.h"
#include "container/store.h"
#include "plan/executor.h"
#include "spec/container_spec.h"

namespace caisson::container {

// Where a hook runs: in the caller's namespaces, or in those of a process.
struct HookPlace {
  int pidfd = -1;                // -1: the caller's
  std::uint64_t namespaces = 0;  // CLONE_NEW*: which ones are entered
  int out = -1, err = -1;        // where their output goes; -1: kept for the error
};

// Files that take the hooks' output, as the annotations run.oci.hooks.stdout and
// run.oci.hooks.stderr name them; appended to.
struct HookOutput {
  Fd out, err;
  static Result<HookOutput> open(const std::map<std::string, std::string>& annotations);
  HookPlace place() const { return {-1, 0, out.number(), err.number()}; }
};

// Runs them in order, each to its end: with exactly its own arguments and environment (without one
// it inherits ours, as with other runtimes), `state` (JSON) on standard input, in a session of its
// own. A hook fails by its exit status, by a signal, or by running longer than its timeout (then
// its process group is killed); what it wrote, up to 4 KB, is in the error. `phase` is the hooks'
// name: "createRuntime". The first failure ends the list.
Result<> run_hooks(const std::vector<spec::Hook>& hooks, std::string_view phase,
                   std::string_view state, const HookPlace& place = {});

// The namespaces of a plan that differ from the caller's, as CLONE_NEW* flags for HookPlace.
std::uint64_t own_namespaces(const plan::NamespacePlan& plan);

// The poststop hooks of the configuration. Failures are warnings.
void run_poststop_hooks(const Context& context, const Container& container, std::string_view state);

}  // namespace caisson::container
