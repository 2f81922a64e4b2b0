#include "base/text.h"
#include "sandbox/mm/mapping.h"
#include "sandbox/mm/page_image.h"
#include "sandbox/mm/shared_memory.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::mm {

Result<> SharedMemory::save(state::Writer& to) {
  auto runs = save_file_data(to.need<PageWriter>(), memory_, 0, length_);
  if (!runs) return std::unexpected(Error(runs.error()).doing("save shared memory"));
  to(length_, *runs);
  return {};
}

Result<Ref<vfs::File>> SharedMemory::restore(state::Reader& from) {
  auto length = from.value<std::uint64_t>();
  auto runs = from.value<std::vector<SavedRun>>();
  TRY(from.check());
  auto made = create(length);
  if (!made) return std::unexpected(Error(made.error()).doing("make shared memory"));
  auto& memory = static_cast<SharedMemory&>(**made);
  auto& pages = from.need<PageReader>();
  for (const SavedRun& run : runs) {
    if (!pages.holds(run.offset, run.length) || run.begin > ~run.length ||
        run.begin + run.length > page_up(length))
      return std::unexpected(state::Reader::damaged("pages are behind the end of shared memory"));
    TRY_CTX(pages.copy_to(memory.memory_, run.begin, run.offset, run.length), "fill shared memory");
  }
  return *std::move(made);
}

}  // namespace caisson::sandbox::mm
