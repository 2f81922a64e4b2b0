// Islands: pages of trampolines (layout.h). All are pages of one memfd that only the kernel process
// can write; address spaces that were forked from each other share theirs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/platform/layout.h"

namespace caisson::sandbox::platform {

class IslandFile;

struct IslandCall {
  std::uint64_t behind = 0;  // the address behind the system call instruction
  std::uint32_t number = 0;
  friend bool operator==(const IslandCall&, const IslandCall&) = default;
};

class Island : public RefCounted {
 public:
  Island(Ref<IslandFile> file, std::uint32_t page);

  std::uint64_t offset() const { return std::uint64_t{page_} * kPageOfIsland; }  // in the file
  // The place of a trampoline for this call: the one that is there already, or a new one. None: the
  // island is full.
  std::optional<std::uint32_t> place_for(std::uint64_t behind, std::uint32_t number);
  // In order of their places, from 1 on.
  std::vector<IslandCall> calls();
  // What the trampoline at `offset` is for; none: there is none.
  std::optional<IslandCall> call_at(std::uint64_t offset);

 private:
  ~Island() override;

  Ref<IslandFile> file_;
  std::uint32_t page_;
  Mutex mutex_;
  std::vector<IslandCall> calls_;
};

class IslandFile : public RefCounted {
 public:
  static constexpr std::uint32_t kPages = 1 << 14;
  // `entry`: where all trampolines lead.
  static ErrnoOr<Ref<IslandFile>> create(std::uint64_t entry);
  ErrnoOr<Ref<Island>> take();  // EAGAIN: none is left
  FdRef file() const { return file_; }

 private:
  friend class Island;
  IslandFile() = default;
  ~IslandFile() override;
  std::byte* page(std::uint32_t number) const;
  void give_back(std::uint32_t number);

  Fd file_;
  std::byte* base_ = nullptr;
  std::uint64_t entry_ = 0;
  Mutex mutex_;
  std::vector<std::uint32_t> free_;
  std::uint32_t unused_ = 0;  // pages from here on were never taken
};

}  // namespace caisson::sandbox::platform
