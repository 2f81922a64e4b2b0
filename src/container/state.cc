#include "container/state.h"

#include <utility>

#include "formats/json.h"

namespace caisson::container {
namespace {

using formats::JsonReader;
using formats::JsonWriter;

constexpr int kVersion = 1;

constexpr std::pair<Progress, std::string_view> kProgressNames[] = {
    {Progress::kCreating, "creating"},
    {Progress::kCreated, "created"},
    {Progress::kStarting, "starting"},
    {Progress::kStarted, "started"},
};

std::string_view progress_name(Progress progress) {
  for (const auto& [value, name] : kProgressNames) {
    if (value == progress) return name;
  }
  return "";
}

// --- writing

void write(JsonWriter& json, std::string_view name, const ProcessId& process) {
  json.key(name).begin_object();
  json.field("pid", process.pid).field("startTime", process.start_time).end_object();
}

void write(JsonWriter& json, std::string_view name,
           const std::map<std::string, std::string>& entries) {
  json.key(name).begin_object();
  for (const auto& [key, value] : entries) json.field(key, value);
  json.end_object();
}

void write_bool(JsonWriter& json, std::string_view name, bool value) {
  json.key(name).raw(value ? "true" : "false");
}

void write(JsonWriter& json, std::string_view name, const plan::CgroupLocations& cgroups) {
  json.key(name).begin_array();
  for (const auto& cgroup : cgroups) {
    json.begin_object();
    json.field("controllers", cgroup.controllers).field("directory", cgroup.directory);
    write_bool(json, "v2", cgroup.v2);
    json.end_object();
  }
  json.end_array();
}

void write(JsonWriter& json, std::string_view name, const std::vector<Layer>& layers) {
  json.key(name).begin_array();
  for (const auto& layer : layers) {
    json.begin_object();
    json.field("name", layer.name).field("target", layer.target).field("source", layer.source);
    json.end_object();
  }
  json.end_array();
}

// --- reading

Result<> read(JsonReader& json, std::string& out) {
  out = TRY(json.read_string());
  return {};
}

Result<> read(JsonReader& json, bool& out) {
  out = TRY(json.read_bool());
  return {};
}

template <std::integral Int>
Result<> read(JsonReader& json, Int& out) {
  out = TRY(json.read_int<Int>());
  return {};
}

Result<> read(JsonReader& json, Progress& out) {
  auto text = TRY(json.read_string());
  for (const auto& [value, name] : kProgressNames) {
    if (name == text) {
      out = value;
      return {};
    }
  }
  return std::unexpected(json.error(cat("unknown progress ", quoted(text))));
}

Result<> read(JsonReader& json, std::map<std::string, std::string>& out) {
  TRY(json.enter_object());
  while (auto key = TRY(json.next_key())) {
    std::string name(*key);
    TRY(read(json, out[name]));
  }
  return {};
}

// Found by the table's functions when they are instantiated.
Result<> read(JsonReader& json, ProcessId& out);
Result<> read(JsonReader& json, plan::CgroupLocation& out);
Result<> read(JsonReader& json, Layer& out);
template <typename T>
Result<> read(JsonReader& json, std::vector<T>& out);

template <typename T>
struct Field {
  std::string_view name;
  Result<> (*read)(JsonReader&, T&);
};

template <typename T, std::size_t count>
Result<> read_fields(JsonReader& json, T& out, const Field<T> (&fields)[count]) {
  TRY(json.enter_object());
  while (auto key = TRY(json.next_key())) {
    const Field<T>* found = nullptr;
    for (const auto& field : fields) {
      if (field.name == *key) found = &field;
    }
    if (found == nullptr) {
      TRY(json.skip_value());
    } else {
      TRY(found->read(json, out));
    }
  }
  return {};
}

template <typename T, typename M>
T owner_of(M T::*);

template <auto member>
constexpr auto field(std::string_view name) {
  using T = decltype(owner_of(member));
  return Field<T>{name, [](JsonReader& json, T& out) { return read(json, out.*member); }};
}

Result<> read(JsonReader& json, ProcessId& out) {
  static constexpr Field<ProcessId> kFields[] = {
      field<&ProcessId::pid>("pid"),
      field<&ProcessId::start_time>("startTime"),
  };
  return read_fields(json, out, kFields);
}

Result<> read(JsonReader& json, plan::CgroupLocation& out) {
  static constexpr Field<plan::CgroupLocation> kFields[] = {
      field<&plan::CgroupLocation::controllers>("controllers"),
      field<&plan::CgroupLocation::directory>("directory"),
      field<&plan::CgroupLocation::v2>("v2"),
  };
  return read_fields(json, out, kFields);
}

Result<> read(JsonReader& json, Layer& out) {
  static constexpr Field<Layer> kFields[] = {
      field<&Layer::name>("name"),
      field<&Layer::target>("target"),
      field<&Layer::source>("source"),
  };
  return read_fields(json, out, kFields);
}

template <typename T>
Result<> read(JsonReader& json, std::vector<T>& out) {
  TRY(json.enter_array());
  while (TRY(json.next_element())) TRY(read(json, out.emplace_back()));
  return {};
}

constexpr Field<State> kStateFields[] = {
    field<&State::version>("version"),
    field<&State::id>("id"),
    field<&State::oci_version>("ociVersion"),
    field<&State::bundle>("bundle"),
    field<&State::rootfs>("rootfs"),
    field<&State::progress>("progress"),
    field<&State::init>("init"),
    field<&State::boot_id>("bootId"),
    field<&State::created>("created"),
    field<&State::annotations>("annotations"),
    field<&State::labels>("labels"),
    field<&State::owner>("owner"),
    field<&State::cgroups>("cgroups"),
    field<&State::wall>("wall"),
    field<&State::command>("command"),
    field<&State::terminal>("terminal"),
    field<&State::remove_on_exit>("removeOnExit"),
    field<&State::supervisor>("supervisor"),
    field<&State::logged>("logged"),
    field<&State::log_limit>("logLimit"),
    field<&State::layers_fd>("layersFd"),
    field<&State::layers_holder>("layersHolder"),
    field<&State::layers>("layers"),
    field<&State::paused_early>("pausedEarly"),
    field<&State::sandbox>("sandbox"),
    field<&State::guests_paused>("guestsPaused"),
    field<&State::hooks_begun>("hooksBegun"),
    field<&State::resctrl_groups>("resctrlGroups"),
    field<&State::seccomp_agent>("seccompAgent"),
    field<&State::systemd_scope>("systemdScope"),
    field<&State::systemd_user>("systemdUser"),
    field<&State::seccomp_metadata>("seccompMetadata"),
};

constexpr Field<Exit> kExitFields[] = {
    field<&Exit::known>("known"), field<&Exit::code>("code"), field<&Exit::signal>("signal"),
    field<&Exit::oom>("oom"),     field<&Exit::at>("at"),
};

}  // namespace

std::string_view status_name(Status status) {
  switch (status) {
    case Status::kCreating: return "creating";
    case Status::kCreated: return "created";
    case Status::kRunning: return "running";
    case Status::kPaused: return "paused";
    case Status::kStopped: break;
  }
  return "stopped";
}

std::string to_json(const State& state) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.field("version", state.version).field("id", state.id);
  json.field("ociVersion", state.oci_version).field("bundle", state.bundle);
  json.field("rootfs", state.rootfs).field("progress", progress_name(state.progress));
  write(json, "init", state.init);
  json.field("bootId", state.boot_id).field("created", state.created);
  write(json, "annotations", state.annotations);
  write(json, "labels", state.labels);
  json.field("owner", state.owner);
  write(json, "cgroups", state.cgroups);
  json.field("wall", state.wall).field("command", state.command);
  write_bool(json, "terminal", state.terminal);
  write_bool(json, "removeOnExit", state.remove_on_exit);
  write(json, "supervisor", state.supervisor);
  write_bool(json, "logged", state.logged);
  json.field("logLimit", state.log_limit).field("layersFd", state.layers_fd);
  write(json, "layersHolder", state.layers_holder);
  write(json, "layers", state.layers);
  write_bool(json, "pausedEarly", state.paused_early);
  write_bool(json, "hooksBegun", state.hooks_begun);
  if (!state.sandbox.empty()) json.field("sandbox", state.sandbox);
  if (state.guests_paused) json.field("guestsPaused", true);
  if (!state.systemd_scope.empty()) json.field("systemdScope", state.systemd_scope);
  if (state.systemd_user) json.field("systemdUser", true);
  if (!state.resctrl_groups.empty()) json.field("resctrlGroups", state.resctrl_groups);
  if (!state.seccomp_agent.empty()) {
    json.field("seccompAgent", state.seccomp_agent);
    json.field("seccompMetadata", state.seccomp_metadata);
  }
  json.end_object();
  out += '\n';
  return out;
}

Result<State> parse_state(std::string_view text, std::string_view name) {
  JsonReader json(text, name);
  State state;
  state.version = 0;
  TRY(read_fields(json, state, kStateFields));
  TRY(json.finish());
  if (state.version == kVersion) return state;
  return std::unexpected(Error::invalid(cat("its version is ", state.version, ", not ", kVersion))
                             .where(name)
                             .cure("use the version of caisson that made this container"));
}

std::string to_json(const Exit& exit) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_bool(json, "known", exit.known);
  json.field("code", exit.code).field("signal", exit.signal);
  write_bool(json, "oom", exit.oom);
  json.field("at", exit.at).end_object();
  out += '\n';
  return out;
}

Result<Exit> parse_exit(std::string_view text, std::string_view name) {
  JsonReader json(text, name);
  Exit exit;
  TRY(read_fields(json, exit, kExitFields));
  TRY(json.finish());
  return exit;
}

}  // namespace caisson::container
