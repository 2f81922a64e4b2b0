#include <cerrno>

#include "sandbox/fs/host_file/host_file.h"
#include "sandbox/state/reader.h"
#include "sandbox/state/writer.h"

namespace caisson::sandbox::fs {

Result<> InheritedFile::save(state::Writer& to) {
  if (!host_->standard) {
    return std::unexpected(
        Error::with_cause(EOPNOTSUPP, "it was given to a program that came in from outside")
            .cure("end what \"exec\" started before the checkpoint"));
  }
  Locked lock(owner_mutex_);
  to(*host_->standard, flags(), mode_, uid_, gid_);
  return {};
}

Result<Ref<vfs::File>> InheritedFile::restore(state::Reader& from) {
  auto& streams = from.need<StandardStreams>();
  auto number = from.value<std::uint32_t>();
  auto flags = from.value<std::uint32_t>();
  if (number >= streams.host.size() || !streams.host[number]) {
    return std::unexpected(
        Error::invalid("its standard streams are no terminal, those of the restore are")
            .cure("restore it as it was started, with or without a terminal"));
  }
  auto file = make_ref<InheritedFile>(streams.host[number], flags);
  from(file->mode_, file->uid_, file->gid_);
  return Ref<vfs::File>(std::move(file));
}

}  // namespace caisson::sandbox::fs
