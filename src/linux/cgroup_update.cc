// New limits for cgroups in use: all of them or none.
#include <algorithm>
#include <utility>

#include "linux/cgroup.h"
#include "linux/cgroup_files.h"
#include "linux/cgroup_restore.h"
#include "linux/device_program.h"
#include "linux/scope.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

// The value of a key that the file did not list: what the kernel has for keys that nobody set.
struct Default {
  std::string_view file, value;
};

constexpr Default kDefaults[] = {
    {"io.max", "rbps=max wbps=max riops=max wiops=max"},
    {"io.weight", "default"},
    {"io.bfq.weight", "default"},
    {"blkio.bfq.weight_device", "default"},
    {"rdma.max", "hca_handle=max hca_object=max"},
};

std::string_view default_of(std::string_view file) {
  auto found = std::ranges::find(kDefaults, file, &Default::file);
  return found == std::end(kDefaults) ? "0" : found->value;
}

// "8:16" of "8:16 rbps=5"; empty when the file has one value for all.
std::string_view key_of(std::string_view file, std::string_view written) {
  const auto space = written.find(' ');
  if (file == "cpu.max" || space == written.npos) return {};
  return written.substr(0, space);
}

struct Former {
  std::string directory, file, text, written;
};

std::vector<Former> read_former(const plan::CgroupDirectory& step, const std::string& path) {
  std::vector<Former> out;
  auto add = [&](const std::string& file, const std::string& value) {
    if (file.empty()) return;
    auto text = read_control(path, file);
    if (text) out.push_back({path, file, *std::move(text), value});
  };
  for (const plan::CgroupWrite& write : step.writes) {
    add(write.file, write.value);
    add(write.alternative_file, write.alternative_value);
  }
  return out;
}

// Twice, since one value may be in the way of another. What the kernel refuses now has to stay.
void restore(const std::vector<Former>& files) {
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = files.size(); i-- > 0;) {
      const Former& former = files[i];
      for (const auto& value : restoring_values(former.file, former.text, former.written)) {
        (void)write_control(former.directory, former.file, value);
      }
    }
  }
}

Result<> set_devices(const plan::CgroupPlan& plan, const std::vector<plan::CgroupDevice>& rules) {
  for (const plan::CgroupDirectory& step : plan.directories) {
    const std::string path = cat(step.mount_point, step.path);
    if (step.v2) {
      Fd directory = TRY_CTX(sys::openat(sys::kCwd, path.c_str(), O_RDONLY | O_DIRECTORY),
                             "open cgroup ", path);
      return set_device_program(directory, rules);
    }
    if (lists_controller(step.controllers, "devices")) return change_device_files(path, rules);
  }
  return {};
}

Result<> write_limits(const plan::CgroupPlan& plan, std::vector<Former>& former) {
  for (const plan::CgroupDirectory& step : plan.directories) {
    if (step.writes.empty()) continue;
    const std::string path = cat(step.mount_point, step.path);
    std::string not_enabled;
    if (step.v2 && !step.mount_point.empty()) {
      not_enabled = enable_controllers(path, step.mount_point, step.enable_controllers);
    }
    std::ranges::move(read_former(step, path), std::back_inserter(former));
    TRY(apply_writes({step, path, not_enabled}));
  }
  return {};
}

// systemd writes what it is told by itself, rounded to its own units; hence ours once more.
Result<> tell_systemd(const plan::CgroupPlan& plan) {
  if (!plan.scope || plan.scope->properties.empty()) return {};
  auto told = set_scope_properties(*plan.scope, plan.scope->properties);
  if (!told && told.error().code() != "systemd.absent") return told;
  std::vector<Former> former;
  return write_limits(plan, former);
}

}  // namespace

std::vector<std::string> restoring_values(std::string_view file, std::string_view before,
                                          std::string_view written) {
  const std::string_view key = key_of(file, written);
  if (key.empty()) {
    std::string_view line = split_once(before, '\n').first;
    // "oom_kill_disable 0" is written as "0".
    if (file == "memory.oom_control") line = split_once(line, ' ').second;
    // An empty write does not reach the kernel.
    return {line.empty() ? "\n" : std::string(line)};
  }
  for (std::string_view line : split(before, '\n')) {
    if (split_once(line, ' ').first == key) return {std::string(line)};
  }
  return {cat(key, ' ', default_of(file))};
}

Result<> update_cgroups(const plan::CgroupUpdate& update, const std::function<Result<>()>& commit) {
  const plan::CgroupPlan& plan = update.plan;
  std::vector<Former> former;
  Result<> done = write_limits(plan, former);
  bool devices_changed = false;
  if (done && plan.device_rules) {
    devices_changed = true;
    done = set_devices(plan, plan.devices);
  }
  if (done) done = tell_systemd(plan);
  if (done) done = commit();
  if (done) return done;
  if (devices_changed) (void)set_devices(plan, update.previous_devices);
  restore(former);
  return std::unexpected(std::move(done).error().step("cgroup"));
}

}  // namespace caisson::linux
