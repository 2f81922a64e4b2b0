// Pipe: the buffer behind pipe(2) and fifo(7). Bytes are kept in pages as Linux keeps them, so that
// what fits, what is atomic and when a writer has to wait are the same. Never blocks.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/io.h"
#include "sandbox/vfs/wait_queue.h"

namespace caisson::sandbox::fs {

class Pipe final : public RefCounted {
 public:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kDefaultPages = 16;        // pipe(7): 64 KiB
  static constexpr std::size_t kUnprivilegedPages = 256;  // fs.pipe-max-size: 1 MiB

  Pipe() = default;

  // 0: the end. EAGAIN: empty, and somebody may still write.
  ErrnoOr<std::size_t> read(vfs::IoBuffer& to);
  // As many bytes as fit; EAGAIN: none, or not all of a write of up to PIPE_BUF bytes. EPIPE: no
  // reader. `packets`: O_DIRECT.
  ErrnoOr<std::size_t> write(vfs::IoBuffer& from, bool packets);

  // --- splice(2), tee(2). Bytes moved; 0: the end of `from`; EAGAIN: nothing there or no room.
  static ErrnoOr<std::size_t> move(Pipe& from, Pipe& to, std::size_t length);
  static ErrnoOr<std::size_t> duplicate(Pipe& from, Pipe& to, std::size_t length);
  // From and to other files, at `offset` or (none) by read() and write() of theirs.
  ErrnoOr<std::size_t> fill_from(vfs::File& file, std::optional<std::uint64_t> offset,
                                 std::size_t length, vfs::Caller& caller);
  ErrnoOr<std::size_t> drain_to(vfs::File& file, std::optional<std::uint64_t> offset,
                                std::size_t length, vfs::Caller& caller);

  vfs::ReadyMask ready(bool as_reader, bool as_writer, std::uint64_t seen_writers);
  std::size_t available() const;  // bytes to read
  std::size_t capacity() const;   // bytes
  // F_SETPIPE_SZ: the new capacity. EBUSY, EINVAL; EPERM unless `privileged`.
  ErrnoOr<std::size_t> set_capacity(std::uint64_t bytes, bool privileged);

  // fchmod(2), fchown(2) of a pipe without a name: for both ends.
  struct Owner {
    std::uint32_t mode = 0600;
    vfs::Uid uid = 0;
    vfs::Gid gid = 0;
  };
  Owner owner() const;
  void set_owner(const Owner& owner);

  // --- ends. Counts of all opens ever made tell a waiting open that its partner came and may have
  // gone again (wait_for_partner() of Linux).
  struct Ends {
    std::size_t readers = 0, writers = 0;
    std::uint64_t readers_ever = 0, writers_ever = 0;
  };
  Ends ends() const;
  Ends open_end(bool reader, bool writer);  // what was there before
  // With the last end the contents are gone (a FIFO lives on).
  void close_end(bool reader, bool writer);

  state::Tag save_tag() const { return state::Tag::kPipe; }
  Result<> save(state::Writer& to);
  // Without its ends, which come with their files.
  static Result<Ref<Pipe>> restore(state::Reader& from);

  // Where a file with these ends waits: readers hear nothing of what is for writers, so that
  // edge-triggered watchers see the edges that they see in Linux.
  vfs::WaitQueue& queue(bool as_reader, bool as_writer) {
    if (as_reader && as_writer) return both_queue_;
    return as_reader ? reader_queue_ : writer_queue_;
  }

 private:
  using Page = std::array<std::byte, kPage>;
  struct Segment {
    std::unique_ptr<Page> page;
    std::size_t offset = 0, length = 0;
    bool packet = false;     // a read ends with it
    bool mergeable = false;  // a small write may be added behind it
  };
  ~Pipe() override = default;

  void tell_readers();
  void tell_writers();
  void tell_all();
  bool full() const { return segments_.size() >= limit_; }
  std::unique_ptr<Page> take_page();
  void give_page(std::unique_ptr<Page> page);
  void drop_first();
  ErrnoOr<std::size_t> merge(vfs::IoBuffer& from);
  ErrnoOr<std::size_t> append(vfs::IoBuffer& from, bool packets);
  ErrnoOr<std::size_t> take(vfs::IoBuffer& to);
  // Why nothing can go from one to the other; 0: `from` has ended; none: something can.
  static std::optional<ErrnoOr<std::size_t>> obstacle(const Pipe& from, const Pipe& to);
  ErrnoOr<std::size_t> fill_page(vfs::File& file, std::optional<std::uint64_t> offset,
                                 std::size_t length, vfs::Caller& caller);

  mutable Mutex mutex_;
  std::deque<Segment> segments_;
  std::size_t limit_ = kDefaultPages;
  Ends ends_;
  Owner owner_;
  std::vector<std::unique_ptr<Page>> spare_;
  vfs::WaitQueue reader_queue_, writer_queue_, both_queue_;
};

}  // namespace caisson::sandbox::fs
