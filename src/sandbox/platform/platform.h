// Platform: runs guest code on this host and hands every system call, fault and interruption of it
// to the sandbox's kernel. Nothing that guest code does reaches the host's kernel by itself.
//
// One host process (a stub) holds one guest address space; one host thread of it runs one guest
// thread. Guest memory is the stub's own memory, mapped there by the orders of the kernel only:
// private anonymous memory is the host's private anonymous memory, so that first touches, copy on
// write and fork cost what they cost natively. The kernel reads and writes it from outside
// (process_vm_readv(2)), by copies.
//
// Threads of the kernel process: one per guest thread, the owner. Except where said otherwise a
// Thread's functions are called by its owner, and only while the guest thread stands still (run()
// is not active).
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/ref.h"
#include "base/result.h"
#include "sandbox/abi/registers.h"

namespace caisson::sandbox::platform {

using abi::Registers;

enum class EventKind : std::uint8_t {
  kSyscall,      // registers(): number and arguments; the program counter is behind the instruction
  kFault,        // a processor exception: `fault`
  kInterrupted,  // interrupt() was called, or the platform needs another run(): no guest event
  kGone,         // the stub died (killed from outside, out of memory): the address space is lost
};

// A processor exception, as the host's kernel told it in siginfo_t.
struct Fault {
  int signal = 0;             // SIGSEGV SIGBUS SIGFPE SIGILL SIGTRAP
  int code = 0;               // si_code
  std::uint64_t address = 0;  // si_addr
  std::uint32_t trap = 0;     // x86-64: trap number (14: page fault)
  std::uint32_t error = 0;    // x86-64: error code of the trap (bit 1: write, bit 4: fetch)
};

struct Event {
  EventKind kind = EventKind::kInterrupted;
  Fault fault;
  // kSyscall: not 0 when many calls came from here, so that AddressSpace::patch() would pay. The
  // address behind the instruction.
  std::uint64_t site = 0;
};

// What an order to map shows: a file of the host, or anonymous memory (fd -1).
struct MapRequest {
  std::uint64_t address = 0;  // page-aligned, below AddressSpace::limit()
  std::uint64_t length = 0;   // bytes, a multiple of the page size
  int protection = 0;         // PROT_*
  bool shared = false;        // MAP_SHARED, else MAP_PRIVATE
  int fd = -1;                // kernel's descriptor; it is passed to the stub for this one call
  std::uint64_t offset = 0;   // in the file, page-aligned
  bool no_reserve = false;    // MAP_NORESERVE
};

// A place in guest code that is to be changed so that its calls cost less.
struct PatchRequest {
  std::uint64_t site = 0;    // as in Event
  std::uint64_t island = 0;  // where add_island() was told to put one
  // The mapping that holds it, which the guest cannot write.
  std::uint64_t begin = 0, length = 0;
  int protection = 0;
};

class Thread;

// One guest address space. Shared by the guest threads in it.
class AddressSpace : public RefCounted {
 public:
  // First address above what the guest may map.
  virtual std::uint64_t limit() const = 0;

  // A new guest thread that will begin at `registers` when first run. Called by the kernel thread
  // that will own it, or by another before that one begins; `parent`: floating point and vector
  // registers are taken over from that thread, which stands still (null: initial values).
  virtual ErrnoOr<std::unique_ptr<Thread>> new_thread(const Registers& registers,
                                                      Thread* parent) = 0;

  // A copy-on-write copy of all guest memory in a new stub, as fork(2) makes it. `caller` is a
  // thread of this address space that stands still; others may run on.
  virtual ErrnoOr<Ref<AddressSpace>> fork(Thread& caller) = 0;

  // --- orders to map; each replaces, like MAP_FIXED, what is there. `via` is a thread of this
  // address space that stands still and is the caller's own, or null when there is none (a new
  // address space before its first thread runs); the platform may use it or not.
  virtual ErrnoOr<> map(Thread* via, const MapRequest& request) = 0;
  virtual ErrnoOr<> unmap(Thread* via, std::uint64_t address, std::uint64_t length) = 0;
  virtual ErrnoOr<> protect(Thread* via, std::uint64_t address, std::uint64_t length,
                            int protection) = 0;
  // Moves pages: mremap(2) with MREMAP_MAYMOVE | MREMAP_FIXED. `keep_old`: MREMAP_DONTUNMAP.
  virtual ErrnoOr<> move(Thread* via, std::uint64_t from, std::uint64_t length, std::uint64_t to,
                         std::uint64_t new_length, bool keep_old) = 0;
  // madvise(2), for the advice values that drop or populate pages.
  virtual ErrnoOr<> advise(Thread* via, std::uint64_t address, std::uint64_t length,
                           int advice) = 0;

