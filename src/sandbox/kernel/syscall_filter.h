// SyscallFilter: what a guest allows itself and its children (seccomp(2)): programs of classic BPF,
// each on top of those that were there before.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/ref.h"
#include "base/result.h"

namespace caisson::sandbox::kernel {

class SyscallFilter final : public RefCounted {
 public:
  static constexpr std::size_t kMostInstructions = 4096;        // BPF_MAXINSNS
  static constexpr std::size_t kMostTogether = (1U << 18) / 8;  // MAX_INSNS_PER_PATH
  // EINVAL: it could leave its own code or data, or does not end; ENOMEM: too much together.
  static ErrnoOr<Ref<SyscallFilter>> create(std::vector<sock_filter> program,
                                            Ref<SyscallFilter> below, bool logs);

  // SECCOMP_RET_* of all of them, the strictest one, the newest of equal ones.
  std::uint32_t run(const seccomp_data& data) const;
  // Whether `other` is this one or stands below it.
  bool is_on(const SyscallFilter* other) const;
  std::size_t count() const;

 private:
  SyscallFilter(std::vector<sock_filter> program, Ref<SyscallFilter> below, bool logs)
      : program_(std::move(program)), below_(std::move(below)), logs_(logs) {}
  ~SyscallFilter() override;
  const std::vector<sock_filter> program_;
  Ref<SyscallFilter> below_;
  const bool logs_;
};

// The parts of it that tests look at: Linux' seccomp_check_filter() and bpf_check_classic().
bool is_valid_filter(std::span<const sock_filter> program);
std::uint32_t run_filter(std::span<const sock_filter> program, const seccomp_data& data);

}  // namespace caisson::sandbox::kernel
