// caisson why: what became of a container, and what to do about it.
#include <cstring>

#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/failed_runs.h"
#include "cli/log_reader.h"
#include "cli/sandbox_view.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "formats/json.h"
#include "plan/sandbox.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

constexpr long kLastLines = 10;

std::string signal_text(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? cat("SIG", name, " (", signal, ")") : cat("signal ", signal);
}

struct Answer {
  std::string what;  // one sentence
  std::string cure;  // may be empty
};

Answer about_signal(const container::Exit& exit) {
  constexpr int kKill = 9, kSegv = 11, kTerm = 15, kXcpu = 24, kSys = 31;
  std::string what = cat("its command was ended by ", signal_text(exit.signal));
  if (exit.oom) {
    return {what + ": the kernel's OOM killer was at work, its memory limit was reached",
            "raise --memory, or make the command use less"};
  }
  switch (exit.signal) {
    case kKill:
      return {what +
                  ", sent by somebody: a stop that took too long, a kill, or the machine's own "
                  "want of memory",
              "look into the kernel's log (dmesg) for \"Out of memory\""};
    case kSegv: return {what + ": it used memory that it did not have", {}};
    case kTerm: return {what + ", as \"caisson stop\" sends it", {}};
    case kXcpu: return {what + ": its limit of CPU time (RLIMIT_CPU) was reached", {}};
    case kSys:
      return {what + ": it made a system call that its filter does not let through",
              "try --seccomp unconfined to see whether that is it"};
    default: return {what, {}};
  }
}

Answer about_code(const container::Exit& exit) {
  const int code = exit.code;
  if (exit.oom) {
    return {
        cat("its command ended with ", code,
            ": the kernel's OOM killer ended something that it ran, its memory limit was reached"),
        "raise --memory, or make the command use less"};
  }
  switch (code) {
    case 0: return {"its command ended without an error", {}};
    case 126:
      return {"its command ended with 126: a shell in it found a program that it could not execute",
              {}};
    case 127:
      return {"its command ended with 127: a shell in it did not find a program",
              "look at PATH with \"caisson inspect\""};
    default:
      if (code > 128 && code < 160) {
        return {cat("its command ended with ", code, ": something it ran was ended by ",
                    signal_text(code - 128)),
                {}};
      }
      return {cat("its command ended with ", code, ", which is its own way to say what went wrong"),
              "see its last lines"};
  }
}

Answer about_container(const container::Snapshot& snapshot) {
  using container::Status;
  switch (snapshot.status) {
    case Status::kCreating: return {"it is being created at this moment", {}};
    case Status::kCreated: return {"it is created and waits to be started", {}};
    case Status::kRunning: return {cat("it runs, as process ", snapshot.pid()), {}};
    case Status::kPaused:
      return {"it is paused", cat("\"caisson resume ", snapshot.state.id, "\" lets it go on")};
    case Status::kStopped: break;
  }
  if (!snapshot.exit || !snapshot.exit->known) {
    return {
        "it ended while nobody watched, so its status is lost: the machine was started anew, or "
        "its supervisor was killed",
        {}};
  }
  return snapshot.exit->signal != 0 ? about_signal(*snapshot.exit) : about_code(*snapshot.exit);
}

// System calls that programs in a sandbox made and that it lacks, a line each. What cannot be found
// out is none: why it ended matters more.
std::vector<std::string> missing_calls(Session& session, const container::Snapshot& snapshot) {
  std::vector<std::string> lines;
  if (snapshot.state.wall != "sandbox") return lines;
  const std::string& id = snapshot.state.id;
  std::string text;
  if (snapshot.status == container::Status::kStopped) {
    std::string path = cat(session.containers().root, "/", plan::sandbox_notes_name(id));
    text = sys::read_file(sys::kCwd, path.c_str(), 1 << 16).value_or("");
  } else if (snapshot.status == container::Status::kRunning) {
    text = ask_sandbox(session, id, "syscalls").value_or("");
  }
  for (auto line : split(text, '\n'))
    if (!line.empty()) lines.emplace_back(line);
  return lines;
}

void append_lines(std::string& out, std::string_view title, const std::vector<std::string>& lines) {
  if (!lines.empty()) append(out, "  ", title, ":\n");
  for (const auto& line : lines) append(out, "    ", printable(line), "\n");
}

struct Lines {
  std::vector<std::string> last, missing_calls;
};

Result<> print_answer(const container::Snapshot& snapshot, const Answer& answer, const Lines& lines,
                      bool as_json) {
  std::string out;
  if (as_json) {
    formats::JsonWriter json(out, "  ");
    json.begin_object();
    write_snapshot(json, snapshot);
    json.field("why", answer.what).field("cure", answer.cure).field("last_lines", lines.last);
    json.field("missing_calls", lines.missing_calls);
    json.end_object();
    return print(out + "\n");
  }
  append(out, snapshot.state.id, ": ", answer.what);
  if (snapshot.exit && snapshot.exit->known) {
    append(out, ", ", human_age(realtime_ns() - snapshot.exit->at), " ago");
  }
  append(out, "\n  command: ", command_text(snapshot.state.command, 200), "\n");
  if (!answer.cure.empty()) append(out, "  cure: ", answer.cure, "\n");
  append_lines(out, "calls that its sandbox lacks", lines.missing_calls);
  append_lines(out, "last lines", lines.last);
  return print(out);
}

// The error of a start that failed, as it was noted.
Result<> print_failure(const std::string& name, const std::string& line, bool as_json) {
  if (as_json) return print(line);
  std::string message, time, cure;
  formats::JsonReader reader(line, "the note of its failure");
  TRY(reader.enter_object());
  while (auto key = TRY(reader.next_key())) {
    std::string* part = *key == "msg"    ? &message
                        : *key == "time" ? &time
                        : *key == "cure" ? &cure
                                         : nullptr;
    if (part == nullptr) {
      TRY(reader.skip_value());
    } else {
      *part = TRY(reader.read_string());
    }
  }
  std::string out =
      cat(name, ": its last start failed at ", time, "\n  ", printable(message), "\n");
  if (!cure.empty()) append(out, "  cure: ", printable(cure), "\n");
  return print(out);
}

Result<int> run(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  std::string name(arguments.operands()[0]);
  TRY(container::check_id(name));
  bool as_json = arguments.flag("json");
  auto snapshot = container::query(session.containers(), name);
  if (!snapshot) {
    auto noted = failed_run(context.root, name);
    if (!noted) return std::unexpected(std::move(snapshot).error());
    TRY(print_failure(name, *noted, as_json));
    return 0;
  }
  Lines lines;
  lines.missing_calls = missing_calls(session, *snapshot);
  if (snapshot->state.logged) {
    auto folder = container::folder_path(session.containers(), name);
    for (const auto& entry : TRY(last_log_lines(folder, kLastLines))) {
      auto line = container::parse_log_line(entry);
      if (line) lines.last.emplace_back(line->text);
    }
  }
  TRY(print_answer(*snapshot, about_container(*snapshot), lines, as_json));
  return 0;
}

}  // namespace

const Command kWhyCommand{
    .name = "why",
    .group = "Understanding",
    .operands = "[options] NAME",
    .summary = "Say why a container ended, or why it never started",
    .details =
        "Knows containers that are there (\"caisson ps --all\") and the last failed start of each\n"
        "name. Of a sandbox it names the system calls that programs made and that it lacks.",
    .examples =
        "caisson why web\n"
        "caisson why --json web",
    .options = {},
    .shared_options = kJsonOption,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

}  // namespace caisson::cli
