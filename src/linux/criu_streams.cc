#include "linux/criu_streams.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/text.h"
#include "formats/json.h"
#include "sys/file.h"

namespace caisson::linux {
namespace {

constexpr const char* kFile = "descriptors.json";
constexpr std::string_view kPipe = "pipe:[", kHostFile = "file[";
constexpr std::size_t kMaxDescriptors = 64;

// 0 when it can't be told.
int mount_id_of(int pid, std::size_t number) {
  auto text = sys::read_file(sys::kCwd, cat("/proc/", pid, "/fdinfo/", number).c_str());
  if (!text) return 0;
  for (auto line : split(*text, '\n')) {
    auto [name, value] = split_once(line, ':');
    if (name == "mnt_id") return parse_number<int>(trim(value)).value_or(0);
  }
  return 0;
}

// The name of a file that no mount of the container shows; empty for all else.
std::string name_of_host_file(int pid, std::size_t number, const std::vector<MountInfo>& inside) {
  auto info = sys::fstatat(sys::kCwd, cat("/proc/", pid, "/fd/", number).c_str());
  bool file = info && (S_ISREG(info->st_mode) || S_ISCHR(info->st_mode) || S_ISFIFO(info->st_mode));
  if (!file) return {};
  const int mount = mount_id_of(pid, number);
  bool visible =
      std::ranges::any_of(inside, [&](const MountInfo& one) { return one.mount.id == mount; });
  // Terminals are CRIU's own matter (its option shell-job).
  constexpr unsigned kMemoryDevices = 1;
  bool terminal = S_ISCHR(info->st_mode) && info->st_rdev >> 8 != kMemoryDevices;
  if (mount == 0 || visible || terminal) return {};
  return cat(kHostFile, hex(static_cast<std::uint64_t>(mount)), ":", hex(info->st_ino), "]");
}

// One that is read from and written to under one name: the caller's, open for both.
void pass_for_both(formats::criu::InheritedFd& entry, int number, int first,
                   std::vector<Fd>& opened) {
  auto both = sys::openat(sys::kCwd, cat("/proc/self/fd/", number).c_str(), O_RDWR | O_NOCTTY);
  if (!both) return;
  entry.fd = first + static_cast<int>(opened.size());
  opened.push_back(std::move(*both));
}

}  // namespace

Result<SavedStreams> read_streams(int pid, const std::vector<MountInfo>& inside) {
  SavedStreams out;
  for (std::size_t number = 0; number < 3; ++number) {
    auto link = sys::readlink(sys::kCwd, cat("/proc/", pid, "/fd/", number).c_str());
    std::string name = link ? std::move(*link) : std::string();
    if (name.starts_with('/')) {
      std::string of_host = name_of_host_file(pid, number, inside);
      if (!of_host.empty()) {
        out.external.push_back(of_host);
        name = std::move(of_host);
      }
    }
    out.names.push_back(std::move(name));
  }
  return out;
}

Result<> write_descriptors(FdRef images, const plan::Strings& names) {
  std::string text;
  formats::JsonWriter(text).value(names);
  TRY_CTX(sys::write_atomically(images, kFile, text), "write ", kFile);
  return {};
}

Result<plan::Strings> read_descriptors(FdRef images, const std::string& path) {
  auto text = sys::read_file(images, kFile);
  if (!text) {
    return std::unexpected(Error(text.error())
                               .doing("read ", path, "/", kFile)
                               .cure("name the directory of a whole checkpoint: a pre-dump is none")
                               .code("restore.images"));
  }
  plan::Strings names;
  std::string name = cat(path, "/", kFile);
  formats::JsonReader json(*text, name);
  if (TRY(json.skip_null())) return names;
  TRY(json.enter_array());
  while (TRY(json.next_element())) {
    if (names.size() >= kMaxDescriptors) return std::unexpected(json.error("too many descriptors"));
    names.emplace_back(TRY(json.read_string()));
  }
  TRY(json.finish());
  return names;
}

std::vector<formats::criu::InheritedFd> streams_to_restore(const plan::Strings& names,
                                                           const plan::Stdio& stdio, int first,
                                                           std::vector<Fd>& opened) {
  const int given[] = {stdio.in, stdio.out, stdio.err};
  std::vector<formats::criu::InheritedFd> out;
  for (std::size_t i = 0; i < names.size() && i < 3; ++i) {
    bool outside = names[i].starts_with(kPipe) || names[i].starts_with(kHostFile);
    if (!outside) continue;
    auto same = std::ranges::find(out, names[i], &formats::criu::InheritedFd::key);
    if (same == out.end()) {
      out.push_back({names[i], static_cast<int>(i)});
    } else if (same->fd == 0 && names[i].starts_with(kHostFile)) {
      pass_for_both(*same, given[i] >= 0 ? given[i] : static_cast<int>(i), first, opened);
    }
  }
  return out;
}

}  // namespace caisson::linux
