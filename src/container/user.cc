#include "container/user.h"

#include "base/account_id.h"
#include "base/text.h"
#include "sys/file.h"

namespace caisson::container {
namespace {

constexpr std::size_t kFileLimit = std::size_t{4} << 20;

struct PasswdEntry {
  std::uint32_t uid = 0, gid = 0;
};

// The line of `text` whose first field is `name`, as fields; empty when there is none.
std::vector<std::string_view> line_of(std::string_view text, std::string_view name) {
  for (auto line : split(text, '\n')) {
    auto fields = split(line, ':');
    if (fields[0] == name && fields.size() >= 3) return fields;
  }
  return {};
}

std::optional<PasswdEntry> find_user(std::string_view passwd, std::string_view name) {
  auto fields = line_of(passwd, name);
  if (fields.size() < 4) return std::nullopt;
  auto uid = parse_account_id(fields[2]);
  auto gid = parse_account_id(fields[3]);
  if (!uid || !gid) return std::nullopt;
  return PasswdEntry{*uid, *gid};
}

std::optional<std::uint32_t> find_group(std::string_view group, std::string_view name) {
  auto fields = line_of(group, name);
  if (fields.empty()) return std::nullopt;
  return parse_account_id(fields[2]);
}

std::vector<std::uint32_t> groups_of(std::string_view group, std::string_view user) {
  std::vector<std::uint32_t> out;
  for (auto line : split(group, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() < 4) continue;
    for (auto member : split(fields[3], ',')) {
      auto gid = parse_account_id(fields[2]);
      if (member == user && gid) out.push_back(*gid);
    }
  }
  return out;
}

Error unknown(std::string_view kind, std::string_view name, std::string_view file) {
  return Error::invalid(cat("no ", kind, " ", quoted(name), " in the container's ", file))
      .where("user")
      .cure("give a number, or a name that the container knows");
}

// The empty file when there is none.
ErrnoOr<std::string> read_inside(FdRef root, const char* path) {
  auto file =
      sys::openat2(root, path, O_RDONLY | O_NONBLOCK, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (!file && (file.error().value == ENOENT || file.error().value == ENOTDIR))
    return std::string();
  if (!file) return std::unexpected(file.error());
  return sys::read_all(*file, kFileLimit);
}

bool is_number(std::string_view text) { return parse_account_id(text).has_value(); }

}  // namespace

Result<> choose_user(std::string_view choice, std::string_view passwd, std::string_view group,
                     spec::User& user) {
  auto [name, group_name] = split_once(choice, ':');
  if (auto uid = parse_account_id(name)) {
    user.uid = *uid;
  } else {
    auto entry = find_user(passwd, name);
    if (!entry) return std::unexpected(unknown("user", name, "/etc/passwd"));
    user.uid = entry->uid;
    user.gid = entry->gid;
    user.additional_gids = groups_of(group, name);
  }
  if (group_name.empty()) return {};
  auto gid = parse_account_id(group_name);
  if (!gid) gid = find_group(group, group_name);
  if (!gid) return std::unexpected(unknown("group", group_name, "/etc/group"));
  user.gid = *gid;
  return {};
}

Result<> choose_user_in(std::string_view choice, FdRef root, spec::User& user) {
  auto [name, group_name] = split_once(choice, ':');
  if (is_number(name) && (group_name.empty() || is_number(group_name))) {
    return choose_user(choice, {}, {}, user);
  }
  auto passwd = TRY_CTX(read_inside(root, "etc/passwd"), "read the container's /etc/passwd");
  auto group = TRY_CTX(read_inside(root, "etc/group"), "read the container's /etc/group");
  return choose_user(choice, passwd, group, user);
}

}  // namespace caisson::container
