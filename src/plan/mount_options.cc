#include "plan/mount_options.h"

#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace caisson::plan {
namespace {

enum class Effect : std::uint8_t {
  kSet,         // attribute
  kClear,       // attribute
  kAtime,       // one of the access time modes, which exclude one another
  kNotAtime,    // back to the default when that mode is the current one
  kSuperblock,  // flag of the file system
  kNoSuperblock,
  kPropagate,
  kPropagateTree,
  kBind,
  kBindTree,
  kRemount,
  kCopyUp,
  kNoSymlinkSource,
  kNoSymlinkTarget,
  kCopySymlink,
  kIdmap,
  kIdmapTree,
  kNothing,  // accepted: already so, or without an effect on today's kernels
};

struct Word {
  std::string_view name;
  Effect effect;
  std::uint64_t value = 0;
  std::string_view superblock = {};
};

// mount(8), mount_setattr(2), and the table of the OCI runtime specification (config-linux,
// mounts).
constexpr auto kWords = std::to_array<Word>({
    {"async", Effect::kNoSuperblock, 0, "sync"},
    {"atime", Effect::kNotAtime, MOUNT_ATTR_NOATIME},
    {"bind", Effect::kBind},
    {"copy-symlink", Effect::kCopySymlink},
    {"defaults", Effect::kNothing},
    {"dest-nofollow", Effect::kNoSymlinkTarget},
    {"dev", Effect::kClear, MOUNT_ATTR_NODEV},
    {"diratime", Effect::kClear, MOUNT_ATTR_NODIRATIME},
    {"dirsync", Effect::kSuperblock, 0, "dirsync"},
    {"exec", Effect::kClear, MOUNT_ATTR_NOEXEC},
    {"idmap", Effect::kIdmap},
    {"iversion", Effect::kNothing},
    {"lazytime", Effect::kSuperblock, 0, "lazytime"},
    {"loud", Effect::kNothing},
    {"mand", Effect::kSuperblock, 0, "mand"},
    {"noatime", Effect::kAtime, MOUNT_ATTR_NOATIME},
    {"nodev", Effect::kSet, MOUNT_ATTR_NODEV},
    {"nodiratime", Effect::kSet, MOUNT_ATTR_NODIRATIME},
    {"noexec", Effect::kSet, MOUNT_ATTR_NOEXEC},
    {"noiversion", Effect::kNothing},
    {"nolazytime", Effect::kNoSuperblock, 0, "lazytime"},
    {"nomand", Effect::kNoSuperblock, 0, "mand"},
    {"norelatime", Effect::kNotAtime, MOUNT_ATTR_RELATIME},
    {"nostrictatime", Effect::kNotAtime, MOUNT_ATTR_STRICTATIME},
    {"nosuid", Effect::kSet, MOUNT_ATTR_NOSUID},
    {"nosymfollow", Effect::kSet, MOUNT_ATTR_NOSYMFOLLOW},
    {"private", Effect::kPropagate, MS_PRIVATE},
    {"rbind", Effect::kBindTree},
    {"relatime", Effect::kAtime, MOUNT_ATTR_RELATIME},
    {"remount", Effect::kRemount},
    {"ridmap", Effect::kIdmapTree},
    {"ro", Effect::kSet, MOUNT_ATTR_RDONLY},
    {"rprivate", Effect::kPropagateTree, MS_PRIVATE},
    {"rshared", Effect::kPropagateTree, MS_SHARED},
    {"rslave", Effect::kPropagateTree, MS_SLAVE},
    {"runbindable", Effect::kPropagateTree, MS_UNBINDABLE},
    {"rw", Effect::kClear, MOUNT_ATTR_RDONLY},
    {"shared", Effect::kPropagate, MS_SHARED},
    {"silent", Effect::kNothing},
    {"slave", Effect::kPropagate, MS_SLAVE},
    {"src-nofollow", Effect::kNoSymlinkSource},
    {"strictatime", Effect::kAtime, MOUNT_ATTR_STRICTATIME},
    {"suid", Effect::kClear, MOUNT_ATTR_NOSUID},
    {"symfollow", Effect::kClear, MOUNT_ATTR_NOSYMFOLLOW},
    {"sync", Effect::kSuperblock, 0, "sync"},
    {"tmpcopyup", Effect::kCopyUp},
    {"unbindable", Effect::kPropagate, MS_UNBINDABLE},
});

const Word* find_word(std::string_view name) {
  auto found = std::ranges::lower_bound(kWords, name, {}, &Word::name);
  return found != kWords.end() && found->name == name ? &*found : nullptr;
}

bool is_attribute(Effect effect) { return effect <= Effect::kNotAtime; }

// The word that "r" + name stands for: every attribute has a recursive form.
const Word* find_recursive_word(std::string_view name) {
  if (!name.starts_with('r')) return nullptr;
  const Word* word = find_word(name.substr(1));
  return word != nullptr && is_attribute(word->effect) ? word : nullptr;
}

// The access time modes share bits, and mount_setattr(2) wants the whole field cleared for a
// change.
void apply_attribute(const Word& word, std::uint64_t& set, std::uint64_t& clear) {
  constexpr std::uint64_t kAtimeField = MOUNT_ATTR__ATIME;
  if (word.effect == Effect::kSet) {
    set |= word.value;
    clear &= ~word.value;
  } else if (word.effect == Effect::kClear) {
    set &= ~word.value;
    clear |= word.value;
  } else {
    const bool is_current = (set & kAtimeField) == word.value;
    if (word.effect == Effect::kAtime || is_current) set &= ~kAtimeField;
    if (word.effect == Effect::kAtime) set |= word.value;
    clear |= kAtimeField;
  }
}

void apply_word(const Word& word, MountOptions& out) {
  if (is_attribute(word.effect)) {
    const bool is_current = (out.attr_set & MOUNT_ATTR__ATIME) == word.value;
    if (word.effect == Effect::kAtime) out.access_time_mode = true;
    if (word.effect == Effect::kNotAtime && is_current) out.access_time_mode = false;
    out.names_flags = true;
    apply_attribute(word, out.attr_set, out.attr_clear);
    return;
  }
  if (word.effect == Effect::kSuperblock || word.effect == Effect::kNoSuperblock) {
    out.names_flags = true;
  }
  switch (word.effect) {
    case Effect::kSuperblock:
      std::erase(out.superblock, word.superblock);
      out.superblock.emplace_back(word.superblock);
      break;
    case Effect::kNoSuperblock: std::erase(out.superblock, word.superblock); break;
    case Effect::kPropagate: out.propagation.push_back({word.value, false}); break;
    case Effect::kPropagateTree: out.propagation.push_back({word.value, true}); break;
    case Effect::kBind: out.bind = true; break;
    case Effect::kBindTree: out.bind = out.bind_tree = true; break;
    case Effect::kRemount: out.remount = true; break;
    case Effect::kCopyUp: out.copy_up = true; break;
    case Effect::kNoSymlinkSource: out.no_symlink_source = true; break;
    case Effect::kNoSymlinkTarget: out.no_symlink_target = true; break;
    case Effect::kCopySymlink: out.copy_symlink = true; break;
    case Effect::kIdmap: out.idmap = std::max(out.idmap, Idmap::kMount); break;
    case Effect::kIdmapTree: out.idmap = Idmap::kTree; break;
    case Effect::kSet:
    case Effect::kClear:
    case Effect::kAtime:
    case Effect::kNotAtime:
    case Effect::kNothing: break;
  }
}

void apply_option(std::string_view option, MountOptions& out) {
  if (option.empty()) return;
  if (const Word* word = find_word(option)) return apply_word(*word, out);
  if (const Word* word = find_recursive_word(option)) {
    return apply_attribute(*word, out.recursive_set, out.recursive_clear);
  }
  // mount(2) took one string and cut it at commas; fsconfig(2) does not. Quotes and backslashes
  // mean that the file system has rules of its own for commas.
  if (option.find(',') != option.npos && option.find_first_of("\"\\") == option.npos) {
    for (std::string_view piece : split(option, ',')) apply_option(piece, out);
    return;
  }
  auto [key, value] = split_once(option, '=');
  if (key == "idmap" || key == "ridmap") {
    out.idmap = key == "ridmap" ? Idmap::kTree : std::max(out.idmap, Idmap::kMount);
    out.idmap_text = value;
    return;
  }
  out.data.push_back({std::string(key), std::string(value)});
}

}  // namespace

