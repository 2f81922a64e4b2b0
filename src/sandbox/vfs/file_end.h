// FileEnd: where a file ends, for those who map its pages and have no host to ask (files that share
// one object of the host). Read without a lock; told to all who map it when it moves back.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"

namespace caisson::sandbox::vfs {

class FileEnd;

class EndObserver {
 public:
  virtual ~EndObserver() = default;
  // The file has `bytes` left: pages behind them must not be seen any more. Called by who changes
  // the file, under its locks and that of the list.
  virtual void file_shrank(const FileEnd& end, std::uint64_t bytes) = 0;
};

class FileEnd final : public RefCounted {
 public:
  explicit FileEnd(std::uint64_t bytes) : bytes_(bytes) {}

  std::uint64_t bytes() const { return bytes_.load(std::memory_order_acquire); }
  // Returns when all observers have acted on it.
  void set(std::uint64_t bytes);

  // An observer stands in the list once, and until it takes itself off. Not under a lock that it
  // takes in file_shrank().
  void add(EndObserver& observer);
  void remove(EndObserver& observer);

 private:
  ~FileEnd() override = default;
  std::atomic<std::uint64_t> bytes_;
  Mutex mutex_;
  std::vector<EndObserver*> observers_;
};

}  // namespace caisson::sandbox::vfs
