// MemoryMap: the mappings of one guest address space, as mmap(2) and its family make them. It
// decides; the platform's AddressSpace carries out on the host, whose kernel then pages, copies on
// write and raises faults. Mirrors what Linux calls an mm.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/platform/platform.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/io.h"

namespace caisson::sandbox::mm {

constexpr std::uint64_t kPageSize = 4096;

// One mapping: [begin, end) with one set of attributes (what /proc/PID/maps has a line for).
struct Mapping {
  std::uint64_t begin = 0, end = 0;
  int protection = 0;      // PROT_*
  int max_protection = 0;  // what mprotect(2) may give: a shared read-only file has no PROT_WRITE
  bool shared = false;
  bool grows_down = false;
  bool locked = false;
  bool dont_fork = false, wipe_on_fork = false, no_reserve = false;
  Ref<vfs::File> file;       // null: anonymous
  std::uint64_t offset = 0;  // of `begin` in the file
  std::string name;          // "[heap]", "[stack]", "[vdso]", "[anon:...]"
};

struct MapCall {  // mmap(2)
  std::uint64_t address = 0, length = 0;
  int protection = 0, flags = 0;
  Ref<vfs::File> file;
  std::uint64_t offset = 0;
  std::string name;
};

// Limits that hold for this address space, in bytes; ~0: none. From the thread group's rlimits.
struct MemoryLimits {
  std::uint64_t address_space = ~std::uint64_t{0}, data = ~std::uint64_t{0}, stack = 8ULL << 20,
                locked = 8ULL << 20;
};

struct FaultOutcome {
  bool resolved = false;     // run the guest again
  int signal = 0, code = 0;  // else: SIGSEGV or SIGBUS and si_code
};

// Facts about the program that was loaded, for /proc/PID/{cmdline,environ,auxv,stat}.
struct ProgramLayout {
  std::uint64_t code_begin = 0, code_end = 0, data_begin = 0, data_end = 0, stack_begin = 0;
  std::uint64_t args_begin = 0, args_end = 0, env_begin = 0, env_end = 0;
  std::string auxiliary_vector;  // bytes
  Ref<vfs::File> executable;
};

struct MemoryUsage {  // bytes
  std::uint64_t total = 0, locked = 0, data = 0, stack = 0, executable = 0, resident = 0,
                resident_file = 0, peak_total = 0;
};

class MemoryMap final : public RefCounted, public vfs::Memory {
 public:
  static ErrnoOr<Ref<MemoryMap>> create(platform::Platform& platform);
  ErrnoOr<Ref<MemoryMap>> fork(platform::Thread& caller);

  platform::AddressSpace& space() { return *space_; }
  // mmap(2): the address chosen. `via` as in platform::AddressSpace.
  ErrnoOr<std::uint64_t> map(platform::Thread* via, const MapCall& call,
                             const MemoryLimits& limits);
  ErrnoOr<> unmap(platform::Thread* via, std::uint64_t address, std::uint64_t length);
  ErrnoOr<> protect(platform::Thread* via, std::uint64_t address, std::uint64_t length,
                    int protection);
  ErrnoOr<std::uint64_t> remap(platform::Thread* via, std::uint64_t address,
                               std::uint64_t old_length, std::uint64_t new_length, int flags,
                               std::uint64_t new_address, const MemoryLimits& limits);
  // brk(2): the new end, or the old one when it cannot be.
  std::uint64_t set_break(platform::Thread* via, std::uint64_t address, const MemoryLimits& limits);
  ErrnoOr<> advise(platform::Thread* via, std::uint64_t address, std::uint64_t length, int advice);
  ErrnoOr<> sync(std::uint64_t address, std::uint64_t length, int flags);
  ErrnoOr<std::string> resident_pages(std::uint64_t address, std::uint64_t length);  // mincore(2)
  ErrnoOr<> lock(std::uint64_t address, std::uint64_t length, bool on, const MemoryLimits& limits);
  ErrnoOr<> name_range(std::uint64_t address, std::uint64_t length, std::string name);

  // Grows stacks; tells the signal for what the guest must not touch.
  FaultOutcome handle_fault(platform::Thread& via, const platform::Fault& fault,
                            const MemoryLimits& limits);

  // vfs::Memory: any thread. Grows the stack where a copy needs it.
  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) override;
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) override;
  // A string that ends with a zero byte, without it. ENAMETOOLONG: none within `limit` bytes.
  ErrnoOr<std::string> read_string(std::uint64_t address, std::size_t limit);

  // What a word belongs to, for futexes: the same key for all who see the same memory.
  struct FutexKey {
    const void* object = nullptr;  // this map, or the inode
    std::uint64_t offset = 0;
    friend auto operator<=>(const FutexKey&, const FutexKey&) = default;
  };
  ErrnoOr<FutexKey> futex_key(std::uint64_t address, bool is_private);

  ProgramLayout layout() const;
  void set_layout(ProgramLayout layout);
  void set_break_area(std::uint64_t begin);  // where the heap begins

  MemoryUsage usage() const;
  std::string maps_text(const vfs::Path& root, const vfs::MountNamespace& mounts,
                        bool with_sizes) const;  // /proc/PID/maps, smaps
  // A copy of the mappings, in order.
  std::vector<Mapping> mappings() const;

 private:
  explicit MemoryMap(Ref<platform::AddressSpace> space) : space_(std::move(space)) {}
  ~MemoryMap() override = default;

  mutable Mutex mutex_;
  Ref<platform::AddressSpace> space_;
  std::map<std::uint64_t, Mapping> mappings_;  // by begin
  ProgramLayout layout_;
  std::uint64_t break_begin_ = 0, break_end_ = 0;
};

}  // namespace caisson::sandbox::mm
