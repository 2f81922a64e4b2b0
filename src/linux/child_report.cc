#include "linux/child_report.h"

#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

namespace caisson::linux {
namespace {

using plan::MountOp;
using plan::MountStep;

constexpr std::string_view kStepNames[] = {
    "none",
    "prepare",
    "join-cgroup",
    "join-namespaces",
    "id-maps",
    "time-namespace",
    "become-root",
    "network",
    "root",
    "mounts",
    "late-joins",
    "namespaces",
    "loopback",
    "net-devices",
    "root",
    "mounts",
    "hooks",
    "pivot",
    "masks",
    "propagation",
    "hostname",
    "sysctl",
    "console",
    "device-rules",
    "limits",
    "scheduling",
    "working-directory",
    "keyring",
    "seccomp",
    "credentials",
    "find-program",
    "launcher",
};
static_assert(std::size(kStepNames) == static_cast<std::size_t>(ChildStep::kCount));

constexpr std::string_view kOperationNames[] = {
    "",      "open source",    "resolve target", "make target", "open file system", "configure",
    "mount", "set attributes", "map ids of",     "attach",      "make device",      "make link",
    "write", "read",           "detach",
};

std::string_view mount_verb(MountOp op) {
  switch (op) {
    case MountOp::kNewFilesystem: return "mount";
    case MountOp::kOverlayView: return "copy-on-write view of";
    case MountOp::kBind: return "bind";
    case MountOp::kSetAttributes: return "set attributes of";
    case MountOp::kPropagation: return "set propagation of";
    case MountOp::kMask: return "mask";
    case MountOp::kReadonlyPath: return "make read-only";
    case MountOp::kSymlink: return "link";
    case MountOp::kDirectory: return "make directory";
    case MountOp::kDeviceNode: return "make device";
    case MountOp::kCopyUp: return "mount (tmpcopyup)";
    case MountOp::kCgroup: return "mount cgroup file systems";
    case MountOp::kConsole: return "make console";
    case MountOp::kUnmount: return "unmount";
  }
  return "mount";
}

std::string describe(const MountStep& step) {
  if (step.op == MountOp::kNewFilesystem || step.op == MountOp::kCopyUp) {
    return cat(mount_verb(step.op), " ", step.type, " on ", step.target);
  }
  if (step.op == MountOp::kBind || step.op == MountOp::kSymlink) {
    return cat(mount_verb(step.op), " ", step.source, " on ", step.target);
  }
  return cat(mount_verb(step.op), " ", step.target);
}

std::string_view mount_cure(const ChildReport& report) {
  switch (report.operation) {
    case Operation::kOpenSource:
      if (report.error == ENOENT) return "create the source on the host or correct the path";
      if (report.error == EACCES)
        return "the mapped root of the user namespace must be able to search it";
      break;
    case Operation::kDetach:
      if (report.error == EINVAL) {
        return "nothing but the root file system is mounted there; see /proc/self/mountinfo in the "
               "container";
      }
      break;
    case Operation::kResolveTarget:
      if (report.error == ELOOP || report.error == EXDEV) {
        return "the target must be a plain path inside the root file system, without links that "
               "leave it";
      }
      if (report.error == ENOENT) return "create the target in the root file system";
      break;
    case Operation::kMakeTarget:
      if (report.error == EROFS)
        return "create the target in the root file system, which is read-only";
      if (report.error == EACCES)
        return "create the target in the root file system, which this user may not change";
      break;
    case Operation::kOpenFilesystem:
      if (report.error == ENODEV) return "load the kernel module of this file system type";
      if (report.error == EPERM)
        return "this file system type needs privileges in the initial user namespace";
      break;
    case Operation::kConfigure:
      if (report.error == EINVAL) return "remove or correct the option";
      break;
    case Operation::kIdMap:
      if (report.error == EINVAL) return "this file system may not support idmapped mounts";
      break;
    case Operation::kMount:
      if (report.error == EPERM) return "a user namespace may not mount this here";
      break;
    case Operation::kAttributes:
      if (report.error == EPERM) {
        return "the source's mount has a flag that a user namespace may not take from it: leave "
               "the "
               "option out that clears it, or clear it on the host";
      }
      break;
    case Operation::kNone:
    case Operation::kAttach:
    case Operation::kMakeNode:
    case Operation::kMakeLink:
    case Operation::kWrite:
    case Operation::kRead: break;
  }
  if (report.error == ENOSPC) return "free space or raise the limits on mounts (fs.mount-max)";
  return "";
}

Error mount_error(const ChildReport& report, const plan::Plan& plan) {
  const auto& step = plan.mounts.steps[static_cast<std::size_t>(report.index)];
  std::string doing = describe(step);
  if (report.operation == Operation::kConfigure && report.object[0] != '\0' &&
      report.object != step.target) {
    append(doing, ": option ", quoted(report.object));
  } else if (report.operation != Operation::kNone && report.operation != Operation::kMount) {
    append(doing, ": ", operation_name(report.operation));
  }
  // A link there could lead the masks and read-only paths below astray.
  bool linked = report.operation == Operation::kResolveTarget &&
                (report.error == ELOOP || report.error == ENOTDIR) &&
                (step.type == "proc" || step.type == "sysfs");
  Error error =
      linked ? Error::with_cause(report.error,
                                 cat(quoted(step.type), " must be mounted on ordinary directory: ",
                                     errno_text(report.error)))
      : report.log[0] != '\0'
          ? Error::with_cause(report.error, cat(report.log, " (", errno_text(report.error), ")"))
          : Error(Errno{report.error});
  auto cure = mount_cure(report);
  Error full = std::move(error).doing(doing).code("mount.failed");
  if (!step.origin.empty()) full = std::move(full).where(step.origin);
  if (!cure.empty()) full = std::move(full).cure(cure);
  return full;
}

std::string lower_errno(int value) {
  std::string text(errno_text(value));
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return text;
}

Error missing_program(const std::string& name, int error) {
  bool searched = name.find('/') == std::string::npos;
  std::string what = cat("exec: ", quoted(name), ": ");
  if (error == ENOENT && searched) {
    return Error::with_cause(error, what + "executable file not found in $PATH")
        .cure("install it, correct the name, or give its path; PATH is the container's own")
        .code("exec.missing");
  }
  if (error == ENOENT) {
    return Error::with_cause(error, cat(what, "stat ", name, ": no such file or directory"))
        .cure("the path is looked up inside the container's root file system")
        .code("exec.missing");
  }
  if (error == EISDIR) {
    return Error::with_cause(EACCES, what + "is a directory: permission denied")
        .cure("name a program, not a directory")
        .code("exec.denied");
  }
  if (error == EACCES) {
    return Error::with_cause(error, what + "permission denied")
        .cure("set its execute bit (chmod +x), and check that the user may search its directories")
        .code("exec.denied");
  }
  return Error::with_cause(error, what + lower_errno(error)).code("exec.failed");
}

struct StepCure {
  ChildStep step;
  int error;  // 0: any
  std::string_view text;
};

constexpr StepCure kStepCures[] = {
    {ChildStep::kScheduling, EPERM,
     "without CAP_SYS_NICE none but the idle policies are ours; process scheduler can't be used "
     "together with AllowedCPUs (linux.resources.cpu.cpus) when it is SCHED_DEADLINE"},
    {ChildStep::kLimits, EPERM, "a hard limit above the caller's own needs CAP_SYS_RESOURCE"},
    {ChildStep::kWorkingDirectory, 0,
     "process.cwd must be a directory inside the root file system"},
    {ChildStep::kPrepare, EACCES,
     "lowering process.oomScoreAdj below the caller's needs CAP_SYS_RESOURCE: leave it out"},
    {ChildStep::kSysctl, EINVAL,
     "the kernel refuses the value; ids in it must be mapped in the container's user namespace"},
    {ChildStep::kSysctl, ENOENT, "this kernel does not have that setting"},
    {ChildStep::kPivot, EINVAL, "on a ramfs root (initramfs) use --no-pivot"},
    {ChildStep::kKeyring, EDQUOT, "raise kernel.keys.maxkeys, or use --no-new-keyring"},
    {ChildStep::kCredentials, EINVAL, "the id is not mapped in the container's user namespace"},
    {ChildStep::kJoinNamespaces, EPERM,
     "joining needs CAP_SYS_ADMIN in the user namespace that owns it"},
    {ChildStep::kNamespaces, ENOMEM,
     "raise linux.resources.memory.limit: the kernel charges namespaces to it"},
    {ChildStep::kIdMaps, EPERM,
     "unprivileged user namespaces may be restricted here: see `caisson doctor`"},
    {ChildStep::kIdMaps, EACCES,
     "unprivileged user namespaces may be restricted here: see `caisson doctor`"},
};

std::string_view step_cure(const ChildReport& report) {
  for (const auto& cure : kStepCures) {
    bool fits = cure.error == 0 || cure.error == report.error;
    if (cure.step == report.step && fits) return cure.text;
  }
  return "";
}

}  // namespace

std::string_view child_step_name(ChildStep step) {
  return kStepNames[static_cast<std::size_t>(step)];
}
std::string_view operation_name(Operation operation) {
  return kOperationNames[static_cast<std::size_t>(operation)];
}

Error child_error(const ChildReport& report, const plan::Plan& plan,
                  const plan::ProcessPlan& process) {
  auto name = child_step_name(report.step);
  if (report.step == ChildStep::kFindProgram) {
    return missing_program(process.args[0], report.error).step("exec");
  }
  constexpr ChildStep kMounting[] = {ChildStep::kEarlyRoot, ChildStep::kEarlyMounts,
                                     ChildStep::kRoot, ChildStep::kMounts, ChildStep::kMasks};
  bool mounting = std::ranges::find(kMounting, report.step) != std::end(kMounting);
  if (mounting && report.index >= 0 &&
      static_cast<std::size_t>(report.index) < plan.mounts.steps.size()) {
    return mount_error(report, plan).step(name);
  }
  std::string doing(operation_name(report.operation));
  if (report.object[0] != '\0') append(doing, doing.empty() ? "" : " ", report.object);
  Error error(Errno{report.error});
  if (!doing.empty()) error = std::move(error).doing(doing);
  auto cure = step_cure(report);
  if (cure.empty() && report.error == ENOMEM && plan.cgroup.tight_memory) {
    cure = "raise linux.resources.memory.limit";
  }
  if (!cure.empty()) error = std::move(error).cure(cure);
  return std::move(error).step(name).code("start.failed");
}

namespace {

std::string machine_name(std::uint32_t machine) {
  switch (machine) {
    case 3: return "i386";
    case 8: return "mips";
    case 20: return "ppc";
    case 21: return "ppc64";
    case 22: return "s390";
    case 40: return "arm";
    case 62: return "x86-64";
    case 183: return "aarch64";
    case 243: return "riscv";
    case 258: return "loongarch";
    default: return cat("ELF machine ", machine);
  }
}

Error exec_error(const LaunchReport& report, const std::string& program) {
  std::string what = cat("exec: ", quoted(program), ": ");
  std::string reason = lower_errno(report.error);
  switch (report.diagnosis) {
    case ExecDiagnosis::kMissing: return missing_program(program, report.error);
    case ExecDiagnosis::kIsDirectory: return missing_program(program, EISDIR);
    case ExecDiagnosis::kNotExecutable:
      return Error::with_cause(report.error, what + reason)
          .cure("set its execute bit (chmod +x), and check for a noexec mount or a security module")
          .code("exec.denied");
    case ExecDiagnosis::kWrongArchitecture:
      return Error::with_cause(report.error,
                               cat(what, reason, ": built for ", machine_name(report.machine),
                                   ", not this machine"))
          .cure(
              "use an image for this machine's architecture, or register an emulator (binfmt_misc)")
          .code("exec.architecture");
    case ExecDiagnosis::kMissingInterpreter:
      return Error::with_cause(report.error, cat(what, reason, ": its interpreter ",
                                                 quoted(report.detail), " is missing"))
          .cure("install the interpreter (or the C library's loader) in the root file system")
          .code("exec.interpreter");
    case ExecDiagnosis::kCarriageReturn:
      return Error::with_cause(report.error,
                               cat(what, reason, ": its first line ends in CR LF, so ",
                                   "the interpreter is ", quoted(cat(report.detail, "\r"))))
          .cure("convert the script to Unix line ends (sed -i 's/\\r$//')")
          .code("exec.crlf");
    case ExecDiagnosis::kEmptyFile:
      return Error::with_cause(report.error, cat(what, reason, ": the file is empty"))
          .cure("put a program there")
          .code("exec.format");
    case ExecDiagnosis::kUnknownFormat:
      return Error::with_cause(report.error,
                               cat(what, reason, ": neither an ELF file nor a script"))
          .cure("start scripts with #! and their interpreter, as in #!/bin/sh")
          .code("exec.format");
    case ExecDiagnosis::kNone: break;
  }
  return Error::with_cause(report.error, what + reason).code("exec.failed");
}

std::string wait_text(int status) {
  if (WIFSIGNALED(status)) return killed_text(WTERMSIG(status));
  return cat("exit status ", WEXITSTATUS(status));
}

Error hook_error(const LaunchReport& report) {
  std::string doing = cat("error running startContainer hook #", report.hook);
  std::string_view output =
      trim(std::string_view(report.detail, strnlen(report.detail, sizeof report.detail)));
  Error error = report.error >= 0
                    ? Error(Errno{report.error})
                    : Error::with_cause(ECANCELED, cat(wait_text(-report.error - 1),
                                                       output.empty() ? "" : ", output: ", output));
  return std::move(error)
      .doing(doing)
      .where("hooks.startContainer[", report.hook, "]")
      .step("hooks")
      .code("hook.failed");
}

// The kernel's word for "exec PROFILE" is ENOENT when no such profile is loaded; SELinux says
// EINVAL.
Error label_error(const LaunchReport& report) {
  std::string_view label(report.detail, strnlen(report.detail, sizeof report.detail));
  const bool apparmor = label.starts_with("exec ");
  Error error(Errno{report.error});
  const bool redirected = report.error == EXDEV || report.error == ELOOP;
  if (apparmor) {
    label.remove_prefix(std::string_view("exec ").size());
    error = report.error == ENOENT ? Error::with_cause(ENOENT, "no such profile is loaded")
                                   : std::move(error);
  }
  return std::move(error)
      .doing(apparmor ? "apply apparmor profile " : "set SELinux label ", quoted(label),
             ": write to `/proc/thread-self/attr/exec`")
      .where(apparmor ? "process.apparmorProfile" : "process.selinuxLabel")
      .cure(redirected
                ? "the container's /proc must be a procfs with nothing mounted over that file"
            : apparmor ? "load it (apparmor_parser -r FILE), or leave it out; aa-status lists them"
                       : "use a label that the loaded policy knows and allows us to enter")
      .step("label")
      .code("label.refused");
}

}  // namespace

Error launch_error(const LaunchReport& report, const std::string& program) {
  switch (report.step) {
    case LaunchStep::kExec: return exec_error(report, program).step("exec");
    case LaunchStep::kHook: return hook_error(report);
    case LaunchStep::kLabel: return label_error(report);
    case LaunchStep::kSeccomp:
      return Error(Errno{report.error}).doing("load the seccomp filter").step("seccomp");
    case LaunchStep::kClone:
      return Error(Errno{report.error})
          .doing("make the process in the container")
          .cure(report.error == EAGAIN
                    ? "the container's limit of pids, or the user's of processes "
                      "(RLIMIT_NPROC), leaves no room for two more"
                    : "")
          .step("clone");
    case LaunchStep::kTerminal:
      return Error(Errno{report.error}).doing("take the controlling terminal").step("console");
    case LaunchStep::kRead:
    case LaunchStep::kWait: break;
  }
  return Error(Errno{report.error}).step("launcher");
}

plan::Strings notices_of(const ChildReport& report, const plan::Plan& plan) {
  plan::Strings notices;
  for (std::size_t i = 0; i < plan.mounts.steps.size(); ++i) {
    if (report.skipped[i] == 0) continue;
    const auto& step = plan.mounts.steps[i];
    if (step.op == MountOp::kOverlayView) {
      notices.push_back(cat(step.target, " can't be copy-on-write here and is read-only"));
    } else {
      notices.push_back(cat(describe(step), " was not possible, skipped"));
    }
  }
  return notices;
}

}  // namespace caisson::linux
