#include "linux/criu_log.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace caisson::linux {
namespace {

constexpr std::size_t kMostErrors = 5;
// These only say that something above them failed, or do not matter.
constexpr std::string_view kEchoes[] = {
    "Dumping FAILED.", "Restoring FAILED.", "Pre-dumping FAILED.",
    "rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted"};

// "(00.012345)      1: Error (criu/x.c:12): mnt: text" -> "mnt: text"
std::string_view error_in(std::string_view line) {
  constexpr std::string_view kMark = "Error (";
  auto mark = line.find(kMark);
  if (mark == line.npos) return {};
  auto text = line.find("): ", mark);
  return text == line.npos ? std::string_view() : trim(line.substr(text + 3));
}

}  // namespace

std::string last_criu_errors(std::string_view log) {
  std::vector<std::string_view> errors;
  for (auto line : split(log, '\n')) {
    auto text = error_in(line);
    bool told = std::ranges::find(errors, text) != errors.end();
    if (text.empty() || told || std::ranges::find(kEchoes, text) != std::end(kEchoes)) continue;
    errors.push_back(text);
  }
  if (errors.size() > kMostErrors) {
    errors.erase(errors.begin(), errors.end() - static_cast<std::ptrdiff_t>(kMostErrors));
  }
  return join(errors, "; ");
}

std::string_view criu_cure(std::string_view errors) {
  struct Known {
    std::string_view text, cure;
  };
  constexpr Known kKnown[] = {
      {"onnected TCP socket", "give --tcp-established to save connections"},
      {"dangling tty", "give --shell-job when the container has the terminal of a shell"},
      {"--shell-job", "give --shell-job when the container has the terminal of a shell"},
      {"xternal socket is used", "give --ext-unix-sk"},
      {"external stream", "end what holds the other end of the socket outside of the container"},
      {"file lock", "give --file-locks"},
      {"ixed file locks", "give --file-locks"},
      {"link-remap", "give --link-remap: a removed file is open"},
      {"nable to run iptables", "install iptables, or give --network-lock nftables or skip"},
      {"Unable to run", "install the program, CRIU needs it"},
      {"Can't fork for", "its process id is taken: restore it in a pid namespace"},
  };
  for (const auto& known : kKnown) {
    if (errors.find(known.text) != errors.npos) return known.cure;
  }
  return {};
}

}  // namespace caisson::linux
