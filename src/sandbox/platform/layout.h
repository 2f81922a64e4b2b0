// What lies where in a stub: the addresses above the guest's memory, and the structs through which
// the kernel process and the stub talk. Shared with the stub's program, which has no libc.
//
//   text      the stub's program (stub/), the same pages in every stub; read and execute only
//   vDSO      the host's, moved here
//   commands  a page for the helper thread and for each guest thread; only the kernel process can
//             write it (the memfd is sealed against further writable mappings)
//   areas     64 KiB for each guest thread: the alternate signal stack, whose signal frame is the
//             state that the kernel process reads and edits; above it the stack for calls of
//             patched sites, the record that is their state, and the area's head. Guest code can
//             write here whatever it likes: each value is read once, into a copy, and believed in
//             so far only as the guest may decide it.
//
// Commands and areas are handed out in chunks of kChunk threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sandbox/platform/layout_macros.h"

namespace caisson::sandbox::platform {

inline constexpr std::uint64_t kRegion = STUB_REGION;  // AddressSpace::limit()
inline constexpr std::uint64_t kText = STUB_TEXT;
inline constexpr std::uint64_t kVdsoBlock = STUB_VDSO;
inline constexpr std::uint64_t kCommands = STUB_COMMANDS;
inline constexpr std::uint64_t kAreas = STUB_AREAS;
inline constexpr std::uint64_t kAreasEnd = STUB_AREAS_END;

inline constexpr std::uint32_t kCommandSize = STUB_COMMAND_SIZE;
inline constexpr std::uint32_t kAreaSize = STUB_AREA_SIZE;
inline constexpr std::uint32_t kStackSize = STUB_STACK_SIZE;  // of the alternate stack
inline constexpr std::uint32_t kRecordOffset = STUB_RECORD_OFFSET;
inline constexpr std::uint32_t kHeadOffset = STUB_HEAD_OFFSET;
inline constexpr std::uint32_t kChunk = STUB_CHUNK;
inline constexpr std::uint32_t kMaxThreads =  // of one address space
    static_cast<std::uint32_t>((kAreasEnd - kAreas) / kAreaSize);

// A filter sees the address behind the instruction (2 bytes).
inline constexpr std::uint64_t behind(std::uint64_t offset) { return kText + offset + 2; }
// Hand-overs: of a guest's call (its number and arguments) whose state is a signal frame or a
// record, of anything else (an EventCode), and the execution of what the kernel process ordered.
// All notify the kernel process.
inline constexpr std::uint64_t kGateSyscall = behind(STUB_GATE_SYSCALL);
inline constexpr std::uint64_t kGateRecord = behind(STUB_GATE_RECORD);
inline constexpr std::uint64_t kGateEvent = behind(STUB_GATE_EVENT);
inline constexpr std::uint64_t kGateOrder = behind(STUB_GATE_ORDER);
// What guest threads may execute by themselves: close(2) of the two slots, futex(2) to wake, the
// end of the thread, and the return from a signal handler.
inline constexpr std::uint64_t kGateClose = behind(STUB_GATE_CLOSE);
inline constexpr std::uint64_t kGateWake = behind(STUB_GATE_WAKE);
inline constexpr std::uint64_t kGateExit = behind(STUB_GATE_EXIT);
inline constexpr std::uint64_t kGateReturn = behind(STUB_GATE_RETURN);
// ptrace: the instruction that executes injected calls; a breakpoint follows.
inline constexpr std::uint64_t kInject = kText + STUB_GATE_INJECT;
// lock cmpxchg %esi,(%rdi), a breakpoint follows; and where a fault of it goes on.
inline constexpr std::uint64_t kSwap = kText + STUB_SWAP;
inline constexpr std::uint64_t kSwapLong = kText + STUB_SWAP_LONG;  // of 8 bytes
inline constexpr std::uint64_t kSwapFault = kText + STUB_SWAP_FAULT;
// Where the trampolines of patched sites lead.
inline constexpr std::uint64_t kEnter = kText + STUB_ENTER;
// The helper thread's calls are all made between these.
inline constexpr std::uint64_t kHelper = kText + STUB_HELPER;
inline constexpr std::uint64_t kHelperEnd = kText + STUB_HELPER_END;

// Descriptors of a stub. Slot: where a file lies while it is being mapped.
enum StubFd : int {
  kFdCommands = STUB_FD_COMMANDS,
  kFdAreas = STUB_FD_AREAS,
  kFdAnswer = STUB_FD_ANSWER,
  kFdListener = STUB_FD_LISTENER,  // systrap; ptrace: the socket by which files come
  kFdSlot = STUB_FD_SLOT,
};

// Interrupts a guest thread. Host processes have no other use for it in a stub.
inline constexpr int kInterruptSignal = 23;  // SIGURG

// How the stub's first process gets ready. A step that fails is told by the answer's position.
enum class StubStep : std::uint32_t {
  kMap = 1,
  kDeathSignal,
  kNoNewPrivileges,
  kCapabilities,
  kVdso,
  kSignals,
  kFilter,
};
constexpr std::int64_t stub_failure(StubStep step, int error) {
  return (std::int64_t{1} << 62) | (std::int64_t{static_cast<std::uint32_t>(step)} << 16) | error;
}

enum class HelperOperation : std::uint32_t {
  kNone = 0,
  kThread = STUB_OPERATION_THREAD,  // makes thread `index`
  kFork = STUB_OPERATION_FORK,      // forks the stub; the child finds a command on its own page
};

// Page 0 of an address space's commands: what the helper thread is to do next.
struct HelperCommand {
  std::uint32_t sequence;  // counts commands; the helper sleeps on it
  HelperOperation operation;
  std::uint32_t index;
  std::uint32_t map;                         // kThread: the chunk named below is to be mapped first
  std::uint64_t command_at, command_offset;  // a chunk's address and offset in the memfd
  std::uint64_t area_at, area_offset;
  std::int32_t kernel;         // kFork: our pid; a child that has another parent ends at once
  std::uint32_t listens;       // kThread: with a filter and a listener of its own (systrap)
  std::uint64_t filter_flags;  // for seccomp(2)
  // Read once, by the stub's first process.
  std::uint32_t traced;  // filters and handlers for ptrace
  std::uint32_t vdso_pieces;
  struct {
    std::int64_t from_image;  // where a piece of the vDSO begins, seen from its ELF image
    std::uint64_t length;
  } vdso[4];
};

// Page i of an address space's commands: for guest thread i.
struct ThreadCommand {
  std::uint32_t hold;  // ptrace: the thread sleeps on it until it is traced; else than 0: it ends
  std::uint32_t unused;
  // stack_t, for sigaltstack(2)
  std::uint64_t stack;
  std::int32_t stack_flags, padding;
  std::uint64_t stack_size;
  // The order: a system call, or for Answer::kCompare address, expected and desired value.
  std::uint64_t number;
  std::uint64_t arguments[6];
  // What is answered without a hand-over, when `identified`.
  std::uint32_t identified;
  std::int32_t process, thread, parent;
  std::uint32_t uid, euid, gid, egid;
  // The lane: see Lane. `watched`: the owner looks at it now. `answer`: an Answer, once the lane
  // says kAnswered. `patience`: how many ticks of the time stamp counter the stub looks at it.
  std::uint32_t watched, patience;
  std::int64_t answer;
  // Calls that are answered without a hand-over are handed over now and then, to be counted.
  std::uint32_t patches;
};

// The state of a call that is handed over by shared memory while both sides run, each on a
// processor of its own, and look. Each side gives up after a bounded time: the stub by the gate,
// the owner by waiting for what comes through the gate.
enum Lane : std::uint32_t {
  kLaneIdle,
  kLaneCalled,    // stub: the frame is a system call
  kLaneRecorded,  // stub: the record is a system call
  kLaneTaken,     // owner: has seen it
  kLaneAnswered,  // owner: `answer` is there
  kLaneAsleep,    // stub: the answer must come through the gate (kSleeps)
};

// The head of an area.
struct AreaHead {
  std::uint32_t ready;  // a new thread: 1 + descriptor of its listener, or a negated errno
  std::uint32_t lane;   // a Lane
  std::uint64_t fs_base, gs_base;
  std::uint32_t answered;  // calls that were trapped and answered without a hand-over
};

// The state of a guest thread in a call of a patched site (stub/sites.S): what its signal frame
// would say if there were one. The registers as user_regs_struct and abi::Registers have them.
struct CallRecord {
  std::uint64_t self;         // its own address, which is the thread's gs base
  std::uint32_t interrupted;  // the interrupt signal came meanwhile
  std::uint32_t unused;
  std::uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, rip,
      eflags, rsp;
};

// An island: trampolines within the reach of jumps from the sites that they are for. Memory that
// all address spaces which are forked from each other share, and only the kernel process can write.
inline constexpr std::uint32_t kPageOfIsland = 4096, kTrampolineSize = 32;
// 0 is the island's head: the address that trampolines jump to.
inline constexpr std::uint32_t kTrampolines = kPageOfIsland / kTrampolineSize;
struct Trampoline {
  std::uint8_t code[16];
  std::uint64_t behind;  // the address behind the system call instruction
  std::uint64_t number;
};
static_assert(sizeof(Trampoline) == kTrampolineSize);
static_assert(offsetof(Trampoline, number) - offsetof(Trampoline, behind) == STUB_SITE_NUMBER);

// Arguments 0 of a call at kGateEvent.
enum EventCode : std::uint64_t {
  kBegun,          // 1: the ucontext_t's address
  kFaulted,        // the frame says what
  kStopped,        // the interrupt signal
  kForeignCall,    // a system call of another architecture's table
  kSleeps,         // waits for the answer to what went by the lane
  kDone,           // 1: an order's result or a swap's error, 2: what a swap found
  kFaultedInStub,  // the stub's own code: the guest has broken it
  kFramed,         // the record has become a signal frame
};

// What the kernel process answers to hand-overs.
enum Answer : std::int64_t {
  kResume,       // go on as the frame or the record says
  kOrder,        // execute the call on the command page
  kCompare,      // compare and exchange 4 bytes
  kCompareLong,  // 8 bytes
  kFrame,        // make the record a signal frame
  kExit,         // end the thread
};

static_assert(offsetof(HelperCommand, sequence) == STUB_COMMAND_SEQUENCE);
static_assert(offsetof(HelperCommand, operation) == STUB_COMMAND_OPERATION);
static_assert(offsetof(HelperCommand, index) == STUB_COMMAND_INDEX);
static_assert(offsetof(HelperCommand, map) == STUB_COMMAND_MAP);
static_assert(offsetof(HelperCommand, command_at) == STUB_COMMAND_COMMAND_AT);
static_assert(offsetof(HelperCommand, command_offset) == STUB_COMMAND_COMMAND_OFFSET);
static_assert(offsetof(HelperCommand, area_at) == STUB_COMMAND_AREA_AT);
static_assert(offsetof(HelperCommand, area_offset) == STUB_COMMAND_AREA_OFFSET);
static_assert(offsetof(HelperCommand, kernel) == STUB_COMMAND_KERNEL);
static_assert(offsetof(HelperCommand, listens) == STUB_COMMAND_LISTENS);
static_assert(offsetof(HelperCommand, filter_flags) == STUB_COMMAND_FILTER_FLAGS);
static_assert(offsetof(CallRecord, self) == STUB_RECORD_SELF);
static_assert(offsetof(CallRecord, interrupted) == STUB_RECORD_INTERRUPTED);
static_assert(offsetof(CallRecord, r15) == STUB_RECORD_REGISTERS);
static_assert(kRecordOffset + sizeof(CallRecord) <= kHeadOffset && kRecordOffset % 64 == 0);
static_assert(offsetof(ThreadCommand, hold) == STUB_THREAD_HOLD);
static_assert(offsetof(ThreadCommand, stack) == STUB_THREAD_STACK);

}  // namespace caisson::sandbox::platform
