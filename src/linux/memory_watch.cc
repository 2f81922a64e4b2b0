// Lack of memory, as the kernel tells of it.
#include <poll.h>

#include <algorithm>

#include "linux/cgroup.h"
#include "linux/cgroup_files.h"
#include "sys/event.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

// Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control": an eventfd that is registered for
// memory.oom_control counts. It also counts the removal of the cgroup.
class V1Watch final : public plan::MemoryWatch {
 public:
  V1Watch(Fd event, std::string directory)
      : event_(std::move(event)), directory_(std::move(directory)) {}
  FdRef descriptor() const override { return event_; }
  short poll_events() const override { return POLLIN; }
  std::uint64_t take() override {
    std::uint64_t count = 0;
    auto got = sys::read(event_, &count, sizeof count);
    if (!got || *got != sizeof count) return 0;
    const std::string control = directory_ + "/cgroup.event_control";
    return sys::faccessat(sys::kCwd, control.c_str(), F_OK) ? count : 0;
  }

 private:
  Fd event_;
  std::string directory_;
};

ErrnoOr<std::unique_ptr<plan::MemoryWatch>> watch_v1(const std::string& directory) {
  Fd control = TRY(sys::openat(sys::kCwd, cat(directory, "/memory.oom_control").c_str(), O_RDONLY));
  Fd event = TRY(sys::eventfd());
  TRY(sys::set_nonblocking(event, true));
  TRY(write_control(directory, "cgroup.event_control", cat(event.number(), ' ', control.number())));
  return std::make_unique<V1Watch>(std::move(event), directory);
}

// cgroup-v2.rst, "memory.events": a change makes the file ready for POLLPRI until it is read.
class V2Watch final : public plan::MemoryWatch {
 public:
  explicit V2Watch(Fd events) : events_(std::move(events)) { kills_ = read_kills(); }
  FdRef descriptor() const override { return events_; }
  short poll_events() const override { return POLLPRI; }
  std::uint64_t take() override {
    const std::uint64_t before = std::exchange(kills_, std::max(kills_, read_kills()));
    return kills_ - before;
  }

 private:
  // 0 when the cgroup is gone.
  std::uint64_t read_kills() const {
    if (!sys::call(SYS_lseek, events_.number(), 0, SEEK_SET)) return 0;
    auto text = sys::read_all(events_);
    return text ? keyed_number(*text, "oom_kill").value_or(0) : 0;
  }

  Fd events_;
  std::uint64_t kills_ = 0;
};

ErrnoOr<std::unique_ptr<plan::MemoryWatch>> watch_v2(const std::string& directory) {
  return std::make_unique<V2Watch>(
      TRY(sys::openat(sys::kCwd, cat(directory, "/memory.events").c_str(), O_RDONLY)));
}

}  // namespace

Result<std::unique_ptr<plan::MemoryWatch>> watch_memory_of(const plan::CgroupLocations& cgroups) {
  for (const auto& location : cgroups) {
    if (!location.v2 && !lists_controller(location.controllers, "memory")) continue;
    auto watch = location.v2 ? watch_v2(location.directory) : watch_v1(location.directory);
    // The controller is not enabled here.
    if (!watch && watch.error().value == ENOENT) continue;
    return TRY_CTX(std::move(watch), "watch the memory of ", location.directory);
  }
  return nullptr;
}

}  // namespace caisson::linux
