// MemoryMap: the mappings of one guest address space, as mmap(2) and its family make them. It
// decides; the platform's AddressSpace carries out on the host, whose kernel then pages, copies on
// write and raises faults. Mirrors what Linux calls an mm.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/mm/address_layout.h"
#include "sandbox/mm/address_set.h"
#include "sandbox/mm/host_figures.h"
#include "sandbox/mm/mapping.h"
#include "sandbox/platform/platform.h"
#include "sandbox/vfs/file.h"
#include "sandbox/vfs/file_end.h"
#include "sandbox/vfs/io.h"
#include "sandbox/vfs/running_program.h"

namespace caisson::sandbox::mm {

class PageReader;
struct SavedRun;

constexpr std::size_t kMostMappings = 65530;  // vm.max_map_count

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
  Ref<vfs::RunningProgram> running;  // of it, as long as somebody has the memory
};

struct MemoryUsage {  // bytes
  std::uint64_t total = 0, locked = 0, data = 0, stack = 0, executable = 0, resident = 0,
                resident_file = 0, resident_shared = 0, peak_resident = 0, page_tables = 0,
                swapped = 0, peak_total = 0;
};

// Asks the mapping's file what the host has of it.
ErrnoOr<Source> source_of(const Mapping& mapping, std::uint64_t offset, std::uint64_t length);
// How much of the mapping's first `length` bytes the file reaches into, in whole pages.
std::uint64_t backed_length(const Mapping& mapping, std::uint64_t length);

// The functions that take `via` are called by the owner of that thread, which stands still; null:
// by anyone. What they answer is what the system call of that name does, errno by errno.
class MemoryMap final : public RefCounted, public vfs::Memory, private vfs::EndObserver {
 public:
  // `figures` (null: resident sizes are not known) outlive it.
  static ErrnoOr<Ref<MemoryMap>> create(platform::Platform& platform,
                                        const HostFigures* figures = nullptr);
  // A copy for a new process, without what is not to be inherited.
  ErrnoOr<Ref<MemoryMap>> fork(platform::Thread& caller);

  platform::AddressSpace& space() { return *space_; }
  // mmap(2): the address chosen. `via` as in platform::AddressSpace.
  ErrnoOr<std::uint64_t> map(platform::Thread* via, const MapCall& call,
                             const MemoryLimits& limits);
  ErrnoOr<> unmap(platform::Thread* via, std::uint64_t address, std::uint64_t length);
  ErrnoOr<> protect(platform::Thread* via, std::uint64_t address, std::uint64_t length,
                    int protection, const MemoryLimits& limits = {});
  ErrnoOr<std::uint64_t> remap(platform::Thread* via, std::uint64_t address,
                               std::uint64_t old_length, std::uint64_t new_length, int flags,
                               std::uint64_t new_address, const MemoryLimits& limits);
  // brk(2): the new end, or the old one when it cannot be.
  std::uint64_t set_break(platform::Thread* via, std::uint64_t address, const MemoryLimits& limits);
  ErrnoOr<> advise(platform::Thread* via, std::uint64_t address, std::uint64_t length, int advice);
  ErrnoOr<> sync(std::uint64_t address, std::uint64_t length, int flags);
  ErrnoOr<std::string> resident_pages(std::uint64_t address, std::uint64_t length);  // mincore(2)
  ErrnoOr<> lock(std::uint64_t address, std::uint64_t length, bool on, const MemoryLimits& limits,
                 bool on_fault = false);
  ErrnoOr<> lock_all(int flags, const MemoryLimits& limits);  // mlockall(2)
  void unlock_all();
  ErrnoOr<> seal(std::uint64_t address, std::uint64_t length);  // mseal(2)
  ErrnoOr<> name_range(std::uint64_t address, std::uint64_t length, std::string name);

  // Grows stacks, shows more of files that grew; tells the signal for what the guest must not
  // touch.
  FaultOutcome handle_fault(platform::Thread& via, const platform::Fault& fault,
                            const MemoryLimits& limits);

