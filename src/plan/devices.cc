#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.h"
#include "plan/passes.h"
#include "plan/paths.h"

namespace caisson::plan {
namespace {

struct DefaultDevice {
  std::string_view path;
  std::uint32_t major, minor;
};

constexpr DefaultDevice kDefaultDevices[] = {
    {"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
    {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

struct DefaultLink {
  std::string_view path, points_to;
};

constexpr DefaultLink kDefaultLinks[] = {
    {"/dev/ptmx", "pts/ptmx"},          {"/dev/fd", "/proc/self/fd"},
    {"/dev/stdin", "/proc/self/fd/0"},  {"/dev/stdout", "/proc/self/fd/1"},
    {"/dev/stderr", "/proc/self/fd/2"},
};

bool is_bind(const spec::Mount& mount) {
  return mount.type == "bind" || mount.type == "rbind" ||
         std::ranges::any_of(mount.options, [](const std::string& option) {
           return option == "bind" || option == "rbind";
         });
}

// A /dev that somebody else filled is left as it is.
bool dev_is_bound(const Input& in) {
  return std::ranges::any_of(in.spec.mounts, [](const spec::Mount& mount) {
    return is_bind(mount) && clean_path(mount.destination) == "/dev";
  });
}

bool is_mounted_by_spec(const Input& in, std::string_view path) {
  return std::ranges::any_of(in.spec.mounts, [&](const spec::Mount& mount) {
    return clean_path(mount.destination) == path;
  });
}

bool is_device_of_spec(const Input& in, std::string_view path) {
  return std::ranges::any_of(
      in.os.devices, [&](const spec::Device& device) { return clean_path(device.path) == path; });
}

MountStep device_step(std::string_view path, std::string origin) {
  MountStep step;
  step.op = MountOp::kDeviceNode;
  step.target = clean_path(path);
  step.if_missing = IfMissing::kMakeFile;
  step.mode = 0666;
  step.origin = std::move(origin);
  return step;
}

// mknod(2) of a device is refused in every user namespace but the first; the host's node is bound.
void bind_from_host(MountStep& step) {
  step.bind_device = true;
  step.source = step.target;
}

void add_defaults(const Input& in, bool bind_nodes, std::vector<MountStep>& steps) {
  for (const DefaultDevice& device : kDefaultDevices) {
    if (is_mounted_by_spec(in, device.path) || is_device_of_spec(in, device.path)) continue;
    MountStep step = device_step(device.path, "default");
    step.major = device.major;
    step.minor = device.minor;
    if (bind_nodes) bind_from_host(step);
    steps.push_back(std::move(step));
  }
  auto link = [&](std::string_view path, std::string_view points_to) {
    if (is_mounted_by_spec(in, path) || is_device_of_spec(in, path)) return;
    MountStep step;
    step.op = MountOp::kSymlink;
    step.target = path;
    step.source = points_to;
    step.origin = "default";
    steps.push_back(std::move(step));
  };
  for (const DefaultLink& each : kDefaultLinks) link(each.path, each.points_to);
  if (in.host.kcore) link("/dev/core", "/proc/kcore");
}

Result<MountStep> spec_device(const spec::Device& device, bool bind_nodes,
                              const std::string& origin) {
  MountStep step = device_step(device.path, origin);
  if (step.target == "/") return std::unexpected(invalid("the device has no path").where(origin));
  if (std::string_view("cbup").find(device.type) == std::string_view::npos) {
    return std::unexpected(invalid(cat("'", device.type, "' is no type of device"))
                               .where(origin, ".type")
                               .cure("Use c, b, u or p."));
  }
  // 12 and 20 bits: the kernel's dev_t.
  if (device.major < 0 || device.major > 0xfff || device.minor < 0 || device.minor > 0xfffff) {
    return std::unexpected(
        invalid(cat("there can be no device ", device.major, ":", device.minor)).where(origin));
  }
  step.device_type = device.type == 'u' ? 'c' : device.type;
  step.major = static_cast<std::uint32_t>(device.major);
  step.minor = static_cast<std::uint32_t>(device.minor);
  step.mode = device.file_mode.value_or(0666) & 07777;
  step.uid = device.uid;
  step.gid = device.gid;
  if (bind_nodes && step.device_type != 'p') bind_from_host(step);
  return step;
}

void add_console(const Input& in, std::vector<MountStep>& steps) {
  if (!in.spec.process || !in.spec.process->terminal) return;
  MountStep step;
  step.op = MountOp::kConsole;
  step.target = "/dev/console";
  step.if_missing = IfMissing::kMakeFile;
  step.mode = 0620;
  step.origin = "process.terminal";
  steps.push_back(std::move(step));
}

}  // namespace

Result<> add_devices(const Input& in, const NamespacePlan& namespaces,
                     std::vector<MountStep>& steps) {
  const bool bind_nodes = in_any_user_namespace(in, namespaces);
  const bool fill_dev = !dev_is_bound(in);
  if (fill_dev) add_defaults(in, bind_nodes, steps);
  for (std::size_t i = 0; i < in.os.devices.size(); ++i) {
    std::string origin = cat("linux.devices[", i, "]");
    MountStep step = TRY(spec_device(in.os.devices[i], bind_nodes, origin));
    if (!fill_dev && below(step.target, "/dev")) {
      in.notices.push_back(
          cat(origin, ": /dev is a bind mount; ", step.target, " is not made in it"));
      continue;
    }
    steps.push_back(std::move(step));
  }
  add_console(in, steps);
  return {};
}

std::vector<CgroupDevice> device_rules(const spec::Resources& resources) {
  std::vector<CgroupDevice> rules;
  rules.push_back({false, 'a', {}, {}, "rwm"});
  for (const spec::DeviceRule& rule : resources.devices) {
    CgroupDevice next{rule.allow, rule.type, rule.major, rule.minor,
                      rule.access.empty() ? "rwm" : rule.access};
    if (next != rules.back()) rules.push_back(std::move(next));
  }
  // Last, so that no rule of the spec takes away what every program counts on. Making nodes of any
  // kind is harmless without the right to open them.
  rules.push_back({true, 'c', {}, {}, "m"});
  rules.push_back({true, 'b', {}, {}, "m"});
  for (const DefaultDevice& device : kDefaultDevices) {
    rules.push_back({true, 'c', device.major, device.minor, "rwm"});
  }
  constexpr std::array<std::pair<int, int>, 3> kMore = {
      {{5, 1}, {5, 2}, {10, 200}}};  // console ptmx tun
  for (auto [major, minor] : kMore) rules.push_back({true, 'c', major, minor, "rwm"});
  rules.push_back({true, 'c', 136, {}, "rwm"});  // pts/*
  return rules;
}

}  // namespace caisson::plan
