#include "sandbox/mm/host_figures.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "sandbox/mm/mapping.h"
#include "sys/file.h"

namespace caisson::sandbox::mm {
namespace {

// "VmRSS:\t    1234 kB", the number; 0 when the line is not there.
std::uint64_t bytes_of(std::string_view status, std::string_view name) {
  std::size_t at = status.find(name);
  if (at == std::string_view::npos) return 0;
  std::string_view rest = status.substr(at + name.size());
  rest = trim(rest.substr(0, rest.find("kB")));
  return parse_number<std::uint64_t>(rest).value_or(0) * 1024;
}

}  // namespace

ErrnoOr<Fd> HostFigures::open(pid_t process, const char* name) const {
  return sys::openat(proc_, cat(process, "/", name).c_str(), O_RDONLY | O_CLOEXEC);
}

ErrnoOr<ResidentBytes> HostFigures::resident(pid_t process) const {
  Fd file = TRY(open(process, "status"));
  std::array<char, 4096> text;
  std::size_t size = TRY(sys::read(file, text.data(), text.size()));
  std::string_view status(text.data(), size);
  return ResidentBytes{bytes_of(status, "\nRssAnon:"),  bytes_of(status, "\nRssFile:"),
                       bytes_of(status, "\nRssShmem:"), bytes_of(status, "\nVmHWM:"),
                       bytes_of(status, "\nVmPTE:"),    bytes_of(status, "\nVmSwap:")};
}

ErrnoOr<std::string> HostFigures::pages(pid_t process, std::uint64_t begin,
                                        std::uint64_t end) const {
  Fd file = TRY(open(process, "pagemap"));
  std::string answer;
  answer.reserve((end - begin) / kPageSize);
  std::array<std::uint64_t, 512> entries;
  while (begin < end) {
    std::size_t wanted = std::min<std::uint64_t>((end - begin) / kPageSize, entries.size());
    auto at = static_cast<off_t>(begin / kPageSize * 8);
    auto got = static_cast<std::size_t>(TRY(
                   sys::call_retry(SYS_pread64, file.number(), entries.data(), wanted * 8, at))) /
               8;
    if (got == 0) break;
    for (std::uint64_t entry : std::span(entries).first(got)) {
      bool present = (entry >> 63 & 1) != 0, of_file = (entry >> 61 & 1) != 0;
      bool swapped = (entry >> 62 & 1) != 0;
      answer.push_back(static_cast<char>((present ? kPresent : 0) | (of_file ? kOfFile : 0) |
                                         (swapped ? kSwapped : 0)));
    }
    begin += got * kPageSize;
  }
  answer.resize(answer.size() + (end - begin) / kPageSize, '\0');
  return answer;
}

}  // namespace caisson::sandbox::mm