MountOptions parse_mount_options(const Strings& options) {
  MountOptions out;
  for (const std::string& option : options) apply_option(option, out);
  return out;
}

std::optional<std::vector<IdMapping>> parse_id_ranges(std::string_view text,
                                                      const std::vector<IdMapping>& own) {
  std::vector<IdMapping> out;
  bool all_relative = text.starts_with('@');
  for (std::string_view range : split(text, '#')) {
    bool relative = all_relative || range.starts_with('@');
    if (range.starts_with('@')) range.remove_prefix(1);
    auto numbers = split(range, '-');
    if (numbers.size() != 3) return std::nullopt;
    auto from = parse_number<std::uint32_t>(numbers[0]);
    auto to = parse_number<std::uint32_t>(numbers[1]);
    auto size = parse_number<std::uint32_t>(numbers[2]);
    if (!from || !to || !size || *size == 0) return std::nullopt;
    if (relative && !own.empty()) {
      auto holder = std::ranges::find_if(own, [&](const IdMapping& mapping) {
        return *to >= mapping.container_id && *to - mapping.container_id < mapping.size;
      });
      if (holder == own.end()) return std::nullopt;
      *to = holder->host_id + (*to - holder->container_id);
    }
    out.push_back({*from, *to, *size});
  }
  return out;
}

Propagation parse_propagation(std::string_view word) {
  const Word* found = find_word(word);
  if (found == nullptr) return {};
  if (found->effect == Effect::kPropagate) return {found->value, false};
  if (found->effect == Effect::kPropagateTree) return {found->value, true};
  return {};
}

Strings known_mount_options() {
  Strings out;
  for (const Word& word : kWords) {
    out.emplace_back(word.name);
    if (is_attribute(word.effect)) out.push_back(cat("r", word.name));
  }
  std::ranges::sort(out);
  return out;
}

std::string attribute_names(std::uint64_t attributes) {
  struct Name {
    std::uint64_t bits, field;
    std::string_view name;
  };
  static constexpr Name kNames[] = {
      {MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY, "ro"},
      {MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSUID, "nosuid"},
      {MOUNT_ATTR_NODEV, MOUNT_ATTR_NODEV, "nodev"},
      {MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOEXEC, "noexec"},
      {MOUNT_ATTR__ATIME, MOUNT_ATTR__ATIME, "atime"},
      {MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, "noatime"},
      {MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, "strictatime"},
      {MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NODIRATIME, "nodiratime"},
      {MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"},
      {MOUNT_ATTR_IDMAP, MOUNT_ATTR_IDMAP, "idmap"},
  };
  std::string out;
  for (const Name& name : kNames) {
    if ((attributes & name.field) != name.bits) continue;
    if (!out.empty()) out += ',';
    out += name.name;
  }
  return out;
}

}  // namespace caisson::plan
