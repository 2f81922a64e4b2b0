// TaskRunner: the life of a guest task's own thread. It runs the guest, answers what comes out of
// it, acts on signals and stops between, and ends the task.
#pragma once

#include <cstdint>

#include "base/ref.h"
#include "base/result.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::kernel {

class TaskRunner {
 public:
  // Gives `task`, which has its guest thread, a thread of the kernel process. It keeps a reference
  // until the task ended. EAGAIN.
  static ErrnoOr<> start(Task& task);

 private:
  explicit TaskRunner(Task& task) : task_(task), kernel_(task.kernel()) {}
  static void* thread_main(void* task);
  void run();
  void answer_syscall();
  void answer_fault(const platform::Fault& fault);
  platform::Event run_guest();
  // Stops, signals, restarts, until nothing is left to act on.
  void handle_interruption();
  bool act_on_next_signal();  // false: there is none
  void act_on_default(const SignalInfo& info);
  void call_handler(const SignalInfo& info, const SignalAction& action);
  void finish_call_without_handler();
  void restore_mask();  // what a call with a temporary one has saved
  void take_stop(int signal);
  void stand_still();
  bool stop_is_complete();
  void report_state_change();
  SignalInfo take_next_signal();
  SignalInfo show_to_tracer(SignalInfo info);
  bool enter_traced_call();
  void leave_traced_call();
  void prepare_step();
  void begin_life();
  void take_over_restored();
  void publish();

  Task& task_;
  Kernel& kernel_;
};

}  // namespace caisson::sandbox::kernel
