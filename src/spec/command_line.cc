#include "spec/command_line.h"

#include <algorithm>

#include "base/text.h"
#include "spec/default_seccomp.h"
#include "spec/default_spec.h"
#include "spec/oci_writer.h"

namespace caisson::spec {
namespace {

constexpr std::uint64_t kCpuPeriod = 100'000;
// The kernel charges a start some 400 KiB before the program runs.
constexpr std::int64_t kLeastMemory = 512 * 1024;

Error wrong(std::string_view option, std::string_view value, std::string_view why) {
  return Error::invalid(std::string(why)).where("--", option, " ", value).code("option.value");
}

std::string absolute(std::string_view path, std::string_view cwd) {
  if (path.starts_with('/')) return std::string(path);
  if (path.starts_with("./")) path.remove_prefix(2);
  if (path.empty() || path == ".") return std::string(cwd);
  return cat(cwd, cwd.ends_with('/') ? "" : "/", path);
}

// --- environment

std::string_view variable(const Strings& env, std::string_view name) {
  for (const auto& entry : env) {
    if (split_once(entry, '=').first == name)
      return std::string_view(entry).substr(name.size() + 1);
  }
  return {};
}

void remove_variable(Strings& env, std::string_view name) {
  std::erase_if(env,
                [&](const std::string& entry) { return split_once(entry, '=').first == name; });
}

void set_variable(Strings& env, std::string_view name, std::string_view value) {
  for (auto& entry : env) {
    if (split_once(entry, '=').first == name) {
      entry = cat(name, "=", value);
      return;
    }
  }
  env.push_back(cat(name, "=", value));
}

Result<Strings> environment(const RunOptions& options, const CallerFacts& caller, bool other_user) {
  Strings env;
  if (options.rootfs.empty()) {
    for (const auto& entry : caller.env) {
      if (entry.find('=') != std::string::npos && entry[0] != '=') env.push_back(entry);
    }
    // They name the caller: HOME is set anew from passwd.
    if (other_user) {
      for (auto name : {"HOME", "USER", "LOGNAME", "MAIL"}) remove_variable(env, name);
    }
  } else {
    env.emplace_back(kDefaultPath);
    if (options.terminal) {
      auto term = variable(caller.env, "TERM");
      set_variable(env, "TERM", term.empty() ? "xterm" : term);
    }
  }
  set_variable(env, "container", "caisson");
  for (const auto& entry : options.env) {
    auto [name, value] = split_once(entry, '=');
    if (name.empty()) return std::unexpected(wrong("env", entry, "a variable needs a name"));
    if (entry.find('=') != std::string::npos) {
      set_variable(env, name, value);
    } else if (auto own = variable(caller.env, name); !own.empty()) {
      set_variable(env, name, own);
    }
  }
  return env;
}

// --- capabilities

bool means_all(const Strings& names) {
  return std::ranges::any_of(names,
                             [](const auto& name) { return name == "ALL" || name == "all"; });
}

// The bounding set; `added` receives what was asked for by name.
Result<Strings> bounding_set(const RunOptions& options, Strings& added) {
  Strings set;
  auto add = [&](std::string_view name) {
    if (std::ranges::find(set, name) == set.end()) set.emplace_back(name);
  };
  bool all = means_all(options.cap_add);
  if (!means_all(options.cap_drop)) {
    for (auto name : all ? capability_names() : default_capabilities()) add(name);
  }
  for (const auto& text : options.cap_add) {
    if (text == "ALL" || text == "all") continue;
    added.push_back(TRY_CTX(capability_name(text), "--cap-add ", text));
    add(added.back());
  }
  for (const auto& text : options.cap_drop) {
    if (text == "ALL" || text == "all") continue;
    std::string name = TRY_CTX(capability_name(text), "--cap-drop ", text);
    std::erase(set, name);
    std::erase(added, name);
  }
  std::ranges::sort(set);
  return set;
}

Result<Capabilities> capabilities(const RunOptions& options, bool root) {
  Capabilities out;
  Strings added;
  out.bounding = TRY(bounding_set(options, added));
  if (root) {
    out.effective = out.permitted = out.bounding;
  } else {
    // Only what survives execve(2) of an ordinary user is of any use to him.
    out.effective = out.permitted = out.inheritable = out.ambient = added;
  }
  return out;
}

// --- limits

Result<std::int64_t> size_or_unlimited(std::string_view option, std::string_view text) {
  if (text == "-1") return -1;
  auto size = parse_size(text);
  if (!size || *size == 0) {
    return std::unexpected(
        wrong(option, text, "not a size").cure("give bytes with a unit, for example 512m or 2g"));
  }
  return *size;
}

Result<Resources> resources(const RunOptions& options) {
  Resources out;
  if (!options.memory.empty() || !options.memory_swap.empty()) out.memory.emplace();
  if (!options.memory.empty()) {
    out.memory->limit = TRY(size_or_unlimited("memory", options.memory));
    if (out.memory->limit > 0 && out.memory->limit < kLeastMemory) {
      return std::unexpected(wrong("memory", options.memory, "no program can start in so little")
                                 .cure("give 512k or more"));
    }
  }
  if (!options.memory_swap.empty()) {
    if (options.memory.empty()) {
      return std::unexpected(wrong("memory-swap", options.memory_swap, "it needs --memory, too")
                                 .cure("it is the limit of memory and swap together"));
    }
    out.memory->swap = TRY(size_or_unlimited("memory-swap", options.memory_swap));
  }
  if (!options.cpus.empty()) {
    auto quota = parse_cpus(options.cpus);
    if (!quota) {
      return std::unexpected(wrong("cpus", options.cpus, "not a number of CPUs")
                                 .cure("give a decimal number of at least 0.01, for example 1.5"));
    }
    out.cpu.emplace();
    out.cpu->quota = quota;
    out.cpu->period = kCpuPeriod;
  }
  if (!options.pids.empty()) {
    auto limit = parse_number<std::int64_t>(options.pids);
    if (!limit || *limit < -1 || *limit == 0) {
      return std::unexpected(wrong("pids", options.pids, "not a number of processes")
                                 .cure("give 1 or more, or -1 for no limit"));
    }
    out.pids_limit = limit;
  }
  return out;
}

// --- mounts

constexpr std::string_view kVolumeOptions[] = {
    "ro",      "rw",      "rro",      "nosuid",      "suid",     "nodev",  "dev",    "noexec",
    "exec",    "bind",    "rbind",    "private",     "rprivate", "slave",  "rslave", "shared",
    "rshared", "noatime", "relatime", "nosymfollow", "idmap",    "ridmap",
};

bool are_volume_options(std::string_view text) {
  auto pieces = split(text, ',');
  return std::ranges::all_of(pieces, [](std::string_view piece) {
    return std::ranges::find(kVolumeOptions, piece) != std::end(kVolumeOptions);
  });
}

Strings bind_options(std::string_view text) {
  Strings out = {"rbind"};
  bool propagation = false;
  for (auto piece : text.empty() ? std::vector<std::string_view>{} : split(text, ',')) {
    propagation |=
        piece.ends_with("private") || piece.ends_with("shared") || piece.ends_with("slave");
    if (piece == "bind") {
      out[0] = "bind";
    } else if (piece == "ro") {
      // What is mounted below the source is meant, too.
      out.emplace_back("rro");
    } else if (piece != "rbind") {
      out.emplace_back(piece);
    }
  }
  if (!propagation) out.emplace_back("rprivate");
  return out;
}

// --- who

struct Identity {
  Account account;
  bool other_user = false;  // not the caller
};

Result<Identity> identity(const RunOptions& options, const CallerFacts& caller) {
  Identity out;
  bool view = options.rootfs.empty();
  if (options.user.empty()) {
    if (view) {
      out.account = {caller.uid, caller.gid, {}, {}};
      if (caller.privileged) out.account.additional_gids = caller.groups;
      std::erase(out.account.additional_gids, caller.gid);
    }
    return out;
  }
  out.account = TRY_CTX(find_account(options.user, caller.accounts), "--user ", options.user);
  out.other_user = out.account.uid != caller.uid;
  if (caller.privileged) return out;
  // One id is mapped: the primary group is the caller's by whatever number, and there are no
  // others.
  bool own = out.account.uid == caller.uid || out.account.uid == 0;
  bool group_given = options.user.find(':') != std::string::npos;
  bool own_group = out.account.gid == caller.gid || out.account.gid == 0;
  if (!own || (group_given && !own_group)) {
    return std::unexpected(
        Error::with_cause(EPERM, "an ordinary user's container has one user and one group: its own")
            .doing("--user ", options.user)
            .code("user.unmapped")
            .cure("leave --user out, use --user root (your own id, shown as root), or run caisson "
                  "as root"));
  }
  if (!group_given) out.account.gid = out.account.uid == 0 ? 0 : caller.gid;
  out.account.additional_gids.clear();
  return out;
}

Linux namespaces(const RunOptions& options, const CallerFacts& caller, const Account& account) {
  Linux os;
  auto add = [&](NamespaceKind kind) { os.namespaces.push_back({.kind = kind, .path = {}}); };
  if (!caller.privileged) {
    add(NamespaceKind::kUser);
    os.uid_mappings = {{.container_id = account.uid, .host_id = caller.uid, .size = 1}};
    os.gid_mappings = {{.container_id = account.gid, .host_id = caller.gid, .size = 1}};
  }
  for (auto kind : {NamespaceKind::kPid, NamespaceKind::kIpc, NamespaceKind::kUts,
                    NamespaceKind::kMount, NamespaceKind::kCgroup}) {
    add(kind);
  }
  if (options.network == NetworkMode::kNone) add(NamespaceKind::kNetwork);
  return os;
}

Result<Process> process(const RunOptions& options, const CallerFacts& caller, const Identity& who) {
  bool view = options.rootfs.empty();
  Process out;
  out.terminal = options.terminal;
  out.user.uid = who.account.uid;
  out.user.gid = who.account.gid;
  out.user.additional_gids = who.account.additional_gids;
  out.args = options.command;
  out.env = TRY(environment(options, caller, who.other_user));
  std::string home = view ? caller.cwd : "/";
  out.cwd = options.workdir.empty() ? home : absolute(options.workdir, home);
  out.capabilities = TRY(capabilities(options, who.account.uid == 0));
  out.no_new_privileges = !options.new_privileges;
  return out;
}

Result<> add_annotations(const RunOptions& options, ContainerSpec& spec) {
  for (const auto& entry : options.annotations) {
    auto [name, value] = split_once(entry, '=');
    if (name.empty()) return std::unexpected(wrong("annotation", entry, "it needs a name"));
    spec.annotations[std::string(name)] = value;
  }
  return {};
}

}  // namespace

std::optional<std::int64_t> parse_cpus(std::string_view text) {
  auto [whole, fraction] = split_once(text, '.');
  bool has_point = text.find('.') != std::string_view::npos;
  auto cpus = parse_number<std::uint32_t>(whole.empty() && has_point ? "0" : whole);
  if (!cpus || *cpus > 100'000 || (has_point && (fraction.empty() || fraction.size() > 9))) {
    return std::nullopt;
  }
  std::int64_t quota = std::int64_t{*cpus} * 100'000;
  std::int64_t unit = 100'000;
  for (char digit : fraction) {
    if (digit < '0' || digit > '9') return std::nullopt;
    unit /= 10;
    quota += (digit - '0') * unit;
  }
  // The kernel takes no quota below one millisecond.
  return quota >= 1000 ? std::optional(quota) : std::nullopt;
}

Result<std::string> capability_name(std::string_view text) {
  std::string name;
  for (char c : text) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  if (!name.starts_with("CAP_")) name = cat("CAP_", name);
  auto names = capability_names();
  if (std::ranges::find(names, name) != names.end()) return name;
  auto near = nearest(name, std::vector<std::string_view>(names.begin(), names.end()));
  return std::unexpected(
      Error::invalid(cat("unknown capability ", quoted(text)))
          .code("option.value")
          .cure(near.empty() ? "" : cat("did you mean ", near, "? "), "see capabilities(7)"));
}

Result<Volume> parse_volume(std::string_view text, std::string_view cwd) {
  auto [source, rest] = split_once(text, ':');
  auto [destination, options] = split_once(rest, ':');
  if (source.empty()) {
    return std::unexpected(
        wrong("volume", text, "the source is missing").cure("write SOURCE:DESTINATION[:ro]"));
  }
  Volume out;
  out.source = absolute(source, cwd);
  if (!destination.starts_with('/') && options.empty() &&
      (destination.empty() || are_volume_options(destination))) {
    std::swap(destination, options);  // "SRC" and "SRC:ro": at the same place
  }
  out.destination = destination.empty() ? out.source : std::string(destination);
  if (!out.destination.starts_with('/')) {
    return std::unexpected(wrong("volume", text, "the destination must be an absolute path")
                               .cure("write SOURCE:/path/in/the/container[:ro]"));
  }
  if (!options.empty() && !are_volume_options(options)) {
    return std::unexpected(wrong("volume", text, cat("unknown option in ", quoted(options)))
                               .cure("use ", join(kVolumeOptions, ", ")));
  }
  out.options = bind_options(options);
  return out;
}

Result<> add_mounts(const RunOptions& options, std::string_view cwd, std::vector<Mount>& mounts) {
  for (const auto& text : options.tmpfs) {
    auto [destination, rest] = split_once(text, ':');
    if (!destination.starts_with('/')) {
      return std::unexpected(wrong("tmpfs", text, "the place must be an absolute path")
                                 .cure("for example --tmpfs /scratch:size=64m"));
    }
    Mount mount{.destination = std::string(destination),
                .type = "tmpfs",
                .source = "tmpfs",
                .options = {"nosuid", "nodev"},
                .uid_mappings = {},
                .gid_mappings = {}};
    for (auto piece : split(rest, ',')) {
      if (!piece.empty()) mount.options.emplace_back(piece);
    }
    mounts.push_back(std::move(mount));
  }
  for (const auto& text : options.volumes) {
    Volume volume = TRY(parse_volume(text, cwd));
    mounts.push_back({.destination = std::move(volume.destination),
                      .type = "bind",
                      .source = std::move(volume.source),
                      .options = std::move(volume.options),
                      .uid_mappings = {},
                      .gid_mappings = {}});
  }
  return {};
}

Result<ContainerSpec> from_run_options(const RunOptions& options, const CallerFacts& caller) {
  bool view = options.rootfs.empty();
  Identity who = TRY(identity(options, caller));
  ContainerSpec spec;
  spec.oci_version = kOciVersion;
  spec.root_source = view ? RootSource::kMachineView : RootSource::kDirectory;
  spec.root = Root{.path = options.rootfs, .readonly = options.read_only};
  spec.hostname = options.hostname.empty() ? options.id.substr(0, 63) : options.hostname;
  spec.process = TRY(process(options, caller, who));
  // A view mounts by itself what belongs to every container.
  if (!view) spec.mounts = default_mounts(!caller.privileged);
  TRY(add_mounts(options, caller.cwd, spec.mounts));
  TRY(add_annotations(options, spec));
  Linux& os = spec.linux_part.emplace(namespaces(options, caller, who.account));
  os.resources = TRY(resources(options));
  os.masked_paths = default_masked_paths();
  os.readonly_paths = default_readonly_paths();
  if (options.seccomp == SeccompMode::kDefault) {
    os.seccomp = default_seccomp(spec.process->capabilities->bounding);
  } else if (options.seccomp == SeccompMode::kGiven) {
    os.seccomp = options.seccomp_profile;
  }
  return spec;
}

}  // namespace caisson::spec
