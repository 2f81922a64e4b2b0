#include "sandbox/platform/stub_space.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sys/process.h"

namespace caisson::sandbox::platform {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLarge = std::uint64_t{32} << 20;  // of which the host frees some 10 GB/s
constexpr int kEndMilliseconds = 2000;

// A range that orders may touch: page-aligned, not empty, the guest's.
ErrnoOr<> check_range(std::uint64_t address, std::uint64_t length) {
  if (address % kPage != 0 || length % kPage != 0 || length == 0)
    return std::unexpected(Errno{EINVAL});
  if (address > kRegion || length > kRegion - address) return std::unexpected(Errno{ENOMEM});
  return {};
}

}  // namespace

StubThread::StubThread(StubSpace& space, std::uint32_t index)
    : space_(&space),
      command_(&space.process().command(index)),
      area_(space.process().area(index)),
      index_(index) {}

AddressSpace& StubThread::address_space() { return *space_; }
StubProcess& StubThread::process() const { return space_->process(); }
void StubThread::hand_out(Ref<StubSpace> space) {
  keeps_ = std::move(space);
  ++space_->threads_;
}
StubThread::~StubThread() {
  if (keeps_) --space_->threads_;
}

ErrnoOr<> AddressSpace::add_island(Thread&, std::uint64_t) {
  return std::unexpected(Errno{ENOSYS});
}
ErrnoOr<> AddressSpace::patch(Thread&, const PatchRequest&) {
  return std::unexpected(Errno{ENOSYS});
}
void AddressSpace::undo_patches(std::uint64_t, std::span<std::byte>) {}

StubSpace::StubSpace(Ref<StubFamily> family, std::unique_ptr<StubProcess> process)
    : family_(std::move(family)), process_(std::move(process)) {}

StubSpace::~StubSpace() {
  process_->kill();
  spare_.reset();
  // Who waited for the end of a large process expects its memory to be free: the next to ask for
  // some would else be refused it by the container's limit.
  if (private_bytes_ >= kLarge) process_->await_end(kEndMilliseconds);
  family_->retire(std::move(process_));
}

ErrnoOr<> StubSpace::take_first_thread() {
  Locked lock(spare_mutex_);
  spare_ = TRY(take_thread(1, process_->head(1).ready));
  return {};
}

