#include "linux/scope.h"

#include <algorithm>

#include "base/text.h"
#include "formats/dbus.h"
#include "linux/systemd_bus.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

namespace dbus = formats::dbus;
using plan::ScopeProperty;

// A systemd that is under load starts a scope in seconds; stopping one that is empty takes none.
constexpr int kStartTimeoutMs = 30'000;
constexpr int kStopTimeoutMs = 10'000;

constexpr std::string_view kUnitExists = "org.freedesktop.systemd1.UnitExists";
constexpr std::string_view kNoSuchUnit = "org.freedesktop.systemd1.NoSuchUnit";
constexpr std::string_view kReadOnly = "org.freedesktop.DBus.Error.PropertyReadOnly";

void put_texts(dbus::Writer& out, const plan::Strings& texts) {
  auto array = out.begin_array(4);
  for (const auto& text : texts) out.string(text);
  out.end_array(array);
}

void put_pairs(dbus::Writer& out, const std::vector<plan::KeyValue>& pairs) {
  auto array = out.begin_array(8);
  for (const auto& pair : pairs) {
    out.begin_struct();
    out.string(pair.key);
    out.string(pair.value);
  }
  out.end_array(array);
}

void put_bytes(dbus::Writer& out, std::string_view bytes) {
  auto array = out.begin_array(1);
  for (char byte : bytes) out.byte(static_cast<std::uint8_t>(byte));
  out.end_array(array);
}

void put_value(dbus::Writer& out, const ScopeProperty& property) {
  const std::string_view type = property.type;
  if (type == "s") return out.string(property.text);
  if (type == "as") return put_texts(out, property.texts);
  if (type == "ay") return put_bytes(out, property.text);
  if (type == "a(ss)") return put_pairs(out, property.pairs);
  if (type == "t" || type == "x") return out.uint64(property.number);
  if (type == "y") return out.byte(static_cast<std::uint8_t>(property.number));
  out.uint32(static_cast<std::uint32_t>(property.number));  // b i u
}

void put_property(dbus::Writer& out, const ScopeProperty& property) {
  out.begin_struct();
  out.string(property.name);
  out.signature(property.type);
  put_value(out, property);
}

// What we put in is our own child, which nobody else collects: its pid cannot become another's, and
// PIDFDs (systemd 254) would say no more.
void put_process(dbus::Writer& out, int pid) {
  out.begin_struct();
  out.string("PIDs");
  out.signature("au");
  auto pids = out.begin_array(4);
  out.uint32(static_cast<std::uint32_t>(pid));
  out.end_array(pids);
}

std::string start_request(const std::string& unit, const std::vector<ScopeProperty>& properties,
                          int pid) {
  dbus::Writer out;
  out.string(unit);
  out.string("fail");
  auto array = out.begin_array(8);
  for (const auto& property : properties) put_property(out, property);
  put_process(out, pid);
  out.end_array(array);
  out.end_array(out.begin_array(8));  // no auxiliary units
  return out.bytes();
}

std::string one_name(std::string_view unit) {
  dbus::Writer out;
  out.string(unit);
  return out.bytes();
}

// An older systemd refuses the properties that it does not know, naming one at a time:
// "Cannot set property OOMPolicy, or unknown property."
bool drop_unknown(std::vector<ScopeProperty>& properties, const Error& error) {
  if (error.code() != kReadOnly) return false;
  const std::string cause = error.cause();
  auto unknown = std::ranges::find_if(properties, [&](const ScopeProperty& property) {
    return !property.required && cause.contains(cat(' ', property.name, ','));
  });
  if (unknown == properties.end()) return false;
  properties.erase(unknown);
  return true;
}

Error about_unit(Error error, const std::string& unit, std::string_view field) {
  if (error.code() == kUnitExists) {
    return Error::with_cause(EEXIST, "a unit of that name is in use")
        .doing("start ", unit)
        .where("linux.cgroupsPath")
        .cure("stop it (systemctl stop ", unit, "), or choose another name")
        .code("systemd.exists");
  }
  Error out = std::move(error).doing("start ", unit).step("scope");
  return field.empty() ? std::move(out) : std::move(out).where(field);
}

