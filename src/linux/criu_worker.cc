#include "linux/criu_worker.h"

#include <poll.h>

#include <cstdlib>

#include "base/text.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::linux {
namespace {

using formats::criu::Kind;
using formats::criu::Reply;
using formats::criu::Request;

constexpr int kAnswerTimeoutMs = 30'000;
constexpr int kEndTimeoutMs = 10'000;
// Callers that leave /usr/sbin out of PATH are many.
constexpr std::string_view kUsualPlaces = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin";

Error missing(const std::string& program) {
  return Error::with_cause(ENOENT, "it is not installed")
      .doing("run ", program)
      .cure(
          "install the package criu (3.15 or newer; a kernel newer than the CRIU of the "
          "distribution may need a newer one), or name the program with --criu")
      .code("criu.missing");
}

bool is_program(const std::string& path) {
  auto info = sys::fstatat(sys::kCwd, path.c_str());
  return info && S_ISREG(info->st_mode) && sys::faccessat(sys::kCwd, path.c_str(), X_OK);
}

Error ended_early(FdRef pidfd) {
  auto status = sys::wait_readable(pidfd, kEndTimeoutMs).value_or(false)
                    ? sys::wait_pidfd(pidfd, WNOHANG)
                    : std::unexpected(Errno{ETIMEDOUT});
  bool killed = status && status->pid != 0 && status->code != CLD_EXITED;
  return Error::with_cause(EIO, killed ? cat("it was killed by signal ", status->status)
                                       : "it ended without an answer")
      .doing("talk to CRIU");
}

// Waits until the child runs CRIU.
Result<> await_exec(FdRef report, const std::string& path) {
  int error = 0;
  bool heard = TRY_CTX(sys::wait_readable(report, kAnswerTimeoutMs), "start CRIU");
  auto got = heard ? sys::read(report, &error, sizeof error) : std::unexpected(Errno{ETIMEDOUT});
  if (got && *got == 0) return {};
  return std::unexpected(Error(got ? Errno{error} : got.error()).doing("start ", path));
}

Result<Reply> ask(const std::string& path, const Request& request) {
  CriuChild child;
  auto worker = TRY(CriuWorker::start(path, child));
  auto reply = TRY(worker.run(request, {}, kAnswerTimeoutMs));
  if (reply.success) return reply;
  return std::unexpected(Error::with_cause(EIO, reply.error_message.empty()
                                                    ? cat("it refused, errno ", reply.error_number)
                                                    : reply.error_message)
                             .doing("ask CRIU what it can do"));
}

std::string version_text(int version) {
  return cat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

}  // namespace

Result<std::string> find_criu(const std::string& program) {
  if (program.find('/') != std::string::npos) {
    if (is_program(program)) return program;
    return std::unexpected(missing(program));
  }
  const char* own = std::getenv("PATH");
  for (std::string_view places : {std::string_view(own == nullptr ? "" : own), kUsualPlaces}) {
    for (auto place : split(places, ':')) {
      std::string path = cat(place, "/", program);
      if (!place.empty() && is_program(path)) return path;
    }
  }
  return std::unexpected(missing(program));
}

Result<int> check_criu(const std::string& path) {
  Request request;
  request.kind = Kind::kVersion;
  int version = TRY(ask(path, request)).version;
  if (version >= kOldestCriu) return version;
  return std::unexpected(Error::with_cause(EOPNOTSUPP, cat("it is ", version_text(version)))
                             .doing("run ", path)
                             .cure("CRIU ", version_text(kOldestCriu), " or newer is needed")
                             .code("criu.old"));
}

Result<CriuFeatures> criu_features(const std::string& path, const CriuFeatures& wanted) {
  Request request;
  request.kind = Kind::kFeatureCheck;
  request.ask_memory_tracking = wanted.memory_tracking;
  request.ask_lazy_pages = wanted.lazy_pages;
  auto reply = TRY(ask(path, request));
  return CriuFeatures{reply.memory_tracking, reply.lazy_pages};
}

Result<CriuWorker> CriuWorker::start(const std::string& path, CriuChild& child) {
  auto sockets = TRY_CTX(sys::socket_pair(), "make a socket pair for CRIU");
  int report[2];
  TRY_CTX(sys::call_void(SYS_pipe2, report, O_CLOEXEC), "make a pipe");
  Fd report_read(report[0]), report_write(report[1]);
  child.program = path.c_str();
  child.socket = sockets.second.number();
  child.report = report_write.number();
  auto forked = TRY_CTX(sys::fork_with_pidfd(0, child.cgroup_fd), "start CRIU");
  if (forked.pid == 0) run_criu_child(child);
  CriuWorker worker(NewProcess(forked.pid, std::move(forked.pidfd)), std::move(sockets.first));
  report_write.reset();
  TRY(await_exec(report_read, path));
  return worker;
}

Result<> CriuWorker::say(const Request& request) {
  auto sent = sys::send_message(socket_, formats::criu::encode(request));
  if (sent) return {};
  if (sent.error().value == EPIPE) return std::unexpected(ended_early(process_.pidfd()));
  return std::unexpected(Error(sent.error()).doing("talk to CRIU"));
}

Result<sys::Message> CriuWorker::hear(int silence_ms) {
  if (!TRY_CTX(sys::wait_readable(socket_, silence_ms), "wait for CRIU")) {
    return std::unexpected(
        Error(Errno{ETIMEDOUT})
            .doing("wait for CRIU")
            .cure("it said nothing for ", silence_ms / 1000, " s and was ended; see its log"));
  }
  auto message = sys::receive_message(socket_);
  bool gone =
      (message && message->data.empty()) || (!message && message.error().value == ECONNRESET);
  if (gone) return std::unexpected(ended_early(process_.pidfd()));
  return TRY_CTX(std::move(message), "hear from CRIU");
}

// It goes by itself when nobody listens any more.
void CriuWorker::finish() {
  socket_.reset();
  (void)sys::wait_readable(process_.pidfd(), kEndTimeoutMs);
  process_.kill_and_reap();
}

Result<Reply> CriuWorker::run(const Request& request, const NotifyFunction& notify,
                              int silence_ms) {
  auto reply = converse(request, notify, silence_ms);
  finish();
  return reply;
}

Result<Reply> CriuWorker::converse(const Request& request, const NotifyFunction& notify,
                                   int silence_ms) {
  TRY(say(request));
  Result<> refused;
  for (;;) {
    auto message = TRY(hear(silence_ms));
    auto reply = formats::criu::decode(message.data);
    if (!reply) {
      return std::unexpected(
          Error::with_cause(EPROTO, "what it says is no answer").doing("talk to CRIU"));
    }
    if (reply->kind != Kind::kNotify) {
      if (!refused) return std::unexpected(std::move(refused).error());
      return std::move(*reply);
    }
    auto handled = notify ? notify(*reply, message.fds) : Result<>{};
    if (!handled && refused) refused = std::move(handled);
    Request answer;
    answer.kind = Kind::kNotify;
    answer.notify_success = refused.has_value();
    auto said = say(answer);
    if (!said) return std::unexpected(std::move(refused ? said : refused).error());
  }
}

}  // namespace caisson::linux
