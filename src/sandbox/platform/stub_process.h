// StubProcess: one stub as the kernel process sees it: its slots, the commands to its helper
// thread, its memory, and its end.
//
// StubFamily: what all stubs of one platform share: the first stub, from which the others are
// forked, the slots, and the stubs that are ending.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/platform/layout.h"
#include "sandbox/platform/shared_slots.h"

namespace caisson::sandbox::platform {

class StubFamily;

class StubProcess {
 public:
  StubProcess(StubFamily& family, Chunk chunk);
  StubProcess(const StubProcess&) = delete;
  StubProcess& operator=(const StubProcess&) = delete;
  ~StubProcess();

  pid_t pid() const { return pid_; }
  FdRef pidfd() const { return pidfd_; }
  // The slots of a thread stay where they are. Looked up by whoever makes threads, and not while
  // another does.
  ThreadCommand& command(std::uint32_t index) const;
  AreaHead& head(std::uint32_t index) const;
  std::byte* area(std::uint32_t index) const;

  // Makes guest thread `index`, which is ready to be taken over when this returns. Index 0 is the
  // helper's. The value is what the thread told: 1 + the number of its listener's descriptor.
  ErrnoOr<std::uint32_t> make_thread(std::uint32_t index);
  // The host's id of the thread that was made last.
  ErrnoOr<pid_t> made_thread_id();
  // Forks; `child` gets the new process, with guest thread 1 in it ready.
  ErrnoOr<> fork(StubProcess& child);
  // Takes the descriptor `number` out of the stub.
  ErrnoOr<Fd> take_descriptor(int number) const;

  ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) const;
  ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) const;
  // By ptrace(2) of the helper thread, word by word.
  ErrnoOr<std::size_t> write_forced(std::uint64_t address, std::span<const std::byte> from);

  void kill();
  // Whether it has ended or is about to, with nothing to be expected of it any more.
  bool ended() const;
  // Frees what a process that has ended leaves behind. False: it has not ended yet.
  bool reap(bool wait);
  // After kill(): until the host has its memory back.
  void await_end(int milliseconds) const;

 private:
  friend class StubFamily;
  HelperCommand& helper() const { return reinterpret_cast<HelperCommand&>(command(0)); }
  void send_command(HelperOperation operation);
  ErrnoOr<std::int64_t> answer();
  ErrnoOr<std::int32_t> wait_for_answer();
  ErrnoOr<std::uint32_t> wait_until_ready(const AreaHead& head, StubProcess& teller);
  ErrnoOr<> look_for_failure(const StubProcess& parent);
  ErrnoOr<> adopt(pid_t pid);
  void prepare_thread(std::uint32_t index) const;
  ErrnoOr<> map_chunk_for(std::uint32_t index);

  StubFamily* family_;
  std::vector<Chunk> chunks_;  // of the indexes from 0 on
  pid_t pid_ = 0;
  Fd pidfd_, answer_;
  std::atomic<bool> killed_ = false;
  Mutex mutex_;  // one command at a time
};

class StubFamily : public RefCounted {
 public:
  // Starts the first stub. `traced`: for ptrace.
  static Result<Ref<StubFamily>> create(bool traced, std::string mappings);

  // A stub without guest memory, guest thread 1 in it ready.
  ErrnoOr<std::unique_ptr<StubProcess>> new_process();
  // What new_process() failed by, with what the first stub told when it could not start.
  Error explain(Errno error);
  // Kills a stub; it is reaped when it is gone, at the latest when the family ends.
  void retire(std::unique_ptr<StubProcess> process);

  SharedSlots& slots() { return slots_; }
  bool traced() const { return traced_; }
  std::uint64_t filter_flags() const { return filter_flags_; }
  std::uint64_t vdso_address() const { return vdso_address_; }
  // ptrace: the socket's ends. Files for stubs are sent into the first, stubs have the second.
  FdRef file_sender() const { return sender_; }
  FdRef file_receiver() const { return receiver_; }
  Mutex& file_mutex() { return file_mutex_; }

 private:
  StubFamily() = default;
  ~StubFamily() override;
  ErrnoOr<> find_vdso(HelperCommand& command, std::string maps);
  Result<> start(Fd answer);
  void reap_retired(bool wait);

  SharedSlots slots_;
  bool traced_ = false;
  std::uint64_t filter_flags_ = 0;
  std::uint64_t vdso_address_ = 0;
  Fd sender_, receiver_;
  Mutex file_mutex_;
  std::unique_ptr<StubProcess> first_;
  Mutex mutex_;
  std::vector<std::unique_ptr<StubProcess>> retired_;
};

}  // namespace caisson::sandbox::platform
