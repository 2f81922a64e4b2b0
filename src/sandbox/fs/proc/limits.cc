#include "sandbox/fs/proc/limits.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <algorithm>
#include <string_view>

#include "base/text.h"
#include "sys/file.h"

namespace caisson::sandbox::fs {
namespace {

// Blocks of /proc/cpuinfo, without the number that each begins with (it is counted anew).
std::vector<std::string> cpu_blocks(std::string_view text) {
  std::vector<std::string> blocks;
  while (!text.empty()) {
    std::size_t end = text.find("\n\n");
    std::string_view block = text.substr(0, end == std::string_view::npos ? end : end + 1);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
    if (!block.starts_with("processor")) continue;
    blocks.emplace_back(block.substr(block.find('\n') + 1));
  }
  return blocks;
}

}  // namespace

ErrnoOr<MachineFacts> MachineFacts::of_host() {
  struct sysinfo info{};
  TRY(sys::call_void(SYS_sysinfo, &info));
  struct utsname names{};
  TRY(sys::call_void(SYS_uname, &names));
  MachineFacts facts;
  facts.memory = std::uint64_t{info.totalram} * info.mem_unit;
  facts.cpu_texts = cpu_blocks(TRY(sys::read_file(sys::kCwd, "/proc/cpuinfo")));
  facts.processors = std::max<unsigned>(1, static_cast<unsigned>(facts.cpu_texts.size()));
  facts.release = names.release;
  facts.version = names.version;
  return facts;
}

}  // namespace caisson::sandbox::fs
