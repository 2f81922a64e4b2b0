// passwd(5) and group(5) as text: who "web:www-data" is. No NSS, no host: the caller brings the
// files, the container's own or the machine's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace caisson::spec {

struct AccountFiles {
  std::string_view passwd, group;
};

struct Account {
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> additional_gids;  // without `gid`, ascending
  std::string home;                            // empty when the files do not know the user
};

// "USER[:GROUP]", each a name or a number. A number needs no entry; its group is then 0. The
// supplementary groups are those of the user's name, none when a group is given.
Result<Account> find_account(std::string_view text, const AccountFiles& files);

// The first name of `uid` in passwd; empty when it has none. Good as long as the text is.
std::string_view user_name(std::string_view passwd, std::uint32_t uid);

}  // namespace caisson::spec
