// The sandbox: which platform a start would choose, and what confines its kernel.
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/auxv.h>

#include "base/text.h"
#include "cli/doctor.h"
#include "sys/call.h"
#include "sys/process.h"

namespace caisson::cli {
namespace {

// Programs set their own fs and gs: without it, systrap could not keep a guest's.
bool has_fsgsbase() {
#if defined(__x86_64__)
  constexpr unsigned long kFsGsBase = 1 << 1;  // HWCAP2_FSGSBASE
  return (::getauxval(AT_HWCAP2) & kFsGsBase) != 0;
#else
  return false;
#endif
}

// Why systrap is not chosen; empty: it is.
std::string_view against_systrap() {
  if (!has_fsgsbase()) return "this processor or kernel does not let programs use wrfsbase";
  if (!sys::has_seccomp_action(SECCOMP_RET_USER_NOTIF))
    return "this kernel has no seccomp notifications (Linux 5.0)";
  return {};
}

std::string confinement() {
  auto version =
      sys::call(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version ? cat("Landlock ", *version) : std::string("no Landlock");
}

}  // namespace

void check_sandbox(const Context& context, std::vector<Finding>& findings) {
  if (context.syscall_page == nullptr) {
    findings.push_back({"sandbox", Health::kLimited,
                        "this caisson is built without it: --wall sandbox is refused",
                        "use a caisson built with -DCAISSON_SANDBOX=ON"});
    return;
  }
  std::string_view reason = against_systrap();
  if (reason.empty()) {
    findings.push_back(
        {"sandbox", Health::kOk, cat("platform systrap, the faster one; ", confinement()), {}});
    return;
  }
  findings.push_back({"sandbox", Health::kLimited,
                      cat("platform ptrace, the slower one: ", reason, "; ", confinement()),
                      "use a processor and a kernel with FSGSBASE (Linux 5.9) for systrap"});
}

}  // namespace caisson::cli
