#include "sandbox/fs/signalfd/signalfd.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::fs {

Result<> SignalFile::save(state::Writer& to) {
  to.refer(maker_);
  to(mask_.load(), flags());
  return {};
}

Result<Ref<vfs::File>> SignalFile::restore(state::Reader& from) {
  auto maker = TRY(from.object<kernel::ThreadGroup>());
  auto mask = from.value<kernel::SignalSet>();
  return Ref<vfs::File>(make_ref<SignalFile>(std::move(maker), mask, from.value<std::uint32_t>()));
}

}  // namespace caisson::sandbox::fs
