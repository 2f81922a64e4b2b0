#include "sandbox/fs/dev/nodes.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "base/text.h"

namespace caisson::sandbox::fs {
namespace {

constexpr DeviceNode kDevices[] = {
    {"null", 0666, 1, 3},   {"zero", 0666, 1, 5},    {"full", 0666, 1, 7},
    {"random", 0666, 1, 8}, {"urandom", 0666, 1, 9}, {"tty", 0666, 5, 0},
};

constexpr DevLink kLinks[] = {
    {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
};

struct Directory {
  std::string_view name;
  std::uint32_t mode;
};
constexpr Directory kDirectories[] = {{"pts", 0755}, {"shm", 01777}, {"mqueue", 01777}};

ErrnoOr<> unless_there(ErrnoOr<> outcome) {
  if (!outcome && outcome.error().value == EEXIST) return {};
  return outcome;
}

}  // namespace

std::span<const DeviceNode> default_devices() { return kDevices; }
std::span<const DevLink> default_dev_links() { return kLinks; }

ErrnoOr<> populate_dev(const vfs::WalkContext& context, std::string_view dev) {
  for (const DeviceNode& node : kDevices)
    TRY(unless_there(vfs::make_node(context, cat(dev, "/", node.name), S_IFCHR | node.mode,
                                    gnu_dev_makedev(node.major, node.minor))));
  for (const DevLink& link : kLinks)
    TRY(unless_there(vfs::make_symlink(context, link.target, cat(dev, "/", link.name))));
  for (const Directory& directory : kDirectories)
    TRY(unless_there(vfs::make_directory(context, cat(dev, "/", directory.name), directory.mode)));
  return {};
}

}  // namespace caisson::sandbox::fs
