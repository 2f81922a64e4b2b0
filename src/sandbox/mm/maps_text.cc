// The text of /proc/PID/maps and smaps (fs/proc/task_mmu.c of Linux).
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <array>
#include <cstdio>
#include <utility>

#include "sandbox/mm/memory_map.h"
#include "sandbox/vfs/walk.h"

namespace caisson::sandbox::mm {
namespace {

constexpr std::size_t kNameColumn = 73;

struct Areas {  // what tells heap and stack apart from other anonymous memory
  std::uint64_t break_begin = 0, break_end = 0, stack_begin = 0;
};

std::string name_of(const Mapping& mapping, const Areas& areas, const vfs::Path& root,
                    const vfs::MountNamespace& mounts) {
  if (mapping.file) {
    const vfs::Path& path = mapping.file->path();
    return path.mount ? vfs::path_text(path, root, mounts) : mapping.file->link_text(root);
  }
  if (mapping.special) return mapping.name;
  bool is_heap = areas.break_begin != areas.break_end && mapping.begin < areas.break_end &&
                 mapping.end > areas.break_begin;
  if (is_heap) return "[heap]";
  bool is_stack = areas.stack_begin != 0 && mapping.begin <= areas.stack_begin &&
                  mapping.end >= areas.stack_begin;
  return is_stack ? "[stack]" : mapping.name;
}

void add_header(std::string& text, const Mapping& mapping, const std::string& name) {
  vfs::Attributes attributes;
  if (mapping.file)
    if (auto known = mapping.file->attributes()) attributes = *std::move(known);
  std::array<char, 160> line{};
  int length = std::snprintf(
      line.data(), line.size(), "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ",
      static_cast<unsigned long long>(mapping.begin), static_cast<unsigned long long>(mapping.end),
      (mapping.protection & PROT_READ) != 0 ? 'r' : '-',
      (mapping.protection & PROT_WRITE) != 0 ? 'w' : '-',
      (mapping.protection & PROT_EXEC) != 0 ? 'x' : '-', mapping.shared ? 's' : 'p',
      static_cast<unsigned long long>(mapping.offset), major(attributes.device),
      minor(attributes.device), static_cast<unsigned long long>(attributes.inode));
  std::string header(line.data(), static_cast<std::size_t>(length));
  if (!name.empty()) {
    if (header.size() < kNameColumn) header.resize(kNameColumn, ' ');
    for (char c : name) {
      if (c == '\n')
        header += "\\012";
      else
        header += c;
    }
  }
  text += header;
  text += '\n';
}

std::string flags_text(const Mapping& mapping) {
  int may = mapping.max_protection;
  const Advice& advice = mapping.advice;
  const std::pair<bool, const char*> flags[] = {
      {(mapping.protection & PROT_READ) != 0, "rd"},
      {(mapping.protection & PROT_WRITE) != 0, "wr"},
      {(mapping.protection & PROT_EXEC) != 0, "ex"},
      // A shared mapping of a file that is not open for writing counts as private.
      {mapping.shared && (may & PROT_WRITE) != 0, "sh"},
      {(may & PROT_READ) != 0, "mr"},
      {(may & PROT_WRITE) != 0, "mw"},
      {(may & PROT_EXEC) != 0, "me"},
      {mapping.shared, "ms"},
      {mapping.grows_down, "gd"},
      {mapping.locked, "lo"},
      {advice.sequential, "sr"},
      {advice.random, "rr"},
      {mapping.dont_fork, "dc"},
      {mapping.special, "de"},
      {!mapping.shared && !mapping.special && !mapping.no_reserve, "ac"},
      {mapping.no_reserve, "nr"},
      {mapping.wipe_on_fork, "wf"},
      {advice.no_dump, "dd"},
      {advice.huge, "hg"},
      {advice.no_huge, "nh"},
      {advice.mergeable, "mg"},
      {mapping.sealed, "sl"},
  };
  std::string text = "VmFlags:";
  for (auto [is_set, name] : flags)
    if (is_set) text.append(" ").append(name);
  return text + " \n";
}

void add_size(std::string& text, const char* name, std::uint64_t bytes) {
  std::array<char, 64> line{};
  int length = std::snprintf(line.data(), line.size(), "%-15s %8llu kB\n", name,
                             static_cast<unsigned long long>(bytes >> 10));
  text.append(line.data(), static_cast<std::size_t>(length));
}

struct PageCounts {
  std::uint64_t anonymous = 0, file = 0, swapped = 0;  // bytes
};

PageCounts count_pages(std::string_view pages) {
  PageCounts counts;
  for (char page : pages) {
    bool present = (page & HostFigures::kPresent) != 0;
    if ((page & HostFigures::kSwapped) != 0) counts.swapped += kPageSize;
    if (present) ((page & HostFigures::kOfFile) != 0 ? counts.file : counts.anonymous) += kPageSize;
  }
  return counts;
}

// Whether others have a page as well is not told: what is the process's own counts as private.
void add_sizes(std::string& text, const Mapping& mapping, const PageCounts& pages) {
  std::uint64_t resident = pages.anonymous + pages.file;
  std::uint64_t dirty = pages.anonymous + (mapping.shared ? pages.file : 0);
  std::uint64_t clean = resident - dirty;
  const std::pair<const char*, std::uint64_t> sizes[] = {
      {"Size:", mapping.length()},
      {"KernelPageSize:", kPageSize},
      {"MMUPageSize:", kPageSize},
      {"Rss:", resident},
      {"Pss:", resident},
      {"Pss_Dirty:", dirty},
      {"Shared_Clean:", 0},
      {"Shared_Dirty:", mapping.shared ? dirty : 0},
      {"Private_Clean:", clean},
      {"Private_Dirty:", mapping.shared ? 0 : dirty},
      {"Referenced:", resident},
      {"Anonymous:", pages.anonymous},
      {"KSM:", 0},
      {"LazyFree:", 0},
      {"AnonHugePages:", 0},
      {"ShmemPmdMapped:", 0},
      {"FilePmdMapped:", 0},
      {"Shared_Hugetlb:", 0},
      {"Private_Hugetlb:", 0},
      {"Swap:", pages.swapped},
      {"SwapPss:", pages.swapped},
      {"Locked:", mapping.locked ? resident : 0},
  };
  for (auto [name, bytes] : sizes) add_size(text, name, bytes);
  text += "THPeligible:           0\n";
  text += flags_text(mapping);
}

}  // namespace

std::string MemoryMap::maps_text(const vfs::Path& root, const vfs::MountNamespace& mounts,
                                 bool with_sizes) const {
  Areas areas;
  {
    Locked lock(mutex_);
    areas = {break_begin_, break_end_, layout_.stack_begin};
  }
  std::string text;
  // File systems are asked for names and inodes: not under the lock.
  for (const Mapping& mapping : mappings()) {
    add_header(text, mapping, name_of(mapping, areas, root, mounts));
    if (!with_sizes) continue;
    std::string pages;
    if (figures_ != nullptr && !mapping.special)
      pages = figures_->pages(space_->host_pid(), mapping.begin, mapping.end).value_or("");
    add_sizes(text, mapping, count_pages(pages));
  }
  return text;
}

}  // namespace caisson::sandbox::mm