ErrnoOr<std::uint32_t> StubSpace::take_index() {
  Locked lock(mutex_);
  std::erase_if(leaving_, [this](Leaving& leaving) {
    pollfd end{leaving.gone.number(), 0, 0};
    auto ready = sys::poll({&end, 1}, 0);
    if (!ready || (end.revents & POLLHUP) == 0) return false;
    free_.push_back(leaving.index);
    return true;
  });
  if (!free_.empty()) {
    std::uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  if (next_index_ == kMaxThreads) return std::unexpected(Errno{EAGAIN});
  return next_index_++;
}

void StubSpace::free_index(std::uint32_t index, Fd gone) {
  Locked lock(mutex_);
  if (gone)
    leaving_.push_back({index, std::move(gone)});
  else
    free_.push_back(index);
}

// With spare_mutex_ held.
ErrnoOr<> StubSpace::fill_spare() {
  if (spare_) return {};
  std::uint32_t index = TRY(take_index());
  auto ready = process_->make_thread(index);
  if (!ready) {
    free_index(index, Fd());
    return std::unexpected(ready.error());
  }
  spare_ = TRY(take_thread(index, *ready));
  return {};
}

ErrnoOr<std::unique_ptr<Thread>> StubSpace::new_thread(const Registers& registers, Thread* parent) {
  Locked lock(spare_mutex_);
  TRY(fill_spare());
  auto thread = std::move(spare_);
  lock.unlock();
  thread->hand_out(Ref<StubSpace>::share(this));
  thread->registers() = registers;
  if (parent != nullptr)
    TRY(thread->take_over(*parent));
  else
    thread->reset_extended_state();
  return thread;
}

ErrnoOr<Ref<AddressSpace>> StubSpace::fork(Thread&) {
  auto process = std::make_unique<StubProcess>(*family_, TRY(family_->slots().take()));
  auto forked = process_->fork(*process);
  if (!forked) {
    family_->retire(std::move(process));
    return std::unexpected(forked.error());
  }
  Ref<StubSpace> sibling = make_sibling(std::move(process));
  sibling->private_bytes_ = private_bytes_.load();
  TRY(sibling->take_first_thread());
  return sibling;
}

template <typename F>
auto StubSpace::with_thread(Thread* via, F use) -> decltype(use(std::declval<StubThread&>())) {
  if (via != nullptr) return use(static_cast<StubThread&>(*via));
  Locked lock(spare_mutex_);
  TRY(fill_spare());
  TRY(spare_->borrow());
  auto result = use(*spare_);
  spare_->give_back();
  return result;
}

// For calls whose value says only whether they worked.
ErrnoOr<> StubSpace::order(Thread* via, const Order& order, int file) {
  TRY(with_thread(via, [&](StubThread& thread) { return thread.execute(order, file); }));
  return {};
}

ErrnoOr<> StubSpace::map(Thread* via, const MapRequest& request) {
  TRY(check_range(request.address, request.length));
  bool anonymous = request.fd < 0;
  if (!request.shared) private_bytes_ += request.length;
  int flags = MAP_FIXED | (request.shared ? MAP_SHARED : MAP_PRIVATE) |
              (anonymous ? MAP_ANONYMOUS : 0) | (request.no_reserve ? MAP_NORESERVE : 0);
  return order(via,
               {SYS_mmap,
                {request.address, request.length, static_cast<std::uint64_t>(request.protection),
                 static_cast<std::uint64_t>(flags),
                 anonymous ? ~std::uint64_t{0} : std::uint64_t{kFdSlot}, request.offset}},
               anonymous ? -1 : request.fd);
}

ErrnoOr<> StubSpace::unmap(Thread* via, std::uint64_t address, std::uint64_t length) {
  TRY(check_range(address, length));
  return order(via, {SYS_munmap, {address, length}});
}

ErrnoOr<> StubSpace::protect(Thread* via, std::uint64_t address, std::uint64_t length,
                             int protection) {
  TRY(check_range(address, length));
  return order(via, {SYS_mprotect, {address, length, static_cast<std::uint64_t>(protection)}});
}

ErrnoOr<> StubSpace::move(Thread* via, std::uint64_t from, std::uint64_t length, std::uint64_t to,
                          std::uint64_t new_length, bool keep_old) {
  TRY(check_range(from, length));
  TRY(check_range(to, new_length));
  std::uint64_t flags = MREMAP_MAYMOVE | MREMAP_FIXED | (keep_old ? 4U /* MREMAP_DONTUNMAP */ : 0U);
  return order(via, {SYS_mremap, {from, length, new_length, flags, to}});
}

ErrnoOr<> StubSpace::advise(Thread* via, std::uint64_t address, std::uint64_t length, int advice) {
  TRY(check_range(address, length));
  return order(via, {SYS_madvise, {address, length, static_cast<std::uint64_t>(advice)}});
}

ErrnoOr<std::size_t> StubSpace::read(std::uint64_t address, std::span<std::byte> to) {
  return process_->read(address, to);
}
ErrnoOr<std::size_t> StubSpace::write(std::uint64_t address, std::span<const std::byte> from) {
  return process_->write(address, from);
}
ErrnoOr<std::size_t> StubSpace::write_forced(std::uint64_t address,
                                             std::span<const std::byte> from) {
  return process_->write_forced(address, from);
}

ErrnoOr<std::uint32_t> StubSpace::compare_exchange(Thread* via, std::uint64_t address,
                                                   std::uint32_t expected, std::uint32_t desired) {
  if (address % sizeof desired != 0) return std::unexpected(Errno{EINVAL});
  if (address >= kRegion) return std::unexpected(Errno{EFAULT});
  return with_thread(via,
                     [&](StubThread& thread) { return thread.swap(address, expected, desired); });
}

}  // namespace caisson::sandbox::platform
