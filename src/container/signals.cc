// Names of signals. Numbers are those of this machine's Linux.
#include <signal.h>

#include "container/api.h"

namespace caisson::container {
namespace {

struct SignalName {
  std::string_view name;
  int number;
};

constexpr SignalName kSignalNames[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},
    {"TRAP", SIGTRAP},     {"ABRT", SIGABRT},   {"IOT", SIGABRT},  {"BUS", SIGBUS},
    {"FPE", SIGFPE},       {"KILL", SIGKILL},   {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},
    {"USR2", SIGUSR2},     {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD},   {"CLD", SIGCHLD},  {"CONT", SIGCONT},
    {"STOP", SIGSTOP},     {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
    {"URG", SIGURG},       {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
    {"PROF", SIGPROF},     {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"POLL", SIGIO},
    {"PWR", SIGPWR},       {"SYS", SIGSYS},
};

// As programs see them: the C library keeps the kernel's 32 and 33 for itself.
constexpr int kRealTimeMin = 34, kRealTimeMax = 64;

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

// "RTMIN", "RTMIN+3", "RTMAX-1".
std::optional<int> real_time(std::string_view name) {
  bool from_min = name.starts_with("RTMIN");
  if (!from_min && !name.starts_with("RTMAX")) return std::nullopt;
  auto rest = name.substr(5);
  int base = from_min ? kRealTimeMin : kRealTimeMax;
  if (rest.empty()) return base;
  if (rest[0] != (from_min ? '+' : '-')) return std::nullopt;
  auto distance = parse_number<int>(rest.substr(1));
  if (!distance || *distance < 0 || *distance > kRealTimeMax - kRealTimeMin) return std::nullopt;
  return from_min ? base + *distance : base - *distance;
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
  if (auto number = parse_number<int>(text)) {
    if (*number >= 0 && *number <= kRealTimeMax) return *number;
  }
  std::string name = upper(text);
  std::string_view plain = name;
  if (plain.starts_with("SIG")) plain.remove_prefix(3);
  for (const auto& entry : kSignalNames) {
    if (entry.name == plain) return entry.number;
  }
  if (auto number = real_time(plain)) return *number;
  return std::unexpected(Error::invalid(cat("unknown signal ", quoted(text)))
                             .cure("use a name (TERM, SIGTERM, RTMIN+3) or a number up to 64")
                             .code("signal.unknown"));
}

}  // namespace caisson::container
