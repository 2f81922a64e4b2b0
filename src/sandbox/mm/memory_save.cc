// Address spaces in a checkpoint: the mappings as records, and of private memory the pages that
// exist. At the restore whole stretches of them are shown from the image, copy on write, so that
// they cost nothing until they are touched; what is small or cannot be mapped so is copied.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/text.h"
#include "sandbox/mm/memory_map.h"
#include "sandbox/mm/page_image.h"
#include "sandbox/mm/present_pages.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::mm {
namespace {

constexpr std::size_t kBuffer = std::size_t{256} << 10;
// From here on mapping a run is cheaper than copying it: an order costs as much as some ten pages.
constexpr std::uint64_t kLeastMapped = 16 * kPageSize;
// The host has a limit of 65530 mappings; more runs than these are copied.
constexpr std::size_t kMostMapped = 20'000;

bool is_zero(std::span<const std::byte> page) {
  const auto* words = reinterpret_cast<const std::uint64_t*>(page.data());
  return std::all_of(words, words + kPageSize / sizeof *words, [](auto word) { return word == 0; });
}

}  // namespace

template <typename Stream>
void describe(Stream& stream, AddressLayout& areas) {
  stream(areas.limit, areas.stack_top, areas.map_top, areas.map_bottom, areas.bottom_up);
}
template <typename Stream>
void describe(Stream& stream, MemoryLimits& limits) {
  stream(limits.address_space, limits.data, limits.stack, limits.locked);
}
template <typename Stream>
void describe(Stream& stream, ProgramLayout& layout) {
  stream(layout.code_begin, layout.code_end, layout.data_begin, layout.data_end);
  stream(layout.stack_begin, layout.args_begin, layout.args_end, layout.env_begin);
  stream(layout.env_end, layout.auxiliary_vector);
}
template <typename Stream>
void describe(Stream& stream, Advice& advice) {
  stream(advice.sequential, advice.random, advice.no_dump, advice.huge, advice.no_huge);
  stream(advice.mergeable);
}
template <typename Stream>
void describe(Stream& stream, Mapping& m) {  // but for its file
  stream(m.begin, m.end, m.protection, m.max_protection, m.shared, m.grows_down, m.locked);
  stream(m.lock_on_fault, m.dont_fork, m.wipe_on_fork, m.no_reserve, m.sealed, m.special);
  stream(m.advice, m.offset, m.name);
}

// --- saving

// Copies the pages of runs to the image, without those that hold nothing but zeroes where nothing
// is zeroes too.
class MemoryMap::PageSaver {
 public:
  PageSaver(MemoryMap& map, PageWriter& pages, PresentPages present)
      : map_(map), pages_(pages), present_(std::move(present)), buffer_(kBuffer) {}

  ErrnoOr<> save(const Mapping& mapping) {
    auto own = TRY(own_pages(mapping));
    if (own.empty()) return {};
    bool readable = (mapping.protection & PROT_READ) != 0;
    std::uint64_t begin = own.front().begin, length = own.back().end - begin;
    if (!readable) TRY(map_.space_->protect(nullptr, begin, length, PROT_READ));
    ErrnoOr<> saved = {};
    for (const auto& run : own)
      if (saved) saved = save_run(run, mapping.anonymous());
    if (!readable) TRY(map_.space_->protect(nullptr, begin, length, mapping.protection));
    return saved;
  }
  const std::vector<SavedRun>& runs() const { return runs_; }