// The object path of the job that starts the scope.
Result<std::string> request_start(SystemdBus& bus, const plan::ScopePlan& scope, int pid) {
  auto properties = scope.properties;
  for (bool reset = false;;) {
    auto reply = bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))",
                          start_request(scope.unit, properties, pid));
    if (reply) return std::string(dbus::Reader(reply->body).string().value_or(""));
    if (drop_unknown(properties, reply.error())) continue;
    // What failed and was not collected keeps its name until somebody looks at it.
    if (reply.error().code() == kUnitExists && !reset) {
      (void)bus.call("ResetFailedUnit", "s", one_name(scope.unit));
      reset = true;
      continue;
    }
    return std::unexpected(about_unit(std::move(reply).error(), scope.unit, ""));
  }
}

// --- where it is

// The path of a process in the v2 hierarchy, or in systemd's own of v1.
Result<std::string> path_of(int pid) {
  const std::string file = cat("/proc/", pid, "/cgroup");
  const std::string text = TRY_CTX(sys::read_file(sys::kCwd, file.c_str()), "read ", file);
  std::string v2, named;
  for (auto line : split(text, '\n')) {
    auto [number, rest] = split_once(line, ':');
    auto [controllers, path] = split_once(rest, ':');
    if (number == "0") v2 = path;
    if (controllers == "name=systemd") named = path;
  }
  return named.empty() ? v2 : named;
}

Result<> find_directories(plan::CgroupPlan& plan, int pid) {
  const std::string path = TRY(path_of(pid));
  if (!path.ends_with(cat('/', plan.scope->unit))) {
    return std::unexpected(Error::with_cause(EIO, cat("the container's init is in ", quoted(path)))
                               .doing("look for ", plan.scope->unit)
                               .cure("see the journal: systemd did not move it")
                               .code("systemd.moved"));
  }
  for (auto& directory : plan.directories) directory.path = path;
  return {};
}

}  // namespace

Result<> start_scope(plan::CgroupPlan& plan, int pid, plan::UndoLog& undo) {
  const plan::ScopePlan& scope = *plan.scope;
  SystemdBus bus = TRY(SystemdBus::connect(scope.user));
  const std::string job = TRY(request_start(bus, scope, pid));
  // Recorded when it is known to be ours: a unit that was there before is never stopped.
  TRY(undo.record(
      {{plan::Undo::Kind::kStopUnit, cat(scope.user ? "user/" : "system/", scope.unit)}}));
  const std::string result = TRY(bus.wait_for_job(job, kStartTimeoutMs));
  if (result != "done") {
    return std::unexpected(Error::with_cause(EIO, cat("systemd's job ended with ", quoted(result)))
                               .doing("start ", scope.unit)
                               .cure("see \"journalctl -u ", scope.unit, "\"")
                               .code("systemd.job"));
  }
  return find_directories(plan, pid);
}

Result<> set_scope_properties(const plan::ScopePlan& scope,
                              const std::vector<ScopeProperty>& wanted) {
  if (wanted.empty()) return {};
  SystemdBus bus = TRY(SystemdBus::connect(scope.user));
  auto properties = wanted;
  for (;;) {
    dbus::Writer out;
    out.string(scope.unit);
    out.boolean(true);  // until it is stopped, nothing in /etc
    auto array = out.begin_array(8);
    for (const auto& property : properties) put_property(out, property);
    out.end_array(array);
    auto reply = bus.call("SetUnitProperties", "sba(sv)", out.bytes());
    if (reply) return {};
    if (!drop_unknown(properties, reply.error())) {
      return std::unexpected(std::move(reply).error().doing("change ", scope.unit));
    }
  }
}

Result<> stop_unit(const std::string& target) {
  auto [whose, unit] = split_once(target, '/');
  auto bus = SystemdBus::connect(whose == "user");
  if (!bus && bus.error().code() == "systemd.absent") return {};
  if (!bus) return std::unexpected(std::move(bus).error());
  dbus::Writer request;
  request.string(unit);
  request.string("replace");
  auto reply = bus->call("StopUnit", "ss", request.bytes());
  if (!reply && reply.error().code() == kNoSuchUnit) return {};
  if (!reply) return std::unexpected(std::move(reply).error().doing("stop ", unit));
  const std::string job(dbus::Reader(reply->body).string().value_or(""));
  TRY(bus->wait_for_job(job, kStopTimeoutMs));
  (void)bus->call("ResetFailedUnit", "s", one_name(unit));
  return {};
}

}  // namespace caisson::linux
