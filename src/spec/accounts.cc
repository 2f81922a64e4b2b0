#include "spec/accounts.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace caisson::spec {
namespace {

using Fields = std::vector<std::string_view>;

// The first line with at least `fields` fields for which `matches` holds.
template <typename Predicate>
std::optional<Fields> find_line(std::string_view file, std::size_t fields, Predicate matches) {
  while (!file.empty()) {
    auto [line, rest] = split_once(file, '\n');
    file = rest;
    Fields found = split(line, ':');
    if (found.size() >= fields && matches(found)) return found;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> number(std::string_view text) {
  auto value = parse_number<std::uint32_t>(text);
  // The id -1 means "unchanged" to the kernel.
  return value && *value != UINT32_MAX ? value : std::nullopt;
}

std::optional<Fields> find_entry(std::string_view file, std::size_t fields, std::string_view name) {
  auto entry = find_line(file, fields, [&](const Fields& line) { return line[0] == name; });
  auto id = number(name);
  if (!entry && id) {
    entry = find_line(file, fields, [&](const Fields& line) { return number(line[2]) == id; });
  }
  return entry;
}

Error unknown(std::string_view what, std::string_view name, std::string_view file) {
  return Error::with_cause(ENOENT, cat("no ", what, " ", quoted(name), " in ", file))
      .code("user.unknown")
      .cure("give the number instead, or a name of that file");
}

std::vector<std::uint32_t> groups_of(std::string_view user, std::uint32_t primary,
                                     std::string_view file) {
  std::vector<std::uint32_t> gids;
  (void)find_line(file, 4, [&](const Fields& line) {
    auto gid = number(line[2]);
    auto members = split(line[3], ',');
    bool member = std::ranges::find(members, user) != members.end();
    if (gid && member && *gid != primary) gids.push_back(*gid);
    return false;
  });
  std::ranges::sort(gids);
  gids.erase(std::unique(gids.begin(), gids.end()), gids.end());
  return gids;
}

}  // namespace

Result<Account> find_account(std::string_view text, const AccountFiles& files) {
  auto [user, group] = split_once(text, ':');
  bool has_group = text.find(':') != std::string_view::npos;
  if (user.empty() || (has_group && group.empty())) {
    return std::unexpected(Error::invalid(cat(quoted(text), " is not USER or USER:GROUP"))
                               .code("user.invalid")
                               .cure("give a name or a number, for example 1000:1000"));
  }
  Account account;
  auto entry = find_entry(files.passwd, 6, user);
  auto uid = entry ? number((*entry)[2]) : number(user);
  if (!uid) return std::unexpected(unknown("user", user, "/etc/passwd"));
  account.uid = *uid;
  if (entry) {
    account.gid = number((*entry)[3]).value_or(0);
    account.home = (*entry)[5];
  }
  if (!has_group) {
    if (entry) account.additional_gids = groups_of((*entry)[0], account.gid, files.group);
    return account;
  }
  auto group_entry = find_entry(files.group, 3, group);
  auto gid = group_entry ? number((*group_entry)[2]) : number(group);
  if (!gid) return std::unexpected(unknown("group", group, "/etc/group"));
  account.gid = *gid;
  return account;
}

std::string_view user_name(std::string_view passwd, std::uint32_t uid) {
  auto entry = find_line(passwd, 3, [&](const Fields& line) { return number(line[2]) == uid; });
  return entry ? (*entry)[0] : std::string_view();
}

}  // namespace caisson::spec
