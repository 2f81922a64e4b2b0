// proc(5): the tasks of a pid namespace and the sandbox's figures as files.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ref.h"
#include "sandbox/fs/generated/generated.h"
#include "sandbox/fs/proc/limits.h"
#include "sandbox/kernel/kernel.h"
#include "sandbox/vfs/mount.h"

namespace caisson::sandbox::fs {

// A text of /proc/net about the network of a task, from the floor that knows it; none for names
// that it does not have.
using NetworkText = std::optional<std::string> (*)(kernel::Task& task, std::string_view name);

class ProcFilesystem final : public GeneratedFilesystem {
 public:
  // Shows the ids of `pids`, whose tasks and descendants are all that is visible.
  static Ref<ProcFilesystem> create(kernel::Kernel& kernel, Ref<kernel::PidNamespace> pids,
                                    MachineFacts facts, NetworkText network_text = nullptr);

  NetworkText network_text() const { return network_text_; }
  kernel::Kernel& kernel() const { return kernel_; }
  const kernel::PidNamespace& pids() const { return *pids_; }
  const MachineFacts& facts() const { return facts_; }
  // What links to files without a place (pipes, sockets) lead to.
  vfs::Path place_of(Ref<vfs::File> file);

 private:
  ProcFilesystem(kernel::Kernel& kernel, Ref<kernel::PidNamespace> pids, MachineFacts facts);
  ~ProcFilesystem() override = default;
  kernel::Kernel& kernel_;
  const Ref<kernel::PidNamespace> pids_;
  const MachineFacts facts_;
  NetworkText network_text_ = nullptr;
  Ref<vfs::Mount> anonymous_;
};

// The guest task that calls: whoever gets as far as to read a file here is one.
inline kernel::Task& task_of(vfs::Caller& caller) { return static_cast<kernel::Task&>(caller); }

// --- parts of the root directory
void add_machine_files(ProcFilesystem& proc, StaticDirectory& root);  // stat, meminfo ...
void add_sysctl(ProcFilesystem& proc, StaticDirectory& root);         // sys/
void add_ipc_files(StaticDirectory& root);                            // sysvipc/
// Of /proc/PID/net.
void add_network_files(ProcFilesystem& proc, const Ref<kernel::Task>& task,
                       StaticDirectory& directory);

// --- texts that several places have
std::string command_line(mm::MemoryMap& memory);                     // as /proc/PID/cmdline has it
std::string padded_left(std::string_view text, std::size_t width);   // "   12"
std::string padded_right(std::string_view text, std::size_t width);  // "ab    "
// "%02u", and so on.
std::string zero_padded(std::uint64_t value, std::size_t width);
// "0-3,5" for the processors of a mask; "f" as /proc/PID/status has it.
std::string processor_list(const std::vector<std::uint64_t>& mask, unsigned processors);
std::string processor_mask(const std::vector<std::uint64_t>& mask, unsigned processors);
// Ticks of USER_HZ.
constexpr std::int64_t ticks(std::int64_t ns) { return ns / 10'000'000; }

}  // namespace caisson::sandbox::fs
