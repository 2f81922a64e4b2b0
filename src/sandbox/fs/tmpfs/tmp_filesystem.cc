#include "sandbox/fs/tmpfs/tmp_filesystem.h"

#include <linux/magic.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "sandbox/fs/tmpfs/tmp_directory.h"
#include "sandbox/fs/tmpfs/tmp_regular.h"

namespace caisson::sandbox::fs {
namespace {

constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

std::unexpected<Errno> failed(int errno_value) { return std::unexpected(Errno{errno_value}); }

std::uint64_t half_of_memory() {
  long pages = ::sysconf(_SC_PHYS_PAGES);
  return static_cast<std::uint64_t>(pages > 0 ? pages : 0) / 2;
}

std::uint64_t page_limit(const TmpOptions& options) {
  if (!options.size) return half_of_memory();
  return *options.size == 0 ? kNoLimit : pages_for(*options.size);
}
std::uint64_t inode_limit(const TmpOptions& options) {
  if (!options.inodes) return half_of_memory();
  return *options.inodes == 0 ? kNoLimit : *options.inodes;
}

// As memparse() of Linux reads it: any base by its prefix, one letter as a suffix.
std::optional<std::uint64_t> parse_amount(std::string_view text) {
  unsigned shift = 0;
  constexpr std::string_view kSuffixes = "kmgtpe";
  if (!text.empty())
    if (auto at = kSuffixes.find(static_cast<char>(text.back() | 0x20));
        at != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(at) + 1);
      text.remove_suffix(1);
    }
  auto value = text.starts_with("0x")              ? parse_number<std::uint64_t>(text.substr(2), 16)
               : text.size() > 1 && text[0] == '0' ? parse_number<std::uint64_t>(text, 8)
                                                   : parse_number<std::uint64_t>(text);
  if (!value || *value > kNoLimit >> shift) return std::nullopt;
  return *value << shift;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  if (!text.ends_with('%')) return parse_amount(text);
  auto percent = parse_number<std::uint64_t>(text.substr(0, text.size() - 1));
  if (!percent || *percent > 1'000'000) return std::nullopt;
  return half_of_memory() * 2 * *percent / 100 * kPageSize;
}

template <typename Int>
ErrnoOr<> assign(Int& to, std::optional<Int> value) {
  if (!value) return failed(EINVAL);
  to = *value;
  return {};
}

ErrnoOr<> parse_option(std::string_view option, TmpOptions& options) {
  auto [key, value] = split_once(option, '=');
  if (option.empty()) return {};
  if (key == "mode") {
    TRY(assign(options.mode, parse_number<std::uint32_t>(value, 8)));
    options.mode &= 07777U;
    return {};
  }
  if (key == "uid") return assign(options.uid, parse_number<std::uint32_t>(value));
  if (key == "gid") return assign(options.gid, parse_number<std::uint32_t>(value));
  if (key == "size") {
    options.size = parse_bytes(value);
    return options.size ? ErrnoOr<>() : failed(EINVAL);
  }
  if (key == "nr_blocks") {
    options.size = parse_amount(value);
    if (!options.size || *options.size > kNoLimit / kPageSize) return failed(EINVAL);
    *options.size *= kPageSize;
    return {};
  }
  if (key == "nr_inodes") {
    options.inodes = parse_amount(value);
    return options.inodes ? ErrnoOr<>() : failed(EINVAL);
  }
  if (option == "ro" || option == "rw") {
    options.readonly = option == "ro";
    return {};
  }
  // What changes nothing here: where memory comes from, how inode numbers are cut.
  if (key == "huge" || key == "mpol" || option == "inode64" || option == "inode32" ||
      option == "noswap")
    return {};
  return failed(EINVAL);
}

}  // namespace

ErrnoOr<TmpOptions> TmpOptions::parse(std::string_view text) {
  TmpOptions options;
  for (std::string_view option : split(text, ',')) TRY(parse_option(option, options));
  return options;
}

TmpFilesystem::TmpFilesystem(Ref<FileMemory> memory, Ref<SpecialFiles> special,
                             const TmpOptions& options, std::string type)
    : Filesystem(std::move(type)),
      memory_(std::move(memory)),
      special_(std::move(special)),
      pages_(page_limit(options)),
      inodes_(inode_limit(options)),
      options_(options),
      readonly_(options.readonly) {}

// Directories one by one: they can be nested deeper than our stack.
TmpFilesystem::~TmpFilesystem() {
  std::vector<Ref<TmpInode>> left;
  left.push_back(std::move(root_));
  while (!left.empty()) {
    Ref<TmpInode> inode = std::move(left.back());
    left.pop_back();
    if (inode->is_directory()) static_cast<TmpDirectory&>(*inode).take_entries(left);
  }
}

Ref<TmpFilesystem> TmpFilesystem::create(Ref<FileMemory> memory, Ref<SpecialFiles> special,
                                         const TmpOptions& options, std::string type) {
  auto made = Ref<TmpFilesystem>::adopt(
      new TmpFilesystem(std::move(memory), std::move(special), options, std::move(type)));
  (void)made->inodes_.take(1);
  made->root_ = make_ref<TmpDirectory>(
      *made, vfs::Creation{S_IFDIR | options.mode, options.uid, options.gid});
  return made;
}

Ref<vfs::Inode> TmpFilesystem::root() { return root_; }

ErrnoOr<> TmpFilesystem::take_inode() {
  if (inodes_.take(1) == 0) return failed(ENOSPC);
  return {};
}

ErrnoOr<Ref<TmpInode>> TmpFilesystem::make_unnamed(const vfs::Creation& creation) {
  TRY(take_inode());
  auto made = make_ref<TmpRegular>(*this, creation);
  made->set_links(0);
  return Ref<TmpInode>(std::move(made));
}

ErrnoOr<vfs::FilesystemStatus> TmpFilesystem::status() {
  vfs::FilesystemStatus status;
  status.type = TMPFS_MAGIC;
  if (pages_.is_limited()) {
    status.blocks = pages_.limit();
    status.free_blocks = status.blocks - std::min(status.blocks, pages_.used());
    status.available_blocks = status.free_blocks;
  }
  if (inodes_.is_limited()) {
    status.files = inodes_.limit();
    status.free_files = status.files - std::min(status.files, inodes_.used());
  }
  return status;
}

ErrnoOr<> TmpFilesystem::remount(std::string_view text, bool readonly) {
  TmpOptions options = TRY(TmpOptions::parse(text));
  if (options.size && pages_.used() > page_limit(options)) return failed(EINVAL);
  if (options.inodes && inodes_.used() > inode_limit(options)) return failed(EINVAL);
  if (options.size) pages_.set_limit(page_limit(options));
  if (options.inodes) inodes_.set_limit(inode_limit(options));
  readonly_.store(readonly, std::memory_order_relaxed);
  return {};
}

std::string TmpFilesystem::options_text() const {
  std::string text;
  if (pages_.is_limited() && pages_.limit() != half_of_memory())
    append(text, ",size=", pages_.limit() * (kPageSize / 1024), "k");
  if (inodes_.limit() != half_of_memory())
    append(text, ",nr_inodes=", inodes_.is_limited() ? inodes_.limit() : 0);
  if (options_.mode != 01777) append(text, ",mode=", octal(options_.mode));
  if (options_.uid != 0) append(text, ",uid=", options_.uid);
  if (options_.gid != 0) append(text, ",gid=", options_.gid);
  append(text, ",inode64");
  return text;
}

}  // namespace caisson::sandbox::fs