 private:
  // Those of an image that it was restored from are pages of a file, as long as nobody writes them.
  ErrnoOr<std::vector<PresentPages::Run>> own_pages(const Mapping& mapping) {
    AddressSet all;
    for (const auto& run : TRY(present_.own_pages(mapping.begin, mapping.backed_end)))
      all.add(run.begin, run.end);
    map_.image_pages_.for_each_in(mapping.begin, mapping.backed_end,
                                  [&](auto begin, auto end) { all.add(begin, end); });
    std::vector<PresentPages::Run> runs;
    all.for_each_in(mapping.begin, mapping.backed_end,
                    [&](auto begin, auto end) { runs.push_back({begin, end}); });
    return runs;
  }
  ErrnoOr<> save_run(PresentPages::Run run, bool anonymous) {
    while (run.begin < run.end) {
      auto piece = std::span(buffer_).first(std::min<std::uint64_t>(kBuffer, run.end - run.begin));
      std::size_t got = TRY(map_.space_->read(run.begin, piece));
      if (got != piece.size()) return std::unexpected(Errno{EFAULT});
      map_.space_->undo_patches(run.begin, piece);  // its islands stay behind
      TRY(keep(run.begin, piece, anonymous));
      run.begin += piece.size();
    }
    return {};
  }
  ErrnoOr<> keep(std::uint64_t address, std::span<const std::byte> bytes, bool anonymous) {
    auto is_left_out = [&](std::size_t at) {
      return anonymous && is_zero(bytes.subspan(at, kPageSize));
    };
    for (std::size_t at = 0; at < bytes.size();) {
      if (is_left_out(at)) {
        at += kPageSize;
        continue;
      }
      std::size_t end = at + kPageSize;
      while (end < bytes.size() && !is_left_out(end)) end += kPageSize;
      note(address + at, end - at);
      TRY(pages_.append(bytes.subspan(at, end - at)));
      at = end;
    }
    return {};
  }
  void note(std::uint64_t address, std::uint64_t length) {
    if (!runs_.empty() && runs_.back().begin + runs_.back().length == address &&
        runs_.back().offset + runs_.back().length == pages_.end())
      runs_.back().length += length;
    else
      runs_.push_back({address, length, pages_.end()});
  }

  MemoryMap& map_;
  PageWriter& pages_;
  PresentPages present_;
  std::vector<std::byte> buffer_;
  std::vector<SavedRun> runs_;
};

Result<> MemoryMap::save(state::Writer& to) {
  Locked lock(mutex_);
  to(areas_, layout_, break_begin_, break_end_, limits_, peak_total_, lock_future_,
     lock_future_on_fault_);
  to.refer(layout_.executable, "its program");
  to(tree_.size() - islands_.size());
  for (const auto& [begin, mapping] : tree_) {
    if (std::ranges::find(islands_, begin) != islands_.end()) continue;
    to(mapping);
    to.refer(mapping.file, cat("the mapping at ", hex(begin)));
  }
  auto& pages = to.need<PageWriter>();
  auto present = PresentPages::open(pages.proc(), space_->host_pid());
  if (!present) return std::unexpected(Error(present.error()).doing("look for pages of memory"));
  PageSaver saver(*this, pages, std::move(*present));
  for (const auto& [begin, mapping] : tree_) {
    if (mapping.shared || mapping.special) continue;
    auto saved = saver.save(mapping);
    if (!saved) return std::unexpected(Error(saved.error()).doing("save memory at ", hex(begin)));
  }
  to(saver.runs());
  return {};
}

// --- restoring

namespace {

Result<> check(const Mapping& mapping, std::uint64_t after, std::uint64_t limit) {
  constexpr int kAll = PROT_READ | PROT_WRITE | PROT_EXEC;
  bool placed = page_aligned(mapping.begin) && page_aligned(mapping.end) &&
                mapping.begin >= after && mapping.begin < mapping.end &&
                (mapping.end <= limit || mapping.special);
  bool valid = (mapping.protection & ~kAll) == 0 && (mapping.max_protection & ~kAll) == 0 &&
               page_aligned(mapping.offset) && mapping.offset <= ~mapping.length();
  if (placed && valid) return {};
  return std::unexpected(state::Reader::damaged("a mapping cannot be"));
}

Error failed(Errno error, std::uint64_t address) {
  return Error(error).doing("restore memory at ", hex(address));
}

}  // namespace

Result<> MemoryMap::restore_mapping(state::Reader& from, std::uint64_t after) {
  auto mapping = from.value<Mapping>();
  mapping.file = TRY(from.optional_object<vfs::File>());
  TRY(from.check());
  TRY(check(mapping, after, space_->limit()));
  if (mapping.shared && !mapping.file)
    return std::unexpected(state::Reader::damaged("a shared mapping has no file"));
  mapping.backed_end = mapping.end;
  if (mapping.file) {
    auto source = source_of(mapping, mapping.offset, mapping.length());
    if (!source) return std::unexpected(failed(source.error(), mapping.begin));
    mapping.source = *std::move(source);
    observe(mapping.source.end);
    mapping.backed_end = mapping.begin + backed_length(mapping, mapping.length());
  }
  Locked lock(mutex_);
  // The vDSO stands in every address space.
  if (!mapping.special) {
    auto mapped = order_map(nullptr, mapping, mapping.begin, mapping.backed_end);
    if (!mapped) return std::unexpected(failed(mapped.error(), mapping.begin));
  }
  tree_.insert(std::move(mapping));
  return {};
}

