// Any mounts, devices and mount table: the compiler ends, and what it accepts has clean targets.
//
// Input: a first byte of flags, then lines "KIND FIELD|FIELD|...": m
// destination|type|source|option,... d device path, h host mount point|type|parent, e entry
// path|type and link target, c current directory.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/text.h"
#include "plan/compile.h"
#include "plan/dump.h"
#include "plan/paths.h"

namespace {

using namespace caisson;  // NOLINT: a program of one file

enum Flag : unsigned char {
  kPrivileged = 1,
  kUserNamespace = 2,
  kView = 4,
  kNewNetwork = 8,
  kReadonly = 16
};

struct Case {
  spec::ContainerSpec spec;
  plan::HostFacts host;
};

std::string_view next_field(std::string_view& line) {
  auto [field, rest] = split_once(line, '|');
  line = rest;
  return field;
}

void add_host_mount(std::string_view line, plan::HostFacts& host) {
  plan::HostMount& mount = host.mounts.emplace_back();
  mount.id = static_cast<int>(host.mounts.size());
  mount.mount_point = plan::clean_path(next_field(line));
  mount.fs_type = next_field(line);
  mount.parent_id = parse_number<int>(line).value_or(mount.id - 1);
  mount.readonly = mount.id % 3 == 0;
}

void add_line(std::string_view line, Case& out) {
  const char kind = line.size() < 2 ? ' ' : line[0];
  line.remove_prefix(line.size() < 2 ? line.size() : 2);
  if (kind == 'm') {
    spec::Mount& mount = out.spec.mounts.emplace_back();
    mount.destination = next_field(line);
    mount.type = next_field(line);
    mount.source = next_field(line);
    for (std::string_view option : split(line, ',')) mount.options.emplace_back(option);
  } else if (kind == 'd') {
    spec::Device& device = out.spec.linux_part->devices.emplace_back();
    device.path = line;
    device.type = line.empty() ? 'c' : line.back();
  } else if (kind == 'h') {
    add_host_mount(line, out.host);
  } else if (kind == 'e') {
    plan::DirectoryEntry& entry = out.host.root_entries.emplace_back();
    entry.path = next_field(line);
    entry.type = line.empty() ? 'd' : line[0];
    entry.link_target = line;
  } else if (kind == 'c') {
    out.host.current_directory = line;
  }
}

Case make_case(std::string_view input) {
  Case out;
  const auto flags = static_cast<unsigned char>(input.empty() ? 0 : input[0]);
  out.spec.bundle = "/bundle";
  out.spec.root = spec::Root{"rootfs", (flags & kReadonly) != 0};
  spec::Linux& os = out.spec.linux_part.emplace();
  os.namespaces.push_back({spec::NamespaceKind::kMount, ""});
  if ((flags & kNewNetwork) != 0) os.namespaces.push_back({spec::NamespaceKind::kNetwork, ""});
  if ((flags & kUserNamespace) != 0) {
    os.namespaces.push_back({spec::NamespaceKind::kUser, ""});
    os.uid_mappings = os.gid_mappings = {{0, 1000, 1}};
  }
  if ((flags & kView) != 0) out.spec.root_source = spec::RootSource::kMachineView;
  out.host.privileged = (flags & kPrivileged) != 0;
  out.host.cgroup.mode = plan::CgroupMode::kV2;
  for (std::string_view line : split(input.substr(input.empty() ? 0 : 1), '\n'))
    add_line(line, out);
  return out;
}

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const plan::Plan& plan) {
  bool final_phase = false;
  for (const plan::MountStep& step : plan.mounts.steps) {
    require(step.target == plan::clean_path(step.target));
    require(!step.origin.empty());
    require(step.op != plan::MountOp::kBind || step.source.starts_with('/'));
    final_phase |= step.phase == plan::Phase::kFinal;
    require(!final_phase || step.phase == plan::Phase::kFinal);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Case input = make_case({reinterpret_cast<const char*>(data), size});
  plan::Options options;
  options.id = "fuzz";
  auto plan = plan::compile(input.spec, input.host, options);
  if (!plan) {
    require(!plan.error().message().empty());
    return 0;
  }
  check(*plan);
  require(!plan::dump_text(plan::dump(*plan)).empty());
  return 0;
}
