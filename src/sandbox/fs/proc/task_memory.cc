// /proc/PID/{cmdline,environ,auxv,maps,smaps,smaps_rollup}.
#include <algorithm>
#include <cerrno>
#include <span>

#include "base/text.h"
#include "sandbox/fs/proc/task_directory.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::size_t kTextLimit = std::size_t{4} << 20;

std::string read_memory(mm::MemoryMap& memory, std::uint64_t begin, std::uint64_t end) {
  if (end <= begin) return {};
  std::string text(std::min<std::uint64_t>(end - begin, kTextLimit), '\0');
  text.resize(memory.read(begin, std::as_writable_bytes(std::span(text))).value_or(0));
  return text;
}

ErrnoOr<std::string> cmdline(const TaskView& view) {
  Ref<mm::MemoryMap> memory = view.task.memory_ref();
  return memory ? command_line(*memory) : std::string();
}

ErrnoOr<std::string> environ_text(const TaskView& view) {
  Ref<mm::MemoryMap> memory = view.task.memory_ref();
  if (!memory) return std::string();
  mm::ProgramLayout layout = memory->layout();
  return read_memory(*memory, layout.env_begin, layout.env_end);
}

ErrnoOr<std::string> auxv(const TaskView& view) {
  Ref<mm::MemoryMap> memory = view.task.memory_ref();
  return memory ? memory->layout().auxiliary_vector : std::string();
}

std::string mappings_text(const TaskView& view, bool with_sizes) {
  Ref<mm::MemoryMap> memory = view.task.memory_ref();
  if (!memory) return {};
  return memory->maps_text(view.reader.fs().root(), view.reader.mounts(), with_sizes);
}

ErrnoOr<std::string> maps(const TaskView& view) { return mappings_text(view, false); }
ErrnoOr<std::string> smaps(const TaskView& view) { return mappings_text(view, true); }

struct SizeLine {
  std::string_view name;
  std::uint64_t kilobytes;
};

// "Rss:                 12 kB" of smaps; nothing for other lines.
bool parse_size_line(std::string_view line, SizeLine& parsed) {
  if (!line.ends_with(" kB")) return false;
  std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  auto value = parse_number<std::uint64_t>(trim(line.substr(colon + 1, line.size() - colon - 4)));
  if (!value) return false;
  parsed = {line.substr(0, colon), *value};
  return true;
}

ErrnoOr<std::string> smaps_rollup(const TaskView& view) {
  Ref<mm::MemoryMap> memory = view.task.memory_ref();
  if (!memory) return std::unexpected(Errno{ESRCH});
  std::vector<mm::Mapping> mappings = memory->mappings();
  if (mappings.empty()) return std::string();
  std::vector<SizeLine> sums;
  std::string text = mappings_text(view, true);
  for (std::string_view line : split(text, '\n')) {
    SizeLine parsed;
    if (!parse_size_line(line, parsed)) continue;
    bool of_mapping = parsed.name == "Size" || parsed.name.ends_with("PageSize");
    if (of_mapping) continue;
    auto known = std::find_if(sums.begin(), sums.end(),
                              [&](const SizeLine& sum) { return sum.name == parsed.name; });
    if (known == sums.end())
      sums.push_back(parsed);
    else
      known->kilobytes += parsed.kilobytes;
  }
  auto address = [](std::uint64_t value) {
    std::string digits = hex(value);
    return std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits;
  };
  std::string head = cat(address(mappings.front().begin), "-", address(mappings.back().end),
                         " ---p 00000000 00:00 0 ");
  std::string rollup = cat(padded_right(head, 73), "[rollup]\n");
  for (const SizeLine& sum : sums)
    append(rollup, padded_right(cat(sum.name, ":"), 16), padded_left(cat(sum.kilobytes), 8),
           " kB\n");
  return rollup;
}

constexpr TaskFileEntry kEntries[] = {
    {"cmdline", cmdline},         {"environ", environ_text, 0400, true},
    {"auxv", auxv, 0400, true},   {"maps", maps, 0444, true},
    {"smaps", smaps, 0444, true}, {"smaps_rollup", smaps_rollup, 0444, true},
};

}  // namespace

// A program that wrote over the last zero of its arguments has put a text of its own there, which
// may go on where the environment was (fs/proc/base.c: get_mm_cmdline()).
std::string command_line(mm::MemoryMap& memory) {
  mm::ProgramLayout layout = memory.layout();
  std::string text = read_memory(memory, layout.args_begin, layout.args_end);
  if (text.empty() || text.back() == '\0') return text;
  std::size_t end = text.find('\0');
  if (end != std::string::npos) return text.substr(0, end + 1);
  std::string more = read_memory(memory, layout.env_begin, layout.env_end);
  return text + more.substr(0, more.find('\0'));
}

std::span<const TaskFileEntry> task_memory_files() { return kEntries; }

}  // namespace caisson::sandbox::fs
