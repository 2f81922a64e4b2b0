#if defined(__x86_64__)

#include <sys/syscall.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <vector>

#include "sandbox/kernel/signal_frame.h"
#include "sandbox/kernel/task.h"

namespace caisson::sandbox::kernel {
namespace {

// struct sigcontext_64, struct ucontext and struct rt_sigframe of arch/x86/include.
struct StackOfContext {
  std::uint64_t address = 0;
  std::uint32_t flags = 0, padding = 0;
  std::uint64_t size = 0;
};
struct MachineContext {
  std::uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip,
      eflags;
  std::uint16_t cs, gs, fs, ss;
  std::uint64_t error, trap, old_mask, cr2, extended_state;
  std::array<std::uint64_t, 8> reserved;
};
struct Frame {
  std::uint64_t return_address;
  std::uint64_t flags, link;
  StackOfContext stack;
  MachineContext machine;
  std::uint64_t mask;
  std::array<std::byte, 128> info;
};
static_assert(sizeof(MachineContext) == 256 && sizeof(Frame) == 440);

constexpr std::uint64_t kContextOffset = offsetof(Frame, flags);
constexpr std::uint64_t kInfoOffset = offsetof(Frame, info);
// UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS.
constexpr std::uint64_t kHasExtendedState = 1, kHasStackSegment = 2, kStrictStackSegment = 4;
constexpr std::uint64_t kRedZone = 128;
constexpr std::uint16_t kUserCode = 0x33, kUserData = 0x2b;
constexpr std::uint64_t kRestorerFlag = 0x04000000;  // SA_RESTORER
constexpr std::uint64_t kFlagsOfReturn = 0x50dd5;    // what a frame may set in eflags
constexpr std::uint64_t kFlagsCleared = 0x10500;     // direction, trap, resume
// struct _fpx_sw_bytes in the legacy area, and what ends an image.
constexpr std::size_t kSoftwareBytes = 464, kLegacySize = 512;
constexpr std::uint32_t kMagic1 = 0x46505853, kMagic2 = 0x46505845;

std::uint32_t word_at(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint32_t word = 0;
  std::memcpy(&word, bytes.data() + offset, sizeof(word));
  return word;
}

// The image as it stands in a frame: with the word behind it that says it is whole.
std::vector<std::byte> frame_image(std::span<const std::byte> state) {
  std::vector<std::byte> image(state.begin(), state.end());
  if (image.size() < kLegacySize || word_at(image, kSoftwareBytes) != kMagic1) return image;
  std::size_t whole = word_at(image, kSoftwareBytes + 4);
  if (image.size() + sizeof(kMagic2) == whole) {
    image.resize(whole);
    std::memcpy(image.data() + whole - sizeof(kMagic2), &kMagic2, sizeof(kMagic2));
  }
  return image;
}

MachineContext save_registers(const platform::Registers& from) {
  MachineContext to{};
  to.r8 = from.r8, to.r9 = from.r9, to.r10 = from.r10, to.r11 = from.r11;
  to.r12 = from.r12, to.r13 = from.r13, to.r14 = from.r14, to.r15 = from.r15;
  to.rdi = from.rdi, to.rsi = from.rsi, to.rbp = from.rbp, to.rbx = from.rbx;
  to.rdx = from.rdx, to.rax = from.rax, to.rcx = from.rcx, to.rsp = from.rsp;
  to.rip = from.rip, to.eflags = from.eflags;
  to.cs = kUserCode, to.ss = kUserData;
  return to;
}

void restore_registers(const MachineContext& from, platform::Registers& to) {
  to.r8 = from.r8, to.r9 = from.r9, to.r10 = from.r10, to.r11 = from.r11;
  to.r12 = from.r12, to.r13 = from.r13, to.r14 = from.r14, to.r15 = from.r15;
  to.rdi = from.rdi, to.rsi = from.rsi, to.rbp = from.rbp, to.rbx = from.rbx;
  to.rdx = from.rdx, to.rax = from.rax, to.rcx = from.rcx, to.rsp = from.rsp;
  to.rip = from.rip;
  to.eflags = (to.eflags & ~kFlagsOfReturn) | (from.eflags & kFlagsOfReturn);
  to.orig_rax = ~std::uint64_t{0};
}

struct Place {
  std::uint64_t frame = 0, image = 0;
};

// get_sigframe() of arch/x86/kernel/signal.c.
ErrnoOr<Place> choose_place(const Task& task, const SignalAction& action,
                            std::uint64_t stack_pointer, std::size_t image_size) {
  const AlternateStack& alternate = task.alternate_stack;
  bool on_alternate = is_on_stack(alternate, stack_pointer);
  std::uint64_t top = stack_pointer - kRedZone;
  if ((action.flags & SA_ONSTACK) != 0 && alternate.size != 0 && !on_alternate) {
    top = alternate.address + alternate.size;
    on_alternate = true;
  }
  Place place;
  place.image = (top - image_size) & ~std::uint64_t{63};
  place.frame = ((place.image - sizeof(Frame)) & ~std::uint64_t{15}) - 8;
  bool fits = place.frame > alternate.address && place.frame <= alternate.address + alternate.size;
  if (on_alternate && !fits) return std::unexpected(Errno{EFAULT});
  return place;
}

ErrnoOr<> write_all(Task& task, std::uint64_t address, std::span<const std::byte> bytes) {
  std::size_t written = TRY(task.memory().write(address, bytes));
  if (written != bytes.size()) return std::unexpected(Errno{EFAULT});
  return {};
}

// The part of the state that the frame brings back; none: initial values.
ErrnoOr<> restore_extended_state(Task& task, std::uint64_t address) {
  if (address == 0) {
    task.thread().reset_extended_state();
    return {};
  }
  std::vector<std::byte> image(frame_image(task.thread().extended_state()).size());
  std::size_t read = TRY(task.memory().read(address, image));
  if (read != image.size()) return std::unexpected(Errno{EFAULT});
  return task.thread().set_extended_state(image);
}

}  // namespace

ErrnoOr<> push_signal_frame(Task& task, const SignalInfo& info, const SignalAction& action,
                            SignalSet mask_to_restore) {
  platform::Registers& registers = task.registers();
  if ((action.flags & kRestorerFlag) == 0) return std::unexpected(Errno{EFAULT});
  std::vector<std::byte> image = frame_image(task.thread().extended_state());
  Place place = TRY(choose_place(task, action, registers.stack_pointer(), image.size()));
  Frame frame{};
  frame.return_address = action.restorer;
  frame.flags = kHasStackSegment | kStrictStackSegment;
  if (image.size() > kLegacySize) frame.flags |= kHasExtendedState;
  AlternateStack& alternate = task.alternate_stack;
  frame.stack = {alternate.address, alternate.flags, 0, alternate.size};
  frame.machine = save_registers(registers);
  frame.machine.error = task.last_fault.error;
  frame.machine.trap = task.last_fault.trap;
  frame.machine.cr2 = task.last_fault.trap == 14 ? task.last_fault.address : 0;
  frame.machine.old_mask = mask_to_restore;
  frame.machine.extended_state = place.image;
  frame.mask = mask_to_restore;
  info.write_to(std::span<std::byte, 128>(frame.info));
  TRY(write_all(task, place.image, image));
  TRY(write_all(task, place.frame, std::as_bytes(std::span(&frame, 1))));
  if ((alternate.flags & (1U << 31)) != 0) alternate = AlternateStack{};
  registers.rdi = static_cast<std::uint64_t>(info.signal);
  registers.rsi = place.frame + kInfoOffset;
  registers.rdx = place.frame + kContextOffset;
  registers.rax = 0;
  registers.rsp = place.frame;
  registers.rip = action.handler;
  registers.eflags &= ~kFlagsCleared;
  registers.orig_rax = ~std::uint64_t{0};
  return {};
}

ErrnoOr<> pop_signal_frame(Task& task) {
  platform::Registers& registers = task.registers();
  Frame frame{};
  auto bytes = std::as_writable_bytes(std::span(&frame, 1));
  // The handler's return took the return address off the stack.
  std::size_t read = TRY(task.memory().read(registers.rsp - sizeof(frame.return_address), bytes));
  if (read != bytes.size()) return std::unexpected(Errno{EFAULT});
  TRY(restore_extended_state(task, frame.machine.extended_state));
  restore_registers(frame.machine, registers);
  task.set_blocked(frame.mask);
  AlternateStack stack{frame.stack.address, frame.stack.size, frame.stack.flags};
  (void)set_alternate_stack(task, stack, registers.rsp);  // as Linux: a bad one is left out
  return {};
}

}  // namespace caisson::sandbox::kernel

#endif
