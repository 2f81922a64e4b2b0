#include "cli/verbs.h"

#include <unistd.h>

#include <csignal>

#include "base/clock.h"
#include "base/text.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

constexpr int kSignalStatus = 128;

}  // namespace

std::string status_text(const container::Snapshot& snapshot) {
  if (snapshot.status != container::Status::kStopped) {
    return std::string(container::status_name(snapshot.status));
  }
  if (!snapshot.exit || !snapshot.exit->known) return "ended";
  const auto& exit = *snapshot.exit;
  // A sandbox ends with the status of its program, of which that is all that the host sees.
  bool killed = exit.signal != 0 ||
                (snapshot.state.wall == "sandbox" && exit.code == kSignalStatus + SIGKILL);
  if (killed && exit.oom) return "killed (out of memory)";
  return exit.signal != 0 ? cat("killed (", exit.signal, ")") : cat("exited (", exit.code, ")");
}

void write_exit(formats::JsonWriter& json, const container::Exit& exit) {
  json.begin_object().field("known", exit.known);
  if (exit.known) {
    json.field("status", exit.shell_status()).field("code", exit.code);
    json.field("signal", exit.signal).field("oom", exit.oom).field("at", rfc3339(exit.at));
  }
  json.end_object();
}

void write_snapshot(formats::JsonWriter& json, const container::Snapshot& snapshot) {
  const auto& state = snapshot.state;
  json.field("id", state.id).field("status", container::status_name(snapshot.status));
  json.field("pid", snapshot.pid()).field("created", rfc3339(state.created));
  json.field("command", state.command).field("terminal", state.terminal);
  json.field("wall", state.wall).field("rootfs", state.rootfs).field("bundle", state.bundle);
  json.field("owner", state.owner).key("labels").begin_object();
  for (const auto& [name, value] : state.labels) json.field(name, value);
  json.end_object();
  if (snapshot.exit) write_exit(json.key("exit"), *snapshot.exit);
}

std::vector<std::string> process_command(int pid) {
  auto text = sys::read_file(sys::kCwd, cat("/proc/", pid, "/cmdline").c_str(), 1 << 20);
  std::vector<std::string> words;
  if (text && !text->empty()) {
    if (text->back() == '\0') text->pop_back();
    for (auto word : split(*text, '\0')) words.emplace_back(word);
  }
  if (!words.empty()) return words;
  // A kernel thread or a zombie: only a name is left.
  auto name = sys::read_file(sys::kCwd, cat("/proc/", pid, "/comm").c_str(), 256);
  if (name) words.push_back(cat("[", trim(*name), "]"));
  return words;
}

Result<> print_done(const Arguments& arguments, std::string_view verb, const std::string& name,
                    Plain plain) {
  if (!arguments.flag("json")) return plain == Plain::kName ? print(name + "\n") : Result<>{};
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object().field("id", name).field("done", verb).end_object();
  return print(out + "\n");
}

Result<> print_started(const std::string& id, int pid) {
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object().field("id", id).field("pid", pid).end_object();
  return print(out + "\n");
}

void report_end(const std::string& id, int pid, const container::Exit& exit) {
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object().field("id", id).field("pid", pid);
  write_exit(json.key("exit"), exit);
  json.end_object();
  out += '\n';
  (void)sys::write_all(FdRef(STDERR_FILENO), out);
}

}  // namespace caisson::cli