  // vfs::Memory: any thread. Grows the stack where a copy needs it.
  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) override;
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) override;
  // A string that ends with a zero byte, without it. ENAMETOOLONG: none within `limit` bytes.
  ErrnoOr<std::string> read_string(std::uint64_t address, std::size_t limit);
  // For debuggers: also into what the guest itself may not write, if that is private memory.
  ErrnoOr<std::size_t> write_forced(std::uint64_t address, std::span<const std::byte> from);
  // If the aligned word is `expected`, it becomes `desired`; returns what it was. EFAULT.
  ErrnoOr<std::uint32_t> compare_exchange(platform::Thread* via, std::uint64_t address,
                                          std::uint32_t expected, std::uint32_t desired);

  // What a word belongs to, for futexes: the same key for all who see the same memory.
  struct FutexKey {
    const void* object = nullptr;  // this map, or the inode
    std::uint64_t offset = 0;
    friend auto operator<=>(const FutexKey&, const FutexKey&) = default;
  };
  ErrnoOr<FutexKey> futex_key(std::uint64_t address, bool is_private);

  // The platform told of a place from which many calls come (platform::Event::site): lets it be
  // changed if it lies in a program's text. `via` as above. Costs time only where that is not so.
  void speed_up(platform::Thread& via, std::uint64_t site);

  // The limits that hold for copies, which have no caller to ask: those that a call told last.
  void set_limits(const MemoryLimits& limits);

  ProgramLayout layout() const;
  void set_layout(ProgramLayout layout);
  void set_break_area(std::uint64_t begin);  // where the heap begins
  AddressLayout address_layout() const;
  void set_address_layout(const AddressLayout& layout);  // before the first mapping
  // Where `length` bytes are free, as map() would choose; `alignment`: a power of two.
  ErrnoOr<std::uint64_t> find_place(std::uint64_t length, std::uint64_t alignment);
  // The platform's vDSO as a mapping that the guest sees and cannot change.
  void show_vdso(std::uint64_t address, std::uint64_t length);

  MemoryUsage usage() const;  // what mappings are; resident sizes by asking the host
  // membarrier(2): what the process asked to be ready for, MEMBARRIER_CMD_REGISTER_*.
  std::atomic<std::uint32_t> barriers{0};
  std::string maps_text(const vfs::Path& root, const vfs::MountNamespace& mounts,
                        bool with_sizes) const;  // /proc/PID/maps, smaps
  // A copy of the one that holds the address; empty (begin == end): none.
  Mapping mapping_at(std::uint64_t address) const;
  // A copy of the mappings, in order.
  std::vector<Mapping> mappings() const;

  // --- checkpoints (memory_save.cc)
  state::Tag save_tag() const { return state::Tag::kMemoryMap; }
  Result<> save(state::Writer& to);
  static Result<Ref<MemoryMap>> restore(state::Reader& from);

 private:
  class PageSaver;
  struct Stretch {
    std::uint64_t begin = 0, end = 0;
  };

  // Holds mutex_. Files that were mapped last here end when it is let go, and not under it: their
  // ends may take locks under which others copy to this memory.
  class [[nodiscard]] Hold {
   public:
    explicit Hold(MemoryMap& map) : map_(map), lock_(map.mutex_) {}
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() { unlock(); }
    void unlock();

   private:
    MemoryMap& map_;
    Locked lock_;
    bool held_ = true;
  };
  struct RemapCall {  // lengths in whole pages
    std::uint64_t address = 0, old_length = 0, new_length = 0;
    int flags = 0;
    std::uint64_t new_address = 0;
  };

  MemoryMap(Ref<platform::AddressSpace> space, const HostFigures* figures);
  ~MemoryMap() override;
  void file_shrank(const vfs::FileEnd& end, std::uint64_t bytes) override;

  static ErrnoOr<Mapping> draft(const MapCall& call, std::uint64_t length);

  // --- without mutex_: they take it where they need it
  void populate(platform::Thread* via, const Mapping& mapping);
  bool make_present(std::uint64_t address);
  void observe(const Ref<vfs::FileEnd>& end);
  void observe_what_is_inherited();
  void forget_ends();
  std::vector<Ref<vfs::FileEnd>> take_unused_ends();  // holds mutex_
  std::size_t within_limit(std::uint64_t address, std::size_t length) const;
  std::size_t readable_length(std::uint64_t address, std::size_t length) const;
  template <typename Once>
  ErrnoOr<std::size_t> copy(std::uint64_t address, std::size_t length, Once once);

  // --- the functions below hold mutex_
  bool may_grow(std::uint64_t bytes, bool as_data, const MemoryLimits& limits) const;
  bool may_lock(std::uint64_t bytes, const MemoryLimits& limits) const;
  bool any_sealed(std::uint64_t begin, std::uint64_t end) const;
  // What exists on the host of [begin, end), in as few stretches as it is.
  std::vector<Stretch> backed_stretches(std::uint64_t begin, std::uint64_t end) const;
  // Shows [begin, end) of the mapping on the host.
  ErrnoOr<> order_map(platform::Thread* via, const Mapping& mapping, std::uint64_t begin,
                      std::uint64_t end);
  ErrnoOr<> unmap_range(platform::Thread* via, std::uint64_t begin, std::uint64_t end);
  ErrnoOr<> place(platform::Thread* via, Mapping mapping);
  ErrnoOr<std::uint64_t> choose_address(const MapCall& call, std::uint64_t length);
  ErrnoOr<std::uint64_t> find_room(std::uint64_t length, std::uint64_t alignment);
  ErrnoOr<> check_lock(bool asked, std::uint64_t length, const MemoryLimits& limits) const;
  bool grow_break(platform::Thread* via, std::uint64_t from, std::uint64_t to,
                  const MemoryLimits& limits);
  ErrnoOr<> drop_what_is_not_inherited();
  std::uint64_t protectable_until(std::uint64_t begin, std::uint64_t end, int protection,
                                  const MemoryLimits& limits, ErrnoOr<>& obstacle) const;
  bool may_grow_data(std::uint64_t bytes, const MemoryLimits& limits) const;
  ErrnoOr<> protect_range(platform::Thread* via, std::uint64_t begin, std::uint64_t end,
                          int protection);
  ErrnoOr<> check_remap(const RemapCall& call) const;
  ErrnoOr<> check_remapped(const RemapCall& call, const Mapping& mapping,
                           const MemoryLimits& limits) const;
  ErrnoOr<std::uint64_t> remap_checked(platform::Thread* via, const RemapCall& call,
                                       const Mapping& mapping);
  ErrnoOr<std::uint64_t> move_to(platform::Thread* via, const RemapCall& call,
                                 const Mapping& mapping);
  ErrnoOr<std::uint64_t> move_pages(platform::Thread* via, const RemapCall& call, Mapping moved,
                                    std::uint64_t kept_length);
  void erase(std::uint64_t begin, std::uint64_t end);
  ErrnoOr<> order_move(platform::Thread* via, std::uint64_t from, std::uint64_t length,
                       std::uint64_t to, bool keeps);
  ErrnoOr<> advise_part(platform::Thread* via, const Mapping& part, int advice);
  bool may_lock_range(std::uint64_t begin, std::uint64_t end, const MemoryLimits& limits) const;
  ErrnoOr<> mark_locked(std::uint64_t begin, std::uint64_t end, bool on, bool on_fault);
  bool grow_stack(platform::Thread* via, std::uint64_t address);
  bool show_more(platform::Thread* via, const Mapping& mapping, std::uint64_t address);
  void cut_off(platform::Thread* via, const Mapping& mapping, std::uint64_t bytes);
  Result<> restore_run(const PageReader& pages, SavedRun run, bool may_map);
  ErrnoOr<> show_run(const PageReader& pages, const Mapping& mapping, const SavedRun& run);
  ErrnoOr<> copy_run(const PageReader& pages, const Mapping& mapping, const SavedRun& run);
  ErrnoOr<> drop_pages(platform::Thread* via, const Mapping& part);
  Result<> restore_mapping(state::Reader& from, std::uint64_t after);  // takes mutex_

  ErrnoOr<> patch(platform::Thread& via, std::uint64_t site, const Mapping& text);
  ErrnoOr<> add_island(platform::Thread& via, std::uint64_t site, const Mapping& text);

  mutable Mutex mutex_;
  Ref<platform::AddressSpace> space_;
  const HostFigures* const figures_;
  MappingTree tree_;
  // Where the host may have pages of a checkpoint's image below what was written since.
  AddressSet image_pages_;
  AddressLayout areas_;
  std::uint64_t full_from_ = 0;  // no page is free from here to areas_.map_top
  ProgramLayout layout_;
  std::uint64_t break_begin_ = 0, break_end_ = 0;
  MemoryLimits limits_;  // the last that were told
  std::uint64_t peak_total_ = 0;
  bool lock_future_ = false, lock_future_on_fault_ = false;  // mlockall(MCL_FUTURE)
  std::vector<Ref<vfs::File>> dropped_;                      // of mappings that are gone: see Hold
  // Ends of files that are or were mapped, and tell when they move back.
  std::map<const vfs::FileEnd*, Ref<vfs::FileEnd>> ends_;
  static constexpr std::size_t kMostEnds = 64;
  std::size_t most_ends_ = kMostEnds;  // before those that nobody else has are let go
  // The platform's islands (AddressSpace::add_island()), the newest last.
  std::vector<std::uint64_t> islands_;
  // Faults that the mappings allow, one after the other in the same page.
  std::uint64_t spurious_page_ = 0;
  int spurious_count_ = 0;
};

}  // namespace caisson::sandbox::mm
