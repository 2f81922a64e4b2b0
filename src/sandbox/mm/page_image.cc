#include "sandbox/mm/page_image.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "sandbox/mm/mapping.h"
#include "sys/call.h"

namespace caisson::sandbox::mm {
namespace {

// Small enough to stay in a processor's cache between reading and writing.
constexpr std::size_t kBuffer = std::size_t{256} << 10;

ErrnoOr<> read_at(FdRef file, std::uint64_t offset, std::span<std::byte> to) {
  while (!to.empty()) {
    long done = TRY(sys::call_retry(SYS_pread64, file.number(), to.data(), to.size(), offset));
    if (done == 0) return std::unexpected(Errno{EIO});
    to = to.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

ErrnoOr<> write_at(FdRef file, std::uint64_t offset, std::span<const std::byte> from) {
  while (!from.empty()) {
    long done = TRY(sys::call_retry(SYS_pwrite64, file.number(), from.data(), from.size(), offset));
    from = from.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

// The part of [from, from + length) that is left to be copied, through a buffer.
template <typename Copy>
ErrnoOr<> in_pieces(std::uint64_t length, Copy copy) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(length, kBuffer));
  for (std::uint64_t done = 0; done < length;) {
    auto piece = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), length - done));
    TRY(copy(piece, done));
    done += piece.size();
  }
  return {};
}

}  // namespace

ErrnoOr<> PageWriter::append(std::span<const std::byte> pages) {
  TRY(write_at(file_, end_, pages));
  end_ += pages.size();
  return {};
}

ErrnoOr<> PageWriter::append_file(FdRef source, std::uint64_t from, std::uint64_t length) {
  return in_pieces(length, [&](std::span<std::byte> piece, std::uint64_t done) -> ErrnoOr<> {
    TRY(read_at(source, from + done, piece));
    return append(piece);
  });
}

ErrnoOr<> PageReader::read(std::uint64_t offset, std::span<std::byte> to) const {
  return read_at(file_, offset, to);
}

ErrnoOr<> PageReader::copy_to(FdRef target, std::uint64_t at, std::uint64_t offset,
                              std::uint64_t length) const {
  return in_pieces(length, [&](std::span<std::byte> piece, std::uint64_t done) -> ErrnoOr<> {
    TRY(read_at(file_, offset + done, piece));
    return write_at(target, at + done, piece);
  });
}

ErrnoOr<std::vector<SavedRun>> save_file_data(PageWriter& pages, FdRef file, std::uint64_t begin,
                                              std::uint64_t length) {
  std::vector<SavedRun> runs;
  std::uint64_t end = begin + page_up(length);
  for (std::uint64_t at = begin; at < end;) {
    auto data = sys::call(SYS_lseek, file.number(), at, SEEK_DATA);
    if (!data && data.error().value == ENXIO) break;
    if (!data) return std::unexpected(data.error());
    std::uint64_t from = page_down(static_cast<std::uint64_t>(*data));
    if (from >= end) break;
    auto hole = TRY(sys::call(SYS_lseek, file.number(), *data, SEEK_HOLE));
    at = std::min(page_up(static_cast<std::uint64_t>(hole)), end);
    runs.push_back({from - begin, at - from, pages.end()});
    TRY(pages.append_file(file, from, at - from));
  }
  return runs;
}

}  // namespace caisson::sandbox::mm
