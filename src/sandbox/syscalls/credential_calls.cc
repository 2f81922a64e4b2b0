// User and group ids and capabilities (credentials(7), capabilities(7); kernel/sys.c,
// security/commoncap.c of Linux).
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/syscall.h>

#include <algorithm>

#include "sandbox/kernel/kernel.h"
#include "sandbox/syscalls/answer.h"
#include "sandbox/syscalls/credential_changes.h"
#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {
namespace {

using vfs::Credentials;

Value getuid(Task& task, const Arguments&) { return task.credentials().uid; }
Value geteuid(Task& task, const Arguments&) { return task.credentials().euid; }
Value getgid(Task& task, const Arguments&) { return task.credentials().gid; }
Value getegid(Task& task, const Arguments&) { return task.credentials().egid; }

Value getresuid(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  TRY(store(task, arguments.u64(0), own.uid));
  TRY(store(task, arguments.u64(1), own.euid));
  TRY(store(task, arguments.u64(2), own.suid));
  return 0;
}

Value getresgid(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  TRY(store(task, arguments.u64(0), own.gid));
  TRY(store(task, arguments.u64(1), own.egid));
  TRY(store(task, arguments.u64(2), own.sgid));
  return 0;
}

// The rules see users and groups alike: three ids, of which an unprivileged task may choose.
struct Triple {
  std::uint32_t real, effective, saved;
};
constexpr std::uint32_t kKeep = ~std::uint32_t{0};

// setuid(2): all three with the capability, else the effective one.
ErrnoOr<Triple> set_one(Triple now, std::uint32_t id, bool may) {
  if (id == kKeep) return fail(EINVAL);
  if (may) return Triple{id, id, id};
  if (id != now.real && id != now.saved) return fail(EPERM);
  return Triple{now.real, id, now.saved};
}

// setreuid(2). The saved id follows when the real one is set, or the effective one to another than
// the real one.
ErrnoOr<Triple> set_two(Triple now, std::uint32_t real, std::uint32_t effective, bool may) {
  if (real != kKeep && real != now.real && real != now.effective && !may) return fail(EPERM);
  if (effective != kKeep && effective != now.real && effective != now.effective &&
      effective != now.saved && !may)
    return fail(EPERM);
  Triple next = now;
  if (real != kKeep) next.real = real;
  if (effective != kKeep) next.effective = effective;
  if (real != kKeep || (effective != kKeep && effective != now.real)) next.saved = next.effective;
  return next;
}

// setresuid(2).
ErrnoOr<Triple> set_three(Triple now, Triple wanted, bool may) {
  for (std::uint32_t id : {wanted.real, wanted.effective, wanted.saved})
    if (id != kKeep && id != now.real && id != now.effective && id != now.saved && !may)
      return fail(EPERM);
  return Triple{wanted.real == kKeep ? now.real : wanted.real,
                wanted.effective == kKeep ? now.effective : wanted.effective,
                wanted.saved == kKeep ? now.saved : wanted.saved};
}

Triple users(const Credentials& own) { return {own.uid, own.euid, own.suid}; }
Triple groups(const Credentials& own) { return {own.gid, own.egid, own.sgid}; }

Value take_users(Task& task, const ErrnoOr<Triple>& next) {
  if (!next) return std::unexpected(next.error());
  Ref<Credentials> changed = task.credentials().copy();
  changed->uid = next->real;
  changed->euid = changed->fsuid = next->effective;
  changed->suid = next->saved;
  drop_capabilities_of_root(task.credentials(), *changed);
  take_credentials(task, std::move(changed));
  return 0;
}

Value take_groups(Task& task, const ErrnoOr<Triple>& next) {
  if (!next) return std::unexpected(next.error());
  Ref<Credentials> changed = task.credentials().copy();
  changed->gid = next->real;
  changed->egid = changed->fsgid = next->effective;
  changed->sgid = next->saved;
  take_credentials(task, std::move(changed));
  return 0;
}

Value setuid(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  return take_users(task, set_one(users(own), arguments.u32(0), own.has(CAP_SETUID)));
}
Value setgid(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  return take_groups(task, set_one(groups(own), arguments.u32(0), own.has(CAP_SETGID)));
}
Value setreuid(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  return take_users(task,
                    set_two(users(own), arguments.u32(0), arguments.u32(1), own.has(CAP_SETUID)));
}
Value setregid(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  return take_groups(task,
                     set_two(groups(own), arguments.u32(0), arguments.u32(1), own.has(CAP_SETGID)));
}
Value setresuid(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  Triple wanted{arguments.u32(0), arguments.u32(1), arguments.u32(2)};
  return take_users(task, set_three(users(own), wanted, own.has(CAP_SETUID)));
}
Value setresgid(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  Triple wanted{arguments.u32(0), arguments.u32(1), arguments.u32(2)};
  return take_groups(task, set_three(groups(own), wanted, own.has(CAP_SETGID)));
}

// These two never fail: they answer what it was before.
Value setfsuid(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  std::uint32_t before = own.fsuid, id = arguments.u32(0);
  bool may =
      id == own.uid || id == own.euid || id == own.suid || id == own.fsuid || own.has(CAP_SETUID);
  if (!may || id == kKeep || id == before) return before;
  Ref<Credentials> changed = own.copy();
  changed->fsuid = id;
  drop_file_capabilities_of_root(own, *changed);
  take_credentials(task, std::move(changed));
  return before;
}

Value setfsgid(Task& task, const Arguments& arguments) {
  const Credentials& own = task.credentials();
  std::uint32_t before = own.fsgid, id = arguments.u32(0);
  bool may =
      id == own.gid || id == own.egid || id == own.sgid || id == own.fsgid || own.has(CAP_SETGID);
  if (!may || id == kKeep || id == before) return before;
  Ref<Credentials> changed = own.copy();
  changed->fsgid = id;
  take_credentials(task, std::move(changed));
  return before;
}

constexpr int kMostGroups = 65536;  // NGROUPS_MAX

Value getgroups(Task& task, const Arguments& arguments) {
  const auto& own = task.credentials().groups;
  auto count = static_cast<std::int64_t>(own.size());
  std::int32_t room = arguments.i32(0);
  if (room < 0) return fail(EINVAL);
  if (room == 0) return count;
  if (count > room) return fail(EINVAL);
  TRY(arguments.pointer<vfs::Gid>(1).store(task.memory(), std::span<const vfs::Gid>(own)));
  return count;
}

Value setgroups(Task& task, const Arguments& arguments) {
  if (!task.credentials().has(CAP_SETGID)) return fail(EPERM);
  std::uint32_t count = arguments.u32(0);
  if (count > kMostGroups) return fail(EINVAL);
  std::vector<vfs::Gid> groups_now(count);
  TRY(arguments.pointer<vfs::Gid>(1).load(task.memory(), std::span<vfs::Gid>(groups_now)));
  std::ranges::sort(groups_now);
  Ref<Credentials> changed = task.credentials().copy();
  changed->groups = std::move(groups_now);
  task.kernel().change_credentials(task, std::move(changed));
  return 0;
}

// --- capget(2), capset(2)

struct CapabilityHeader {
  std::uint32_t version = 0;
  std::int32_t pid = 0;
};
struct CapabilityData {
  std::uint32_t effective = 0, permitted = 0, inheritable = 0;
};

// Words per set; 0: an unknown version, to which the preferred one is answered.
ErrnoOr<std::size_t> words_of(Task& task, std::uint64_t address, const CapabilityHeader& header) {
  switch (header.version) {
    case _LINUX_CAPABILITY_VERSION_1: return 1;
    case _LINUX_CAPABILITY_VERSION_2:
    case _LINUX_CAPABILITY_VERSION_3: return 2;
    default: TRY(store(task, address, std::uint32_t{_LINUX_CAPABILITY_VERSION_3})); return 0;
  }
}

Value capget(Task& task, const Arguments& arguments) {
  auto header = TRY(load<CapabilityHeader>(task, arguments.u64(0)));
  std::size_t words = TRY(words_of(task, arguments.u64(0), header));
  if (words == 0) return arguments.u64(1) == 0 ? Value(0) : fail(EINVAL);
  if (header.pid < 0) return fail(EINVAL);
  Ref<Credentials> shown = task.credentials_ref();
  if (header.pid != 0) {
    Locked tree(task.kernel().task_lock());
    Task* other = task.kernel().find_task(*task.group().pid_namespace, header.pid);
    if (other == nullptr) return fail(ESRCH);
    shown = other->credentials_ref();
  }
  if (arguments.u64(1) == 0) return 0;
  std::array<CapabilityData, 2> data;
  for (std::size_t i = 0; i < 2; ++i) {
    data[i].effective = static_cast<std::uint32_t>(shown->effective >> (32 * i));
    data[i].permitted = static_cast<std::uint32_t>(shown->permitted >> (32 * i));
    data[i].inheritable = static_cast<std::uint32_t>(shown->inheritable >> (32 * i));
  }
  TRY(arguments.pointer<CapabilityData>(1).store(
      task.memory(), std::span<const CapabilityData>(data).first(words)));
  return 0;
}

Value capset(Task& task, const Arguments& arguments) {
  auto header = TRY(load<CapabilityHeader>(task, arguments.u64(0)));
  std::size_t words = TRY(words_of(task, arguments.u64(0), header));
  if (words == 0) return fail(EINVAL);
  if (header.pid != 0 && header.pid != task.id()) return fail(EPERM);
  std::array<CapabilityData, 2> data;
  TRY(arguments.pointer<CapabilityData>(1).load(task.memory(),
                                                std::span<CapabilityData>(data).first(words)));
  vfs::CapabilitySet effective = 0, permitted = 0, inheritable = 0;
  for (std::size_t i = 0; i < words; ++i) {
    effective |= vfs::CapabilitySet{data[i].effective} << (32 * i);
    permitted |= vfs::CapabilitySet{data[i].permitted} << (32 * i);
    inheritable |= vfs::CapabilitySet{data[i].inheritable} << (32 * i);
  }
  Ref<Credentials> changed = task.credentials().copy();
  const Credentials& own = task.credentials();
  effective &= vfs::kAllCapabilities;
  permitted &= vfs::kAllCapabilities;
  inheritable &= vfs::kAllCapabilities;
  bool is_free = own.has(CAP_SETPCAP);
  if (!is_free && (inheritable & ~(own.inheritable | own.permitted)) != 0) return fail(EPERM);
  if ((inheritable & ~(own.inheritable | own.bounding)) != 0) return fail(EPERM);
  if ((permitted & ~own.permitted) != 0 || (effective & ~permitted) != 0) return fail(EPERM);
  changed->effective = effective;
  changed->permitted = permitted;
  changed->inheritable = inheritable;
  changed->ambient &= permitted & inheritable;
  take_credentials(task, std::move(changed));
  return 0;
}

constexpr Entry kEntries[] = {
    {__NR_getuid, "getuid", getuid},          {__NR_geteuid, "geteuid", geteuid},
    {__NR_getgid, "getgid", getgid},          {__NR_getegid, "getegid", getegid},
    {__NR_getresuid, "getresuid", getresuid}, {__NR_getresgid, "getresgid", getresgid},
    {__NR_setuid, "setuid", setuid},          {__NR_setgid, "setgid", setgid},
    {__NR_setreuid, "setreuid", setreuid},    {__NR_setregid, "setregid", setregid},
    {__NR_setresuid, "setresuid", setresuid}, {__NR_setresgid, "setresgid", setresgid},
    {__NR_setfsuid, "setfsuid", setfsuid},    {__NR_setfsgid, "setfsgid", setfsgid},
    {__NR_getgroups, "getgroups", getgroups}, {__NR_setgroups, "setgroups", setgroups},
    {__NR_capget, "capget", capget},          {__NR_capset, "capset", capset},
};

}  // namespace

std::span<const Entry> credential_calls() { return kEntries; }

}  // namespace caisson::sandbox::syscalls
