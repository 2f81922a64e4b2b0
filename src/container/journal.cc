#include "container/journal.h"

#include <ranges>

#include "sys/file.h"

namespace caisson::container {
namespace {

constexpr const char* kFile = "journal";

struct KindName {
  plan::Undo::Kind kind;
  std::string_view name;
};
constexpr KindName kKindNames[] = {
    {plan::Undo::Kind::kRemoveCgroup, "remove-cgroup"},
    {plan::Undo::Kind::kUnlink, "unlink"},
    {plan::Undo::Kind::kRemoveDirectory, "remove-directory"},
    {plan::Undo::Kind::kUnmount, "unmount"},
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

}  // namespace

Result<Journal> Journal::open(FdRef dir) {
  return Journal(TRY_CTX(sys::openat(dir, kFile, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600),
                         "open the journal"));
}

Result<> Journal::record(const std::vector<plan::Undo>& undos) {
  // The empty first line separates this group from a torn one before it.
  std::string text = "\n";
  for (const auto& undo : undos) append_line(text, undo);
  std::size_t done = TRY_CTX(sys::write(file_, text.data(), text.size()), "write the journal");
  if (done != text.size()) return std::unexpected(Error(Errno{ENOSPC}).doing("write the journal"));
  return {};
}

Result<std::vector<plan::Undo>> read_journal(FdRef dir) {
  std::vector<plan::Undo> undos;
  auto text = sys::read_file(dir, kFile);
  if (!text && text.error().value == ENOENT) return undos;
  if (!text) return std::unexpected(Error(text.error()).doing("read the journal"));
  std::string_view rest = *text;
  for (auto end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
    if (auto undo = parse_line(rest.substr(0, end))) undos.push_back(std::move(*undo));
    rest.remove_prefix(end + 1);
  }
  return undos;
}

Result<> undo_journal(plan::Executor& executor, FdRef dir) {
  Result<> first;
  auto undos = TRY(read_journal(dir));
  for (const auto& undo : undos | std::views::reverse) {
    auto undone = executor.undo(undo);
    if (!undone && first) first = std::unexpected(std::move(undone).error());
  }
  if (!first) return first;
  auto removed = sys::unlinkat(dir, kFile);
  if (!removed && removed.error().value != ENOENT) {
    return std::unexpected(Error(removed.error()).doing("remove the journal"));
  }
  return {};
}

}  // namespace caisson::container
