#include "container/journal.h"

#include <ranges>

#include "sys/file.h"

namespace caisson::container {
namespace {

constexpr std::string_view kConfig = "config ";
constexpr std::string_view kState = "state";
constexpr std::string_view kUndone = "undone";
constexpr std::string_view kRemoved = "removed";

struct KindName {
  plan::Undo::Kind kind;
  std::string_view name;
};
constexpr KindName kKindNames[] = {
    {plan::Undo::Kind::kRemoveCgroup, "remove-cgroup"},
    {plan::Undo::Kind::kUnlink, "unlink"},
    {plan::Undo::Kind::kRemoveDirectory, "remove-directory"},
    {plan::Undo::Kind::kUnmount, "unmount"},
    {plan::Undo::Kind::kStopUnit, "stop-unit"},
    {plan::Undo::Kind::kRemoveResctrlGroup, "remove-resctrl-group"},
};

void append_escaped(std::string& out, std::string_view text) {
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      out += text[++i] == 'n' ? '\n' : text[i];
    } else {
      out += text[i];
    }
  }
  return out;
}

void append_line(std::string& out, const plan::Undo& undo) {
  for (const auto& entry : kKindNames) {
    if (entry.kind == undo.kind) out += entry.name;
  }
  out += ' ';
  append_escaped(out, undo.target);
  out += '\n';
}

std::optional<plan::Undo> parse_line(std::string_view line) {
  auto [name, target] = split_once(line, ' ');
  for (const auto& entry : kKindNames) {
    if (entry.name == name && !target.empty()) return plan::Undo{entry.kind, unescaped(target)};
  }
  return std::nullopt;
}

// Takes the first record off. False: there is none.
bool take_config(std::string_view& text, std::string& config) {
  if (!text.starts_with(kConfig)) return false;
  auto end = text.find('\n');
  auto size = parse_number<std::size_t>(text.substr(kConfig.size(), end - kConfig.size()));
  if (end == text.npos || !size || *size > text.size() - end - 1) return false;
  config = text.substr(end + 1, *size);
  text.remove_prefix(end + 1 + *size);
  return true;
}

// In one write(2).
ErrnoOr<> write_whole(FdRef file, std::string_view text) {
  if (TRY(sys::write(file, text.data(), text.size())) != text.size()) {
    return std::unexpected(Errno{ENOSPC});
  }
  return {};
}

// `text` begins with an empty line, which separates it from a torn one before.
Result<> append(FdRef file, std::string_view text) {
  TRY_CTX(write_whole(file, text), "write the journal");
  return {};
}

}  // namespace

Result<> Journal::record(const std::vector<plan::Undo>& undos) {
  std::string text = "\n";
  for (const auto& undo : undos) append_line(text, undo);
  return append(file_, text);
}

ErrnoOr<> record_config(FdRef file, std::string_view config) {
  return write_whole(file, cat(kConfig, config.size(), "\n", config, "\n"));
}

Result<> record_state(FdRef file, const State& state) {
  return append(file, cat("\n", kState, " ", to_json(state)));
}

Result<> record_removal(FdRef file) { return append(file, cat("\n", kRemoved, "\n")); }

JournalContent parse_journal(std::string_view text) {
  JournalContent content;
  content.foreign = !take_config(text, content.config);
  if (content.foreign) return content;
  std::string_view state;
  for (auto end = text.find('\n'); end != text.npos; end = text.find('\n')) {
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    auto [word, rest] = split_once(line, ' ');
    if (word == kState) {
      state = rest;
    } else if (line == kUndone) {
      content.undos.clear();
    } else if (line == kRemoved) {
      content.removed = true;
    } else if (auto undo = parse_line(line)) {
      content.undos.push_back(std::move(*undo));
    }
  }
  content.state = state;
  return content;
}

Result<JournalContent> read_journal(FdRef file) {
  TRY_CTX(sys::call(SYS_lseek, file.number(), 0, SEEK_SET), "read the journal");
  return parse_journal(TRY_CTX(sys::read_all(file), "read the journal"));
}

Result<> undo_journal(plan::Executor& executor, FdRef file) {
  Result<> first;
  auto undos = TRY(read_journal(file)).undos;
  if (undos.empty()) return {};
  for (const auto& undo : undos | std::views::reverse) {
    auto undone = executor.undo(undo);
    if (!undone && first) first = std::unexpected(std::move(undone).error());
  }
  if (!first) return first;
  // Without room for the note it is taken back once more, which does nothing.
  (void)append(file, cat("\n", kUndone, "\n"));
  return {};
}

}  // namespace caisson::container
