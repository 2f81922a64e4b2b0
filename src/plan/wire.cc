#include "plan/wire.h"

#include <cstring>
#include <type_traits>
#include <utility>

namespace caisson::plan {
namespace {

constexpr std::uint32_t kMagic = 0x32706363;  // "ccp2": the version is part of it

// Both directions walk the same lists of fields (fields() below), so that they cannot differ.
class Writer {
 public:
  template <typename... Values>
  void operator()(Values&... values) {
    (put(values), ...);
  }
  std::string take() { return std::move(out_); }

  template <typename T>
    requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void put(const T& value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put(std::string& text) { put(std::as_const(text)); }
  void put(const std::string& text) {
    put(static_cast<std::uint32_t>(text.size()));
    out_ += text;
  }
  template <typename T>
  void put(std::vector<T>& values) {
    put(static_cast<std::uint32_t>(values.size()));
    for (auto& value : values) put(value);
  }
  template <typename K, typename V>
  void put(std::map<K, V>& values) {
    put(static_cast<std::uint32_t>(values.size()));
    for (auto& [key, value] : values) {
      put(key);
      put(value);
    }
  }
  template <typename T>
  void put(std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <typename T>
    requires std::is_class_v<T>
  void put(T& value) {
    fields(*this, value);
  }

 private:
  std::string out_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  template <typename... Values>
  void operator()(Values&... values) {
    (put(values), ...);
  }
  bool complete() const { return !failed_ && rest_.empty(); }

  void put(bool& value) {
    std::uint8_t byte = 0;
    take(&byte, 1);
    failed_ |= byte > 1;
    value = byte == 1;
  }
  template <typename T>
    requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void put(T& value) {
    take(&value, sizeof value);
  }
  void put(std::string& text) {
    std::size_t size = count(1);
    text.assign(rest_.substr(0, size));
    rest_.remove_prefix(size);
  }
  template <typename T>
  void put(std::vector<T>& values) {
    values.clear();
    for (std::size_t left = count(1); left > 0 && !failed_; --left) put(values.emplace_back());
  }
  template <typename K, typename V>
  void put(std::map<K, V>& values) {
    values.clear();
    for (std::size_t left = count(1); left > 0 && !failed_; --left) {
      K key{};
      put(key);
      put(values[key]);
    }
  }
  template <typename T>
  void put(std::optional<T>& value) {
    bool there = false;
    put(there);
    value.reset();
    if (there && !failed_) put(value.emplace());
  }
  template <typename T>
    requires std::is_class_v<T>
  void put(T& value) {
    fields(*this, value);
  }

 private:
  void take(void* to, std::size_t size) {
    if (failed_ || rest_.size() < size) {
      failed_ = true;
      return;
    }
    std::memcpy(to, rest_.data(), size);
    rest_.remove_prefix(size);
  }
  // A number of elements of at least `least` bytes each: never more than can be there.
  std::size_t count(std::size_t least) {
    std::uint32_t value = 0;
    take(&value, sizeof value);
    if (value > rest_.size() / least) failed_ = true;
    return failed_ ? 0 : value;
  }

  std::string_view rest_;
  bool failed_ = false;
};

template <typename Archive>
void fields(Archive& a, GuestLimits& limits) {
  a(limits.memory_bytes, limits.cpu_quota_us, limits.cpu_period_us, limits.cpu_weight,
    limits.processors, limits.processes);
}
template <typename Archive>
void fields(Archive& a, KeyValue& value) {
  a(value.key, value.value);
}
template <typename Archive>
void fields(Archive& a, IdMapping& map) {
  a(map.container_id, map.host_id, map.size);
}
template <typename Archive>
void fields(Archive& a, MountStep& step) {
  a(step.op, step.phase, step.type, step.source, step.target, step.attr_set, step.attr_clear,
    step.attr_recursive, step.recursive_set, step.recursive_clear, step.keep_source_flags,
    step.source_flags_locked, step.cleared_by_name, step.propagation, step.propagation_recursive,
    step.recursive, step.options, step.uid_mappings, step.gid_mappings, step.idmap_recursive,
    step.idmap_joined, step.source_in_root, step.no_symlink_source, step.copy_symlink,
    step.no_symlink_target, step.if_missing, step.optional, step.mode, step.device_type, step.major,
    step.minor, step.uid, step.gid, step.bind_device, step.host_tree, step.inside_directory_only,
    step.layer, step.fallback_readonly_bind, step.mode_of_target, step.origin);
}
template <typename Archive>
void fields(Archive& a, RootPlan& root) {
  a(root.path, root.machine_view, root.empty_tmpfs, root.layers_size, root.readonly,
    root.propagation, root.propagation_recursive, root.pivot);
}
template <typename Archive>
void fields(Archive& a, MountPlan& mounts) {
  a(mounts.root, mounts.steps);
}
template <typename Archive>
void fields(Archive& a, RlimitStep& limit) {
  a(limit.resource, limit.name, limit.soft, limit.hard);
}
template <typename Archive>
void fields(Archive& a, CapabilityPlan& capabilities) {
  a(capabilities.apply, capabilities.bounding, capabilities.effective, capabilities.inheritable,
    capabilities.permitted, capabilities.ambient);
}
template <typename Archive>
void fields(Archive& a, ProcessPlan& process) {
  a(process.args, process.env, process.cwd, process.create_cwd, process.uid, process.gid,
    process.additional_gids, process.set_groups, process.umask, process.set_home,
    process.capabilities, process.rlimits, process.no_new_privileges, process.oom_score_adj,
    process.terminal, process.console_rows, process.console_columns,
    process.console_keeps_newlines);
}
template <typename Archive>
void fields(Archive& a, SandboxPlan& sandbox) {
  a(sandbox.platform, sandbox.host_network, sandbox.root_access, sandbox.mount_access,
    sandbox.overlay_root, sandbox.overlay_directory, sandbox.overlay_size, sandbox.strace,
    sandbox.strace_calls, sandbox.limits, sandbox.joined, sandbox.own_pids, sandbox.own_ipc,
    sandbox.own_names);
}
template <typename Archive>
void fields(Archive& a, GuestChange& change) {
  a(change.kind, change.path);
}
template <typename Archive>
void fields(Archive& a, GuestProcess& process) {
  a(process.pid, process.parent, process.uid, process.gid, process.state, process.threads,
    process.name, process.args, process.terminal, process.started_ns, process.cpu_ns);
}
template <typename Archive>
void fields(Archive& a, Plan& plan) {
  a(plan.id, plan.bundle, plan.sandbox, plan.mounts, plan.hostname, plan.domainname, plan.process,
    plan.annotations);
}

template <typename T>
std::string encode_value(T value) {
  Writer writer;
  std::uint32_t magic = kMagic;
  writer(magic, value);
  return writer.take();
}

template <typename T>
Result<> decode_into(std::string_view bytes, T& value) {
  Reader reader(bytes);
  std::uint32_t magic = 0;
  reader(magic);
  if (magic == kMagic) reader(value);
  if (magic == kMagic && reader.complete()) return {};
  return std::unexpected(Error::invalid("is not a plan of this version").doing("read a plan"));
}

bool in_range(const MountPlan& mounts) {
  for (const auto& step : mounts.steps) {
    if (step.op > MountOp::kUnmount || step.phase > Phase::kFinal ||
        step.if_missing > IfMissing::kFail)
      return false;
  }
  return true;
}

}  // namespace

std::string encode(const Plan& plan) { return encode_value(plan); }

Result<> decode(std::string_view bytes, Plan& plan) {
  TRY(decode_into(bytes, plan));
  bool valid = in_range(plan.mounts);
  if (plan.sandbox) {
    valid &= plan.sandbox->root_access <= FileAccess::kShared &&
             plan.sandbox->mount_access <= FileAccess::kShared;
  }
  if (valid) return {};
  return std::unexpected(Error::invalid("has a number that no plan has").doing("read a plan"));
}

std::string encode(const ProcessPlan& process) { return encode_value(process); }
Result<> decode(std::string_view bytes, ProcessPlan& process) {
  return decode_into(bytes, process);
}

std::string encode(const GuestLimits& limits) { return encode_value(limits); }
Result<> decode(std::string_view bytes, GuestLimits& limits) { return decode_into(bytes, limits); }

std::string encode(const std::vector<GuestChange>& changes) { return encode_value(changes); }
Result<> decode(std::string_view bytes, std::vector<GuestChange>& changes) {
  TRY(decode_into(bytes, changes));
  for (const auto& change : changes)
    if (change.kind > GuestChange::Kind::kDeleted)
      return std::unexpected(
          Error::invalid("has a number that no change has").doing("read changes"));
  return {};
}

std::string encode(const std::vector<GuestProcess>& processes) { return encode_value(processes); }
Result<> decode(std::string_view bytes, std::vector<GuestProcess>& processes) {
  return decode_into(bytes, processes);
}

}  // namespace caisson::plan
