#include "sandbox/fs/eventfd/eventfd.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::fs {

Result<> EventFile::save(state::Writer& to) {
  Locked lock(mutex_);
  to(count_, semaphore_, flags());
  return {};
}

Result<Ref<vfs::File>> EventFile::restore(state::Reader& from) {
  auto count = from.value<std::uint64_t>();
  auto semaphore = from.value<bool>();
  return Ref<vfs::File>(make_ref<EventFile>(count, semaphore, from.value<std::uint32_t>()));
}

}  // namespace caisson::sandbox::fs
