#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

#include "base/text.h"
#include "plan/mount_options.h"
#include "plan/passes.h"
#include "plan/paths.h"

namespace caisson::plan {
namespace {

bool one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

bool attaches(MountOp op) {
  return op == MountOp::kNewFilesystem || op == MountOp::kBind || op == MountOp::kCopyUp ||
         op == MountOp::kCgroup;
}

// File systems without a device behind: read-only is a matter of the mount alone.
bool is_pseudo(std::string_view type) {
  return one_of(type, {"tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "ramfs"});
}

// Whoever controls /proc controls what the security modules' attribute files seem to be; only
// single files that lxcfs and the like provide may be covered.
Result<> check_proc_target(const MountStep& step, std::string_view type) {
  static constexpr std::string_view kAllowed[] = {
      "/proc/cpuinfo",
      "/proc/diskstats",
      "/proc/meminfo",
      "/proc/stat",
      "/proc/swaps",
      "/proc/uptime",
      "/proc/loadavg",
      "/proc/slabinfo",
      "/proc/sys/kernel/ns_last_pid",
      "/proc/sys/crypto/fips_enabled",
  };
  if (!at_or_below(step.target, "/proc") || step.op == MountOp::kSetAttributes) return {};
  if (step.target == "/proc") {
    if (type == "proc" || (step.op == MountOp::kBind && clean_path(step.source) == "/proc"))
      return {};
    return std::unexpected(invalid("only a file system of type proc can be mounted on /proc"));
  }
  if (std::ranges::find(kAllowed, step.target) != std::end(kAllowed)) return {};
  return std::unexpected(invalid(cat(
      step.target, " is inside /proc, where nothing may be mounted but ", join(kAllowed, ", "))));
}

// Where the root file system will stand before it becomes one; empty for a machine view.
std::string host_root(const spec::ContainerSpec& spec) {
  if (spec.root_source == spec::RootSource::kMachineView || !spec.root) return {};
  const std::string& path = spec.root->path;
  if (path.empty()) return {};
  return clean_path(path.starts_with('/') ? path : join_path(spec.bundle, path));
}

// A path of the host's at or below the root file system, as a path in there.
std::optional<std::string> inside_root(const spec::ContainerSpec& spec, const std::string& path) {
  const std::string root = host_root(spec);
  if (root.empty() || root == "/" || !at_or_below(path, root)) return std::nullopt;
  return path == root ? "/" : path.substr(root.size());
}

// Whether what stands on `path` once the steps are done is not what the host sees there.
bool changes(const std::vector<MountStep>& steps, std::string_view path, bool tree) {
  return std::ranges::any_of(steps, [&](const MountStep& step) {
    const bool mounts = attaches(step.op);
    return mounts && (at_or_below(path, step.target) || (tree && below(step.target, path)));
  });
}

Result<> refuse_data(const MountOptions& options, std::string_view what) {
  if (options.data.empty()) return {};
  const KeyValue& first = options.data.front();
  std::string option = first.value.empty() ? first.key : cat(first.key, '=', first.value);
  Strings known = known_mount_options();
  std::string_view like = nearest(first.key, {known.begin(), known.end()});
  Error error = invalid(cat(quoted(option), " is not an option of ", what));
  if (!like.empty()) error = std::move(error).cure("Did you mean ", quoted(like), "?");
  return std::unexpected(std::move(error));
}

// One mount on its way from the description to steps.
struct Compiler {
  const Input& in;
  const NamespacePlan& namespaces;
  const spec::Mount& mount;
  MountOptions options;
  MountStep step;

  Result<> compile(MountSink sink);

  bool is_bind() const { return options.bind || mount.type == "bind" || mount.type == "rbind"; }
  bool fresh(NamespaceKind kind) const { return namespaces.is_new(kind); }

  Result<> common();
  Result<> bind(const std::vector<MountStep>& before);
  void exact_attributes();
  Result<> remount();
  Result<> filesystem();
  Result<> cgroup();
  bool substitute_host_tree();
  Result<> id_map();
  Result<> written_id_map();
  void filesystem_options();
  Result<> check_owner_options();
  void emit(MountSink sink);
};

Result<> Compiler::compile(MountSink sink) {
  TRY(common());
  if (options.remount) {
    TRY(remount());
  } else if (is_bind()) {
    TRY(bind(sink.steps));
  } else if (one_of(mount.type, {"cgroup", "cgroup2"})) {
    if (in.host.cgroup.mode == CgroupMode::kNone) {
      in.notices.push_back(
          cat(step.origin, ": this host has no cgroups; ", step.target, " is left out"));
      return {};
    }
    TRY(cgroup());
  } else {
    TRY(filesystem());
  }
  TRY(check_proc_target(step, mount.type));
  TRY(id_map());
  emit(sink);
  return {};
}

Result<> Compiler::common() {
  if (mount.destination.empty()) return std::unexpected(invalid("the destination is empty"));
  step.target = target_path(in.spec, mount.destination);
  if (step.target == "/" && !options.remount) {
    return std::unexpected(invalid("the destination is the root file system itself")
                               .cure("Name the root file system in root.path."));
  }
  step.source = mount.source;
  step.attr_set = options.attr_set;
  step.attr_clear = options.attr_clear;
  step.recursive_set = options.recursive_set;
  step.recursive_clear = options.recursive_clear;
  step.no_symlink_target = options.no_symlink_target;
  if (!options.propagation.empty()) {
    step.propagation = options.propagation.front().flag;
    step.propagation_recursive = options.propagation.front().recursive;
  }
  return {};
}

// mount(2) with MS_REMOUNT|MS_BIND, which is what engines and images know: one flag named means
// that all of them are, but for access times, which stay as they are unless one of them is set.
void Compiler::exact_attributes() {
  constexpr std::uint64_t kFlags = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                   MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;
  constexpr std::uint64_t kAccessTimes = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;
  if (!options.names_flags) return;
  step.keep_source_flags = false;
  step.source_flags_locked = other_user_namespace(namespaces);
  step.cleared_by_name = step.attr_clear & kFlags;
  step.attr_clear = kFlags & ~step.attr_set;
  if (options.access_time_mode || (step.attr_set & MOUNT_ATTR_NODIRATIME) != 0) {
    step.attr_clear |= kAccessTimes & ~(step.attr_set & MOUNT_ATTR_NODIRATIME);
  }
}

Result<> Compiler::bind(const std::vector<MountStep>& before) {
  TRY(refuse_data(options, "bind mounts"));
  if (options.copy_up) return std::unexpected(invalid("\"tmpcopyup\" needs a mount of type tmpfs"));
  if (mount.source.empty()) return std::unexpected(invalid("a bind mount needs a source"));
  if (!mount.source.starts_with('/')) {
    if (in.spec.bundle.empty()) {
      return std::unexpected(
          invalid(cat("the source ", quoted(mount.source), " is not an absolute path")));
    }
    step.source = join_path(in.spec.bundle, mount.source);
  }
  step.op = MountOp::kBind;
  step.recursive = options.bind_tree || mount.type == "rbind";
  step.no_symlink_source = options.no_symlink_source;
  step.copy_symlink = options.copy_symlink;
  // Below a /sys of the host's that is bound read-only lie the cgroups of the user
  // (CVE-2023-25809).
  const bool has_cgroups = at_or_below("/sys/fs/cgroup", clean_path(step.source));
  if (in.limited() && step.recursive && has_cgroups && (step.attr_set & MOUNT_ATTR_RDONLY) != 0) {
    step.recursive_set |= MOUNT_ATTR_RDONLY;
  }
  step.if_missing = IfMissing::kMakeLikeSource;
  exact_attributes();
  auto inside = inside_root(in.spec, clean_path(step.source));
  if (inside && changes(before, *inside, step.recursive)) {
    step.source = *std::move(inside);
    step.source_in_root = true;
  }
  return {};
}

Result<> Compiler::remount() {
  TRY(refuse_data(options, "a remount, which changes the attributes of a mount only"));
  step.op = MountOp::kSetAttributes;
  step.source.clear();
  step.if_missing = IfMissing::kFail;
  return {};
}

Result<> Compiler::cgroup() {
  TRY(refuse_data(options, "cgroup mounts"));
  step.op = MountOp::kCgroup;
  step.type = mount.type;
  // Without a cgroup namespace of its own a rootless container would see, and own, the cgroups of
  // its user (CVE-2023-25809).
  if (in.limited() && !fresh(NamespaceKind::kCgroup)) step.attr_set |= MOUNT_ATTR_RDONLY;
  return {};
}

Result<> Compiler::filesystem() {
  if (mount.type.empty()) {
    return std::unexpected(
        invalid("the type is missing").cure("Add \"type\", or \"bind\" to the options."));
  }
  step.inside_directory_only = one_of(mount.type, {"proc", "sysfs"});
  if (substitute_host_tree()) return {};
  if (options.copy_up && mount.type != "tmpfs") {
    return std::unexpected(invalid("\"tmpcopyup\" needs a mount of type tmpfs"));
  }
  step.op = options.copy_up ? MountOp::kCopyUp : MountOp::kNewFilesystem;
  step.type = mount.type;
  if (step.source.empty()) step.source = mount.type;
  filesystem_options();
  return check_owner_options();
}

// The kernel lets a user namespace mount these only together with a namespace of its own for what
// they show; a clone of the host's tree shows the same, as the namespace is shared.
bool Compiler::substitute_host_tree() {
  if (!in_any_user_namespace(in, namespaces)) return false;
  struct Substitute {
    std::string_view type, path;
    NamespaceKind kind;
  };
  static constexpr Substitute kSubstitutes[] = {
      {"sysfs", "/sys", NamespaceKind::kNetwork},
      {"proc", "/proc", NamespaceKind::kPid},
      {"mqueue", "/dev/mqueue", NamespaceKind::kIpc},
  };
  auto found = std::ranges::find(kSubstitutes, mount.type, &Substitute::type);
  if (found == std::end(kSubstitutes) || fresh(found->kind)) return false;
  if (namespaces.of(found->kind).action == NamespaceAction::kJoin) {
    // Who owns it shows when it is tried.
    step.host_tree = found->path;
    return false;
  }
  step.op = MountOp::kBind;
  step.source = found->path;
  step.recursive = true;
  step.attr_recursive = true;
  step.if_missing = IfMissing::kMakeDirectory;
  return true;
}

void Compiler::filesystem_options() {
  // Nothing is below a new mount: the recursive words are as good as the plain ones.
  step.attr_set = (step.attr_set & ~step.recursive_clear) | step.recursive_set;
  step.recursive_set = step.recursive_clear = 0;
  if ((step.attr_set & MOUNT_ATTR_RDONLY) != 0 && !is_pseudo(mount.type)) {
    step.options.push_back({"ro", ""});
  }
  for (const std::string& flag : options.superblock) step.options.push_back({flag, ""});
  std::ranges::copy(options.data, std::back_inserter(step.options));
  const bool has_mode =
      std::ranges::find(step.options, "mode", &KeyValue::key) != step.options.end();
  step.mode_of_target = mount.type == "tmpfs" && !has_mode;
  if (!in.os.mount_label.empty() && in.host.selinux &&
      !one_of(mount.type, {"proc", "sysfs", "mqueue"})) {
    step.options.push_back({"context", in.os.mount_label});
  }
}

// The kernel refuses owners that the user namespace does not map, with no more than EINVAL.
Result<> Compiler::check_owner_options() {
  if (!one_of(mount.type, {"tmpfs", "devpts", "mqueue"})) return {};
  for (auto option = step.options.begin(); option != step.options.end();) {
    const bool is_gid = option->key == "gid";
    auto id = parse_number<std::uint32_t>(option->value);
    const IdKind kind = is_gid ? IdKind::kGroup : IdKind::kUser;
    if ((!is_gid && option->key != "uid") || !id || is_mapped(in, namespaces, kind, *id)) {
      ++option;
      continue;
    }
    std::string text =
        cat(option->key, "=", *id, " is not mapped in the container's user namespace");
    if (mount.type != "devpts") {
      return std::unexpected(invalid(std::move(text)).cure("Leave the option out, or map the id."));
    }
    // The group of terminals is a nicety: every bundle for root asks for the group tty.
    in.notices.push_back(cat(step.origin, ": ", text, "; left out"));
    option = step.options.erase(option);
  }
  return {};
}

Result<> Compiler::id_map() {
  if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
    return std::unexpected(invalid("uidMappings and gidMappings must be given together"));
  }
  const bool given = !mount.uid_mappings.empty();
  if (!given && options.idmap == Idmap::kNone) return {};
  if (!in.host.privileged) {
    return std::unexpected(
        unsupported("only root can map the ids of a mount")
            .cure("Leave the map out, or map the files' owners in linux.uidMappings."));
  }
  if (!options.idmap_text.empty()) return written_id_map();
  if (step.op == MountOp::kSetAttributes) {
    return std::unexpected(invalid("the ids of a mount can be mapped only when it is made"));
  }
  step.idmap_recursive = options.idmap == Idmap::kTree;
  const bool joins = namespaces.of(NamespaceKind::kUser).action == NamespaceAction::kJoin;
  step.idmap_joined = !given && joins && namespaces.ids.uid.empty();
  if (step.idmap_joined) return {};
  if (!given && namespaces.ids.uid.empty()) {
    return std::unexpected(
        invalid("\"idmap\" has no map to use: the mount has none, and the container has no user "
                "namespace with mappings")
            .cure("Add uidMappings and gidMappings to the mount."));
  }
  step.uid_mappings = given ? mount.uid_mappings : namespaces.ids.uid;
  step.gid_mappings = given ? mount.gid_mappings : namespaces.ids.gid;
  return {};
}

// "uids=0-1000-10#10-5000-1;gids=@0-0-10": ranges of ids of the file system, of what they become
// and of their number. With '@' what they become is an id of the container.
Result<> Compiler::written_id_map() {
  auto malformed = [&] {
    return std::unexpected(
        invalid(cat("\"idmap=", options.idmap_text, "\" is no id map"))
            .cure("Write it like \"idmap=uids=0-1000-10;gids=0-1000-10\", with '#' between ranges "
                  "and '@' before ranges of the container's own ids."));
  };
  if (!mount.uid_mappings.empty()) {
    return std::unexpected(invalid("the id map is given twice, by option and by uidMappings"));
  }
  for (auto part : split(options.idmap_text, ';')) {
    auto [kind, ranges] = split_once(part, '=');
    if (kind != "uids" && kind != "gids") return malformed();
    const auto& own = kind == "uids" ? namespaces.ids.uid : namespaces.ids.gid;
    auto parsed = parse_id_ranges(ranges, own);
    if (!parsed) return malformed();
    (kind == "uids" ? step.uid_mappings : step.gid_mappings) = *std::move(parsed);
  }
  if (step.uid_mappings.empty() || step.gid_mappings.empty()) return malformed();
  step.idmap_recursive = options.idmap == Idmap::kTree;
  return {};
}

void Compiler::emit(MountSink sink) {
  // What other mounts and devices go into has to be writable until they are there.
  const bool is_tmpfs = step.type == "tmpfs" && step.op != MountOp::kBind;
  if (is_tmpfs && (step.attr_set & MOUNT_ATTR_RDONLY) != 0) {
    step.attr_set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
    MountStep seal;
    seal.op = MountOp::kSetAttributes;
    seal.phase = Phase::kFinal;
    seal.target = step.target;
    seal.attr_set = MOUNT_ATTR_RDONLY;
    seal.if_missing = IfMissing::kFail;
    seal.origin = step.origin;
    sink.final_steps.push_back(std::move(seal));
  }
  MountStep more;
  more.op = MountOp::kPropagation;
  more.target = step.target;
  more.if_missing = IfMissing::kFail;
  more.origin = step.origin;
  sink.steps.push_back(std::move(step));
  // "slave" and then "shared" is a state of its own: each change is made by itself.
  for (std::size_t i = 1; i < options.propagation.size(); ++i) {
    more.propagation = options.propagation[i].flag;
    more.propagation_recursive = options.propagation[i].recursive;
    sink.steps.push_back(more);
  }
}

Result<RootPlan> plan_root(const Input& in) {
  RootPlan root;
  root.machine_view = in.spec.root_source == spec::RootSource::kMachineView;
  root.pivot = !in.options.no_pivot;
  root.readonly = in.spec.root && in.spec.root->readonly;
  if (!in.os.rootfs_propagation.empty()) {
    Propagation propagation = parse_propagation(in.os.rootfs_propagation);
    if (propagation.flag == 0) {
      return std::unexpected(
          invalid(cat(quoted(in.os.rootfs_propagation), " is no kind of propagation"))
              .where("linux.rootfsPropagation")
              .cure("Use shared, slave, private, unbindable or their r-forms."));
    }
    root.propagation = propagation.flag;
    root.propagation_recursive = propagation.recursive;
  }
  if (root.machine_view) return root;
  if (!in.spec.root || in.spec.root->path.empty()) {
    return std::unexpected(invalid("the root file system is missing").where("root.path"));
  }
  const std::string& path = in.spec.root->path;
  if (!path.starts_with('/') && in.spec.bundle.empty()) {
    return std::unexpected(
        invalid("the path of the root file system is not absolute").where("root.path"));
  }
  root.path = path.starts_with('/') ? path : join_path(in.spec.bundle, path);
  return root;
}

MountStep final_step(MountOp op, std::string_view target, std::string origin) {
  MountStep step;
  step.op = op;
  step.phase = Phase::kFinal;
  step.target = clean_path(target);
  step.if_missing = IfMissing::kSkip;
  step.origin = std::move(origin);
  return step;
}

void add_path_restrictions(const Input& in, std::vector<MountStep>& steps) {
  for (std::size_t i = 0; i < in.os.readonly_paths.size(); ++i) {
    steps.push_back(final_step(MountOp::kReadonlyPath, in.os.readonly_paths[i],
                               cat("linux.readonlyPaths[", i, "]")));
  }
  for (std::size_t i = 0; i < in.os.masked_paths.size(); ++i) {
    steps.push_back(
        final_step(MountOp::kMask, in.os.masked_paths[i], cat("linux.maskedPaths[", i, "]")));
  }
}

// The last step of all: nothing can be made in the root afterwards. A view is read-only when each
// of its layers is.
void add_readonly_root(const RootPlan& root, std::vector<MountStep>& steps) {
  if (!root.readonly) return;
  std::vector<MountStep> seals;
  for (const MountStep& step : steps) {
    if (step.op != MountOp::kOverlayView || step.target == "/") continue;
    seals.push_back(final_step(MountOp::kSetAttributes, step.target, "root.readonly"));
  }
  seals.push_back(final_step(MountOp::kSetAttributes, "/", "root.readonly"));
  for (MountStep& seal : seals) {
    seal.attr_set = MOUNT_ATTR_RDONLY;
    seal.if_missing = IfMissing::kFail;
    steps.push_back(std::move(seal));
  }
}

}  // namespace

std::string target_path(const spec::ContainerSpec& spec, std::string_view destination) {
  std::string path = clean_path(destination);
  auto inside = inside_root(spec, path);
  return inside ? *std::move(inside) : path;
}

Result<> add_mount(const Input& in, const NamespacePlan& namespaces, const spec::Mount& mount,
                   const std::string& origin, MountSink sink) {
  Compiler compiler{in, namespaces, mount, parse_mount_options(mount.options), {}};
  compiler.step.origin = origin;
  if (auto done = compiler.compile(sink); !done) {
    return std::unexpected(
        std::move(done).error().doing("mount on ", quoted(mount.destination)).where(origin));
  }
  return {};
}

Result<MountPlan> plan_live_mounts(const Input& in, const NamespacePlan& namespaces,
                                   const std::vector<spec::Mount>& mounts) {
  MountPlan plan;
  std::vector<MountStep> final_steps;
  MountSink sink{plan.steps, final_steps};
  plan.root = TRY(plan_root(in));
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    TRY(add_mount(in, namespaces, mounts[i], cat("mounts[", i, "]"), sink));
  }
  for (const MountStep& step : plan.steps) {
    const bool tmpfs = step.type == "tmpfs";
    if (step.op == MountOp::kBind || (attaches(step.op) && tmpfs)) continue;
    if (step.op == MountOp::kPropagation) continue;
    return std::unexpected(
        unsupported("only bind mounts and file systems of type tmpfs can be added to a container "
                    "that runs")
            .doing("mount on ", quoted(step.target))
            .where(step.origin)
            .cure("Mount others from within, or when the container is created."));
  }
  std::ranges::move(final_steps, std::back_inserter(plan.steps));
  return plan;
}

Result<MountPlan> plan_mounts(const Input& in, const NamespacePlan& namespaces) {
  MountPlan plan;
  std::vector<MountStep> final_steps;
  constexpr std::size_t kUsualExtras = 32;  // default devices, links
  plan.steps.reserve(in.spec.mounts.size() + in.os.devices.size() + in.os.masked_paths.size() +
                     in.os.readonly_paths.size() + kUsualExtras);
  MountSink sink{plan.steps, final_steps};
  plan.root = TRY(plan_root(in));
  if (plan.root.machine_view) TRY(add_machine_view(in, namespaces, plan, sink));
  for (std::size_t i = 0; i < in.spec.mounts.size(); ++i) {
    TRY(add_mount(in, namespaces, in.spec.mounts[i], cat("mounts[", i, "]"), sink));
  }
  if (!in.options.notify_directory.empty()) {
    const spec::Mount notify{"/run/notify",
                             "bind",
                             in.options.notify_directory,
                             {"bind", "nosuid", "noexec", "nodev", "ro"},
                             {},
                             {}};
    TRY(add_mount(in, namespaces, notify, "NOTIFY_SOCKET", sink));
  }
  TRY(add_devices(in, namespaces, plan.steps));
  std::ranges::move(final_steps, std::back_inserter(plan.steps));
  add_path_restrictions(in, plan.steps);
  add_readonly_root(plan.root, plan.steps);
  return plan;
}

}  // namespace caisson::plan
