// CRIU in its service mode (criu swrk): one process for one request, spoken to over a socket pair.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/criu.h"
#include "linux/criu_child.h"
#include "linux/spawn.h"
#include "sys/socket.h"

namespace caisson::linux {

// The oldest version that has everything that is asked of all containers: external pid namespaces.
inline constexpr int kOldestCriu = 31500;

// The program's path. criu.missing when there is none.
Result<std::string> find_criu(const std::string& program);
// Its version, as formats::criu::Reply has it; criu.old below kOldestCriu.
Result<int> check_criu(const std::string& path);

struct CriuFeatures {
  bool memory_tracking = false, lazy_pages = false;
};
// Those that are asked for and both CRIU and this kernel have.
Result<CriuFeatures> criu_features(const std::string& path, const CriuFeatures& wanted);

class CriuWorker {
 public:
  // `child` as it is to run; its `program` and `socket` are set here.
  static Result<CriuWorker> start(const std::string& path, CriuChild& child);

  int pid() const { return process_.pid(); }

  // Answers a notification; its error ends what CRIU does, and is what run() returns. `fds`: what
  // came with it.
  using NotifyFunction =
      std::function<Result<>(const formats::criu::Reply& notification, std::span<Fd> fds)>;
  // Sends the request and waits for the reply, and for the end of the process. A reply without
  // success is no error of this function. Bounded by `silence_ms` between two words of CRIU (-1: no
  // bound).
  Result<formats::criu::Reply> run(const formats::criu::Request& request,
                                   const NotifyFunction& notify, int silence_ms);

 private:
  CriuWorker(NewProcess process, Fd socket)
      : process_(std::move(process)), socket_(std::move(socket)) {}
  Result<formats::criu::Reply> converse(const formats::criu::Request& request,
                                        const NotifyFunction& notify, int silence_ms);
  Result<sys::Message> hear(int silence_ms);
  Result<> say(const formats::criu::Request& request);
  void finish();
  NewProcess process_;
  Fd socket_;
};

}  // namespace caisson::linux
