// Parts of validate.h; for the files validate*.cc only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/json.h"
#include "spec/container_spec.h"

namespace caisson::spec {

// Where a rule looks: the file and the path of the field so far.
class Place {
 public:
  explicit Place(std::string_view file_name, std::string path = {})
      : file_name_(file_name), path_(std::move(path)) {}

  // place / "args": the member; place[3]: the element.
  Place operator/(std::string_view member) const {
    auto path = path_;
    formats::append_member(path, member);
    return Place(file_name_, std::move(path));
  }
  Place operator[](std::size_t index) const {
    return Place(file_name_, cat(path_, "[", index, "]"));
  }

  // Refuses what stands here; the parts are joined to the cause.
  template <typename... Parts>
  std::unexpected<Error> refuse(const Parts&... parts) const {
    auto where = cat(file_name_, file_name_.empty() || path_.empty() ? "" : ": ", path_);
    return std::unexpected(Error::invalid(cat(parts...)).where(where).code("spec.invalid"));
  }

 private:
  std::string_view file_name_;
  std::string path_;
};

// Whether a list of path components contains "..".
bool climbs(std::string_view path);

Result<> check_process(const Process& process, const Place& place);
Result<> check_linux(const Linux& part, const Place& place);
Result<> check_mappings(const std::vector<IdMapping>& uids, const std::vector<IdMapping>& gids,
                        const Place& place);
Result<> check_resources(const Resources& resources, const Place& place);
Result<> check_seccomp(const Seccomp& seccomp, const Place& place);
Result<> check_sysctls(const Linux& part, const Place& place);

const Namespace* find_namespace(const Linux& part, NamespaceKind kind);

}  // namespace caisson::spec
