// Plain data of the kernel as checkpoints have it (state/described.h).
#pragma once

#include "sandbox/kernel/group_timers.h"
#include "sandbox/kernel/kernel.h"

namespace caisson::sandbox::kernel {

template <typename Stream>
void describe(Stream& stream, Limit& limit) {
  stream(limit.soft, limit.hard);
}
template <typename Stream>
void describe(Stream& stream, SignalAction& action) {
  stream(action.handler, action.flags, action.restorer, action.mask);
}
template <typename Stream>
void describe(Stream& stream, SignalInfo& i) {
  stream(i.signal, i.error, i.code, i.pid, i.uid, i.status, i.user_time, i.system_time, i.value);
  stream(i.address, i.timer, i.overrun, i.band, i.fd, i.system_call, i.architecture);
}
template <typename Stream>
void describe(Stream& stream, ResourceUsage& u) {
  stream(u.user_ns, u.system_ns, u.minor_faults, u.major_faults, u.voluntary_switches);
  stream(u.involuntary_switches, u.max_resident);
}
template <typename Stream>
void describe(Stream& stream, AlternateStack& stack) {
  stream(stack.address, stack.size, stack.flags);
}
template <typename Stream>
void describe(Stream& stream, Restart& restart) {
  stream(restart.kind, restart.values);
}
template <typename Stream>
void describe(Stream& stream, TimerEvent& event) {
  stream(event.notify, event.signal, event.value, event.has_value, event.thread);
}

// Ids of what lives in a namespace: one per level.
Result<> check_ids(const std::vector<int>& ids, const PidNamespace& ns);
// A queue of signals.
void save_signals(state::Writer& to, const PendingSignals& pending);
Result<> restore_signals(state::Reader& from, PendingSignals& pending);

}  // namespace caisson::sandbox::kernel
