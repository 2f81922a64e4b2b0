#include "cli/oci.h"

#include <cstdlib>

#include "base/text.h"

namespace caisson::cli {

Result<int> preserved_fds(const Arguments& arguments, std::vector<std::string>& env) {
  int count = 0;
  if (auto text = arguments.value("preserve-fds")) {
    auto given = parse_number<int>(*text);
    if (!given || *given < 0 || *given > 1'000'000) {
      return std::unexpected(Error::invalid("not a number of descriptors")
                                 .where("--preserve-fds ", *text)
                                 .code("option.value"));
    }
    count = *given;
  }
  // Socket activation: the container's init is the process that the descriptors are for.
  const char* listen = std::getenv("LISTEN_FDS");
  auto sockets = listen == nullptr ? std::nullopt : parse_number<int>(listen);
  if (sockets && *sockets > 0 && *sockets < 1'000'000) {
    count += *sockets;
    env.push_back(cat("LISTEN_FDS=", *sockets));
    env.emplace_back("LISTEN_PID=1");
    if (const char* names = std::getenv("LISTEN_FDNAMES")) {
      env.push_back(cat("LISTEN_FDNAMES=", std::string_view(names)));
    }
  }
  return count;
}

}  // namespace caisson::cli