// Shown from the image.
ErrnoOr<> MemoryMap::show_run(const PageReader& pages, const Mapping& mapping,
                              const SavedRun& run) {
  platform::MapRequest request;
  request.address = run.begin;
  request.length = run.length;
  request.protection = mapping.protection;
  request.no_reserve = mapping.no_reserve;
  request.fd = pages.file().number();
  request.offset = run.offset;
  TRY(space_->map(nullptr, request));
  image_pages_.add(run.begin, run.begin + run.length);
  return {};
}

ErrnoOr<> MemoryMap::copy_run(const PageReader& pages, const Mapping& mapping,
                              const SavedRun& run) {
  constexpr int kWritable = PROT_READ | PROT_WRITE;
  bool protect = (mapping.protection & kWritable) != kWritable;
  if (protect) TRY(space_->protect(nullptr, run.begin, run.length, kWritable));
  std::vector<std::byte> buffer(std::min<std::uint64_t>(kBuffer, run.length));
  for (std::uint64_t done = 0; done < run.length;) {
    auto piece = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), run.length - done));
    TRY(pages.read(run.offset + done, piece));
    std::size_t written = TRY(space_->write(run.begin + done, piece));
    if (written != piece.size()) return std::unexpected(Errno{EFAULT});
    done += piece.size();
  }
  if (protect) TRY(space_->protect(nullptr, run.begin, run.length, mapping.protection));
  return {};
}

// A run may lie across mappings that stand side by side.
Result<> MemoryMap::restore_run(const PageReader& pages, SavedRun run, bool may_map) {
  bool valid = page_aligned(run.begin) && page_aligned(run.length) && run.length != 0 &&
               run.begin <= ~run.length && pages.holds(run.offset, run.length);
  while (valid && run.length != 0) {
    const Mapping* mapping = tree_.find(run.begin);
    if (mapping == nullptr || mapping->shared || mapping->special) break;
    SavedRun part = run;
    part.length = std::min(run.length, mapping->end - run.begin);
    // A file system that forbids execution forbids mapping for it as well.
    bool maps = may_map && part.length >= kLeastMapped && (mapping->protection & PROT_EXEC) == 0;
    auto done = maps ? show_run(pages, *mapping, part) : copy_run(pages, *mapping, part);
    if (!done) return std::unexpected(failed(done.error(), part.begin));
    run.begin += part.length, run.offset += part.length, run.length -= part.length;
  }
  if (valid && run.length == 0) return {};
  return std::unexpected(state::Reader::damaged("pages belong to no private memory"));
}

Result<Ref<MemoryMap>> MemoryMap::restore(state::Reader& from) {
  auto made = create(from.need<platform::Platform>(), from.services.find<HostFigures>());
  if (!made) return std::unexpected(Error(made.error()).doing("make an address space"));
  MemoryMap& map = **made;
  from(map.areas_, map.layout_, map.break_begin_, map.break_end_, map.limits_, map.peak_total_,
       map.lock_future_, map.lock_future_on_fault_);
  map.full_from_ = map.areas_.map_top;
  map.layout_.executable = TRY(from.optional_object<vfs::File>());
  std::uint64_t after = kLowestAddress;
  for (std::size_t left = from.count(); left != 0; --left) {
    TRY(map.restore_mapping(from, after));
    after = std::prev(map.tree_.end())->second.end;
  }
  auto runs = from.value<std::vector<SavedRun>>();
  TRY(from.check());
  bool may_map = runs.size() <= kMostMapped;
  Locked lock(map.mutex_);
  for (const SavedRun& run : runs) TRY(map.restore_run(from.need<PageReader>(), run, may_map));
  return *std::move(made);
}

// What dropping these pages leaves: zeroes, or what the file has. On the host they may be those of
// the image, which would come back.
ErrnoOr<> MemoryMap::drop_pages(platform::Thread* via, const Mapping& part) {
  TRY(order_map(via, part, part.begin, part.backed_end));
  image_pages_.remove(part.begin, part.backed_end);
  return {};
}

}  // namespace caisson::sandbox::mm
