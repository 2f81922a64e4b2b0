#include <elf.h>
#include <linux/seccomp.h>
#include <sys/auxv.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>

#include "sandbox/platform/stub_child.h"
#include "sandbox/platform/stub_process.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::sandbox::platform {
namespace {

struct MemoryLine {
  std::uint64_t begin = 0, end = 0;
  std::string_view name;
};

// A line of /proc/PID/maps: "7fff1000-7fff3000 r-xp 00000000 00:00 0   [vdso]".
std::optional<MemoryLine> parse_line(std::string_view line) {
  MemoryLine parsed;
  const char* end = line.data() + line.size();
  auto first = std::from_chars(line.data(), end, parsed.begin, 16);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') return std::nullopt;
  auto second = std::from_chars(first.ptr + 1, end, parsed.end, 16);
  if (second.ec != std::errc()) return std::nullopt;
  std::size_t name = line.find('[');
  if (name != std::string_view::npos) parsed.name = line.substr(name);
  return parsed;
}

std::string_view step_name(std::uint32_t step) {
  switch (StubStep{step}) {
    case StubStep::kMap: return "map its commands";
    case StubStep::kDeathSignal: return "bind its life to ours";
    case StubStep::kNoNewPrivileges: return "renounce new privileges";
    case StubStep::kCapabilities: return "drop capabilities";
    case StubStep::kVdso: return "move the vDSO";
    case StubStep::kSignals: return "install signal handlers";
    case StubStep::kFilter: return "install a system call filter";
  }
  return "start";
}

// What seccomp(2) understands of what makes hand-overs better.
std::uint64_t usable_filter_flags() {
  std::uint64_t flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  auto tried = sys::call_void(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, nullptr);
  bool known = tried.error() == Errno{EFAULT};
  return known ? flags : SECCOMP_FILTER_FLAG_NEW_LISTENER;
}

}  // namespace

// The pieces of the vDSO and their places, which are the same in all processes of this host.
ErrnoOr<> StubFamily::find_vdso(HelperCommand& command, std::string maps) {
  std::uint64_t image = ::getauxval(AT_SYSINFO_EHDR);
  if (image == 0) return {};
  if (maps.empty()) maps = TRY(sys::read_file(sys::kCwd, "/proc/self/maps"));
  std::string_view rest = maps;
  while (!rest.empty() && command.vdso_pieces < std::size(command.vdso)) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    auto parsed = parse_line(line);
    if (!parsed || !(parsed->name.starts_with("[vvar") || parsed->name == "[vdso]")) continue;
    command.vdso[command.vdso_pieces++] = {static_cast<std::int64_t>(parsed->begin - image),
                                           parsed->end - parsed->begin};
  }
  if (command.vdso_pieces != 0)
    vdso_address_ = kVdsoBlock - static_cast<std::uint64_t>(command.vdso[0].from_image);
  return {};
}

Result<> StubFamily::start(Fd answer) {
  StubDescriptors given{.image = Fd(),
                        .commands = slots_.command_file().number(),
                        .areas = slots_.area_file().number(),
                        .answer = answer.number(),
                        .socket = receiver_.valid() ? receiver_.number() : -1};
  given.image = TRY_CTX(stub_image(), "make the file of the stub's program");
  first_->pid_ = TRY_CTX(start_stub(given), "start a stub");
  first_->pidfd_ = TRY_CTX(sys::pidfd_open(first_->pid_), "open the stub's process");
  first_->answer_ = std::move(answer);
  return {};
}

Result<Ref<StubFamily>> StubFamily::create(bool traced, std::string mappings) {
  auto family = Ref<StubFamily>::adopt(new StubFamily);
  family->traced_ = traced;
  family->filter_flags_ = usable_filter_flags();
  TRY_CTX(family->slots_.open(), "make the memory shared with stubs");
  Chunk chunk = TRY_CTX(family->slots_.take(), "take the first slots");
  family->first_ = std::make_unique<StubProcess>(*family, chunk);
  HelperCommand& command = family->first_->helper();
  command.traced = traced ? 1 : 0;
  command.kernel = sys::getpid();
  TRY_CTX(family->find_vdso(command, std::move(mappings)), "find the vDSO in /proc/self/maps");
  if (traced) {
    auto ends = TRY_CTX(sys::socket_pair(), "make the socket for files of stubs");
    family->sender_ = std::move(ends.first);
    family->receiver_ = std::move(ends.second);
  }
  TRY(family->start(TRY_CTX(sys::memfd_create("answer"), "make the file of a stub's answers")));
  return family;
}

ErrnoOr<std::unique_ptr<StubProcess>> StubFamily::new_process() {
  reap_retired(false);
  auto process = std::make_unique<StubProcess>(*this, TRY(slots_.take()));
  auto forked = first_->fork(*process);
  if (forked) return process;
  retire(std::move(process));
  return std::unexpected(forked.error());
}

Error StubFamily::explain(Errno error) {
  auto position = first_->answer();
  if (!first_->ended() || !position || *position < stub_failure(StubStep::kMap, 0))
    return Error(error).doing("make an address space");
  auto step = static_cast<std::uint32_t>(*position >> 16) & 0xff;
  return Error(Errno{static_cast<int>(*position & 0xffff)})
      .doing("start a stub: ", step_name(step));
}

void StubFamily::retire(std::unique_ptr<StubProcess> process) {
  process->kill();
  if (!process->reap(false)) {
    Locked lock(mutex_);
    retired_.push_back(std::move(process));
  }
  reap_retired(false);
}

void StubFamily::reap_retired(bool wait) {
  Locked lock(mutex_);
  std::erase_if(retired_, [wait](auto& process) { return process->reap(wait); });
}

StubFamily::~StubFamily() {
  first_->kill();
  first_->reap(true);
  reap_retired(true);
}

}  // namespace caisson::sandbox::platform
