#if defined(__aarch64__)

#include <array>
#include <cstddef>
#include <cstring>
#include <vector>

#include "sandbox/kernel/signal_frame.h"
#include "sandbox/kernel/task.h"

namespace caisson::sandbox::kernel {
namespace {

// struct rt_sigframe of arch/arm64/kernel/signal.c with struct ucontext; the records of vector
// state follow in `reserved` and are those of the platform's image.
struct Frame {
  std::array<std::byte, 128> info;
  std::uint64_t flags, link;
  std::uint64_t stack_address;
  std::uint32_t stack_flags, stack_padding;
  std::uint64_t stack_size;
  std::uint64_t mask;
  std::array<std::byte, 120> mask_padding;
  std::uint64_t alignment;
  std::uint64_t fault_address;
  std::array<std::uint64_t, 31> x;
  std::uint64_t sp, pc, pstate;
  std::uint64_t more_alignment;
  std::array<std::byte, 4096> reserved;
};
static_assert(offsetof(Frame, fault_address) % 16 == 0);
static_assert(offsetof(Frame, reserved) % 16 == 0);

struct FrameRecord {  // what unwinders follow: x29 points here
  std::uint64_t frame_pointer, link_register;
};

constexpr std::uint64_t kFlagsOfReturn = 0xf0000000;  // N Z C V

}  // namespace

ErrnoOr<> push_signal_frame(Task& task, const SignalInfo& info, const SignalAction& action,
                            SignalSet mask_to_restore) {
  platform::Registers& registers = task.registers();
  AlternateStack& alternate = task.alternate_stack;
  std::uint64_t top = registers.sp;
  bool on_alternate = is_on_stack(alternate, top);
  if ((action.flags & SA_ONSTACK) != 0 && alternate.size != 0 && !on_alternate) {
    top = alternate.address + alternate.size;
    on_alternate = true;
  }
  std::uint64_t record = (top & ~std::uint64_t{15}) - sizeof(FrameRecord);
  std::uint64_t place = record - sizeof(Frame);
  if (on_alternate && (place <= alternate.address || place > alternate.address + alternate.size))
    return std::unexpected(Errno{EFAULT});
  Frame frame{};
  info.write_to(std::span<std::byte, 128>(frame.info));
  frame.stack_address = alternate.address;
  frame.stack_flags = alternate.flags;
  frame.stack_size = alternate.size;
  frame.mask = mask_to_restore;
  frame.fault_address = task.last_fault.address;
  frame.x = registers.x;
  frame.sp = registers.sp, frame.pc = registers.pc, frame.pstate = registers.pstate;
  auto image = task.thread().extended_state();
  if (image.size() > frame.reserved.size()) return std::unexpected(Errno{EFAULT});
  std::memcpy(frame.reserved.data(), image.data(), image.size());
  FrameRecord chain{registers.x[29], registers.x[30]};
  for (auto [address, bytes] : {std::pair{place, std::as_bytes(std::span(&frame, 1))},
                                std::pair{record, std::as_bytes(std::span(&chain, 1))}}) {
    std::size_t written = TRY(task.memory().write(address, bytes));
    if (written != bytes.size()) return std::unexpected(Errno{EFAULT});
  }
  if ((alternate.flags & (1U << 31)) != 0) alternate = AlternateStack{};
  registers.x[0] = static_cast<std::uint64_t>(info.signal);
  registers.x[1] = place;
  registers.x[2] = place + offsetof(Frame, flags);
  registers.x[29] = record;
  registers.x[30] = action.restorer;
  registers.sp = place;
  registers.pc = action.handler;
  return {};
}

ErrnoOr<> pop_signal_frame(Task& task) {
  platform::Registers& registers = task.registers();
  Frame frame{};
  auto bytes = std::as_writable_bytes(std::span(&frame, 1));
  std::size_t read = TRY(task.memory().read(registers.sp, bytes));
  if (read != bytes.size()) return std::unexpected(Errno{EFAULT});
  std::size_t size = task.thread().extended_state().size();
  TRY(task.thread().set_extended_state(std::span(frame.reserved).first(size)));
  registers.x = frame.x;
  registers.sp = frame.sp, registers.pc = frame.pc;
  registers.pstate = (registers.pstate & ~kFlagsOfReturn) | (frame.pstate & kFlagsOfReturn);
  task.set_blocked(frame.mask);
  AlternateStack stack{frame.stack_address, frame.stack_size, frame.stack_flags};
  (void)set_alternate_stack(task, stack, registers.sp);  // as Linux: a bad one is left out
  return {};
}

}  // namespace caisson::sandbox::kernel

#endif