  // --- calls made cheaper, on platforms that report sites. `via` as above. An island is a page of
  // the platform's code among the guest's memory, which the guest may read and execute; calls of
  // sites nearer than kIslandReach can be led there.
  static constexpr std::uint64_t kIslandSize = 4096, kIslandReach = 0x7fff0000;
  virtual ErrnoOr<> add_island(Thread& via, std::uint64_t address);
  // ENOSPC: the island is full. Other errors: the site is not one that can be changed, or not now.
  virtual ErrnoOr<> patch(Thread& via, const PatchRequest& request);

  // In a copy of guest memory from `address` on: what was patched becomes again what it was, for
  // those to whom the copy is to be the program's (a save, a debugger). For any thread.
  virtual void undo_patches(std::uint64_t address, std::span<std::byte> copy);

  // --- memory from outside, for any thread. Returns how many bytes were copied before the first
  // address that cannot be accessed; EFAULT when that is none. The guest may change the memory
  // meanwhile: copy once, then check the copy.
  virtual ErrnoOr<std::size_t> read(std::uint64_t address, std::span<std::byte> to) = 0;
  virtual ErrnoOr<std::size_t> write(std::uint64_t address, std::span<const std::byte> from) = 0;
  // Writes into pages that the guest itself may not write (ptrace, /proc/PID/mem), private ones
  // only. Both platforms do it by ptrace(2) on the stub, word by word: a filter of the kernel
  // process that is to let this be called must allow PTRACE_SEIZE, INTERRUPT, PEEKDATA, POKEDATA
  // and DETACH.
  virtual ErrnoOr<std::size_t> write_forced(std::uint64_t address,
                                            std::span<const std::byte> from) = 0;
  // If the aligned word at `address` is `expected`, it becomes `desired`; returns what it was.
  // `via` as above. EFAULT: not writable.
  virtual ErrnoOr<std::uint32_t> compare_exchange(Thread* via, std::uint64_t address,
                                                  std::uint32_t expected,
                                                  std::uint32_t desired) = 0;

  // Ends the stub and all guest threads in it; their run() returns kGone. From any thread.
  virtual void kill() = 0;
  // The stub's process id in our pid namespace.
  virtual pid_t host_pid() const = 0;
};

// One guest thread.
class Thread {
 public:
  virtual ~Thread() = default;  // ends the guest thread

  virtual AddressSpace& address_space() = 0;

  // Lets guest code run until something is to be done for it. An interrupt that came before is
  // reported at once.
  virtual Event run() = 0;

  // General registers; what is changed here holds from the next run() on. After kSyscall the result
  // goes where registers().set_result() puts it.
  virtual Registers& registers() = 0;

  // The state of floating point and vector registers in the form of the host's signal frame
  // (x86-64: XSAVE image with the software-reserved bytes filled), for signal frames of the guest
  // and for saving. The span is valid until the next run().
  virtual std::span<const std::byte> extended_state() = 0;
  // Takes such an image over after checking its sizes; the rest is the host's to check.
  virtual ErrnoOr<> set_extended_state(std::span<const std::byte> image) = 0;
  // The initial values, as after execve(2).
  virtual void reset_extended_state() = 0;

  // From any thread: makes the current run(), or the next one, return soon. Never lost, now and
  // then reported twice. A guest whose threads write over the memory by which its stub works can
  // keep one of them from being interrupted; only AddressSpace::kill() is sure to end it.
  virtual void interrupt() = 0;

  // The host's thread id, in our pid namespace.
  virtual pid_t host_tid() const = 0;
};

// What answers calls without a hand-over, if the platform can: facts about the calling guest thread
// that the kernel publishes. The guest can only lie to itself.
struct Identity {
  std::int32_t process = 0, thread = 0, parent = 0;  // in the guest's pid namespace
  std::uint32_t uid = 0, euid = 0, gid = 0, egid = 0;
};

class Platform {
 public:
  virtual ~Platform() = default;
  virtual std::string_view name() const = 0;  // "systrap", "ptrace"
  // An address space without any guest memory.
  virtual ErrnoOr<Ref<AddressSpace>> new_address_space() = 0;
  // Address and size of code with the vDSO's functions (ELF image) that stands in every address
  // space, above limit(); 0: none.
  virtual std::uint64_t vdso_address() const = 0;
  // Publishes what is answered without a hand-over (process 0: nothing). Called by the owner.
  virtual void publish(Thread& thread, const Identity& identity) = 0;
};

// Makes a platform in this process, which must still be single-threaded. Errors say what this host
// lacks.
//
// Stubs are children of the calling thread, which must live as long as they: they are killed when
// it ends. They have its credentials but no capabilities, so that this process may drop its own
// later but must not change its user or group. They raise SIGCHLD, and are waited for by their
// pidfds: do not ignore SIGCHLD, nor wait for any child (-1). `mappings`: what /proc/self/maps
// said, from who has no /proc any more; else it is read here and not later. An address space and
// its threads may outlive the platform object. `patches`: whether calls of hot sites are made
// cheaper.
Result<std::unique_ptr<Platform>> make_ptrace(std::string mappings = {});
Result<std::unique_ptr<Platform>> make_systrap(std::string mappings = {}, bool patches = true);

}  // namespace caisson::sandbox::platform
