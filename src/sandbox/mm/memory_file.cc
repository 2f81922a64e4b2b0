// Mappings of files whose end only the sandbox knows: pages behind it must raise SIGBUS, so they do
// not exist on the host.
#include <algorithm>

#include "sandbox/mm/memory_map.h"

namespace caisson::sandbox::mm {

ErrnoOr<Source> source_of(const Mapping& mapping, std::uint64_t offset, std::uint64_t length) {
  vfs::MapSource told =
      TRY(mapping.file->map_source(offset, length, mapping.protection, mapping.shared));
  Source source{told.fd, told.offset - offset};
  if (told.valid_length < ~std::uint64_t{0} - offset) source.end = offset + told.valid_length;
  return source;
}

std::uint64_t backed_length(const Mapping& mapping, std::uint64_t length, const Source& source) {
  if (source.end == ~std::uint64_t{0}) return length;
  if (source.end <= mapping.offset) return 0;
  return std::min(page_up(source.end - mapping.offset), length);
}

// The file may have shrunk between the question where it ends and the mapping.
void MemoryMap::settle(platform::Thread* via, const Mapping& mapping, const Source& source) {
  if (source.end == ~std::uint64_t{0}) return;
  ErrnoOr<Source> now = source_of(mapping, mapping.offset, mapping.length());
  if (now && now->end < source.end) cut_off(via, *mapping.file, now->end);
}

void MemoryMap::cut_off(platform::Thread* via, const vfs::File& file, std::uint64_t size) {
  Locked lock(mutex_);
  std::vector<Mapping> parts;
  for (const auto& [begin, mapping] : tree_)
    if (mapping.file.get() == &file) parts.push_back(mapping);
  for (const Mapping& part : parts) cut_off_mapping(via, part, size);
}

void MemoryMap::cut_off_mapping(platform::Thread* via, const Mapping& mapping, std::uint64_t size) {
  std::uint64_t kept = mapping.begin + backed_length(mapping, mapping.length(), {.end = size});
  if (kept >= mapping.backed_end) return;
  // When the host refuses, the pages stay, as they do for a mapping that is still being made.
  if (!space_->unmap(via, kept, mapping.backed_end - kept)) return;
  tree_.change(mapping.begin, mapping.end, [&](Mapping& part) { part.backed_end = kept; });
}

}  // namespace caisson::sandbox::mm
