#include <map>

#include "linux/cgroup_files.h"

namespace caisson::linux {
namespace {

constexpr std::string_view kCpusetFiles[] = {"cpuset.cpus", "cpuset.mems"};

std::string device_number(const std::optional<std::int64_t>& number) {
  return number ? cat(*number) : std::string("*");
}

Result<> write_device(const std::string& directory, bool allow, const std::string& line) {
  const char* file = allow ? "devices.allow" : "devices.deny";
  auto written = write_control(directory, file, line);
  if (written) return {};
  return std::unexpected(
      Error(written.error())
          .doing("write ", quoted(line), " to ", directory, '/', file)
          .cure("A rule can't allow what the parent cgroup refuses; run as root of the host for "
                "device rules.")
          .where("linux.resources.devices")
          .code("cgroup.devices"));
}

// All of one kind, as the kernel knows it: the rest of the line has no meaning for "a".
bool is_everything(const plan::CgroupDevice& rule) {
  auto has = [&](char letter) { return rule.access.find(letter) != std::string::npos; };
  return rule.type == 'a' && !rule.major && !rule.minor && has('r') && has('w') && has('m');
}

}  // namespace

ErrnoOr<> inherit_cpuset(const std::string& directory, const std::string& mount_point) {
  if (directory.size() <= mount_point.size()) return {};
  bool parent_filled = false;
  for (auto file : kCpusetFiles) {
    if (!TRY(read_control(directory, file)).empty()) continue;
    const std::string parent = split_path(directory).first;
    if (!parent_filled) TRY(inherit_cpuset(parent, mount_point));
    parent_filled = true;
    std::string value = TRY(read_control(parent, file));
    TRY(write_control(directory, file, value));
  }
  return {};
}

void let_children_inherit_cpuset(const std::string& directory) {
  // Without it every start fills its cpuset itself, at the cost of two reads and two writes.
  (void)write_control(directory, "cgroup.clone_children", "1");
}

std::vector<std::string> device_lines(const plan::CgroupDevice& rule) {
  if (is_everything(rule)) return {"a"};
  std::vector<std::string> lines;
  for (char type : {'b', 'c'}) {
    const bool same = rule.type == type || (rule.type == 'u' && type == 'c');
    if (rule.type != 'a' && !same) continue;
    lines.push_back(cat(type, ' ', device_number(rule.major), ':', device_number(rule.minor), ' ',
                        rule.access));
  }
  return lines;
}

Result<> apply_device_files(const std::string& directory,
                            const std::vector<plan::CgroupDevice>& rules) {
  // A new cgroup has its parent's rules; ours begin at "nothing".
  if (rules.empty() || !is_everything(rules.front())) TRY(write_device(directory, false, "a"));
  for (const auto& rule : rules) {
    for (const auto& line : device_lines(rule)) TRY(write_device(directory, rule.allow, line));
  }
  return {};
}

namespace {

// What a v1 device cgroup that denies by default lets through: access letters per device, as
// devices.list shows it.
using AllowedDevices = std::map<std::string, std::string>;  // "c 1:3" -> "rwm"

void allow(AllowedDevices& devices, const std::string& device, std::string_view access) {
  std::string& letters = devices[device];
  for (char letter : std::string_view("rwm")) {
    const bool has = letters.find(letter) != letters.npos || access.find(letter) != access.npos;
    std::erase(letters, letter);
    if (has) letters += letter;
  }
}

// Only the very same device is meant, as in the kernel.
void deny(AllowedDevices& devices, const std::string& device, std::string_view access) {
  auto found = devices.find(device);
  if (found == devices.end()) return;
  std::erase_if(found->second, [&](char letter) { return access.find(letter) != access.npos; });
  if (found->second.empty()) devices.erase(found);
}

// "c 1:3" + "rwm" of "c 1:3 rwm".
std::pair<std::string, std::string> split_device(std::string_view line) {
  const auto space = line.rfind(' ');
  if (space == line.npos) return {};
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

}  // namespace

std::vector<DeviceChange> device_changes(std::string_view list,
                                         const std::vector<plan::CgroupDevice>& rules) {
  std::vector<DeviceChange> changes;
  AllowedDevices present, wanted;
  for (std::string_view line : split(list, '\n')) {
    auto [device, access] = split_device(trim(line));
    // Everything is allowed: nothing can be taken away one by one.
    if (device == "a *:*") changes.push_back({false, "a"});
    if (!device.empty() && device != "a *:*") allow(present, device, access);
  }
  for (const plan::CgroupDevice& rule : rules) {
    if (is_everything(rule)) {
      wanted.clear();
      if (rule.allow) return {{true, "a"}};
      continue;
    }
    for (const std::string& line : device_lines(rule)) {
      auto [device, access] = split_device(line);
      rule.allow ? allow(wanted, device, access) : deny(wanted, device, access);
    }
  }
  for (const auto& [device, access] : wanted) {
    if (present[device] != access) changes.push_back({true, cat(device, ' ', access)});
  }
  for (const auto& [device, access] : present) {
    std::string extra = access;
    if (auto found = wanted.find(device); found != wanted.end()) {
      std::erase_if(extra,
                    [&](char letter) { return found->second.find(letter) != std::string::npos; });
    }
    if (!extra.empty()) changes.push_back({false, cat(device, ' ', extra)});
  }
  return changes;
}

Result<> change_device_files(const std::string& directory,
                             const std::vector<plan::CgroupDevice>& rules) {
  std::string list =
      TRY_CTX(read_control(directory, "devices.list"), "read the device rules of ", directory);
  for (const DeviceChange& change : device_changes(list, rules)) {
    TRY(write_device(directory, change.allow, change.line));
  }
  return {};
}

Result<> freeze_v1(const std::string& directory, const Deadline& deadline) {
  // A process that keeps forking, or one in an uninterruptible wait, can leave the state at
  // FREEZING for good; thawing for a moment and freezing again gets out of it
  // (cgroup-v1/freezer-subsystem).
  constexpr int kPollsBeforeThaw = 50;
  std::int64_t delay_ns = 50'000;
  for (int polls = 1;; ++polls) {
    TRY_CTX(write_control(directory, "freezer.state", "FROZEN"), "freeze ", directory);
    std::string state =
        TRY_CTX(read_control(directory, "freezer.state"), "read the freezer of ", directory);
    if (state == "FROZEN") return {};
    if (deadline.passed()) {
      (void)write_control(directory, "freezer.state", "THAWED");
      return std::unexpected(
          Error::with_cause(ETIMEDOUT, "not all processes stood still in time; they run again")
              .doing("freeze ", directory)
              .cure("Look for processes in state D (uninterruptible wait) and try again.")
              .code("cgroup.freeze"));
    }
    if (polls % kPollsBeforeThaw == 0) {
      TRY_CTX(write_control(directory, "freezer.state", "THAWED"), "thaw ", directory);
    }
    sleep_ns(delay_ns);
    delay_ns = std::min<std::int64_t>(delay_ns * 2, 10'000'000);
  }
}

Result<> thaw_v1(const std::string& directory, const Deadline& deadline) {
  std::int64_t delay_ns = 50'000;
  for (;;) {
    TRY_CTX(write_control(directory, "freezer.state", "THAWED"), "thaw ", directory);
    std::string state =
        TRY_CTX(read_control(directory, "freezer.state"), "read the freezer of ", directory);
    if (state == "THAWED") return {};
    if (deadline.passed()) {
      return std::unexpected(Error::with_cause(ETIMEDOUT, "a parent cgroup is frozen")
                                 .doing("thaw ", directory)
                                 .cure("Write THAWED to freezer.state of its parents.")
                                 .code("cgroup.freeze"));
    }
    sleep_ns(delay_ns);
    delay_ns = std::min<std::int64_t>(delay_ns * 2, 10'000'000);
  }
}

}  // namespace caisson::linux
