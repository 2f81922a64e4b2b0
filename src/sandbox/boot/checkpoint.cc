#include "sandbox/boot/checkpoint.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/clock.h"
#include "base/defer.h"
#include "sandbox/control/control.h"
#include "sandbox/state/envelope.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::sandbox::boot {
namespace {

using control::Answer;
using control::Request;

constexpr const char *kState = "sandbox.state", *kMemory = "sandbox.memory";
constexpr const char *kNewState = "sandbox.state.new", *kNewMemory = "sandbox.memory.new";
// Saving goes at the speed of the disk that takes the memory.
constexpr int kSaveTimeoutMs = 15 * 60 * 1000;
constexpr int kEndTimeoutMs = 30'000;
constexpr int kRestoreTimeoutMs = 5 * 60 * 1000;

Result<> refuse(std::string_view option) {
  return std::unexpected(Error::with_cause(EOPNOTSUPP, "a sandbox is saved at once, by itself")
                             .where("--", option)
                             .cure("leave the option out: it is for containers that CRIU saves")
                             .code("checkpoint.unsupported"));
}

Result<> check_options(const plan::CriuOptions& options) {
  if (options.pre_dump) return refuse("pre-dump");
  if (!options.parent_path.empty()) return refuse("parent-path");
  if (options.lazy_pages) return refuse("lazy-pages");
  if (!options.page_server_address.empty()) return refuse("page-server");
  return {};
}

Result<Fd> make_directory(const std::string& path) {
  auto made = sys::mkdirat(sys::kCwd, path.c_str(), 0700);
  if (!made && made.error().value != EEXIST)
    return std::unexpected(Error(made.error()).doing("make the directory ", path));
  return TRY_CTX(sys::openat(sys::kCwd, path.c_str(), O_RDONLY | O_DIRECTORY), "open ", path);
}

Result<Fd> make_file(FdRef directory, const char* name) {
  (void)sys::unlinkat(directory, name, 0);  // of a checkpoint that was killed
  return TRY_CTX(sys::openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600),
                 "make the image ", name);
}

Result<> ask_for_images(FdRef connection, FdRef state, FdRef memory) {
  TRY_CTX(control::send_control(connection, Request::kCheckpoint, 0, {},
                                {state.number(), memory.number()}),
          "ask the sandbox's kernel for a checkpoint");
  if (!sys::wait_readable(connection, kSaveTimeoutMs).value_or(false))
    return std::unexpected(Error(Errno{ETIMEDOUT}).doing("save the sandbox"));
  auto answer = TRY_CTX(control::receive_control(connection), "hear from the sandbox's kernel");
  if (answer.kind == static_cast<std::uint8_t>(Answer::kDone)) return {};
  return std::unexpected(Error::with_cause(static_cast<int>(answer.value), answer.text)
                             .doing("save the sandbox")
                             .code("checkpoint.failed"));
}

// The memory first: a state is never beside the memory of another checkpoint for longer than a
// rename takes.
Result<> publish(FdRef directory) {
  TRY_CTX(sys::renameat(directory, kNewMemory, directory, kMemory), "name the image ", kMemory);
  TRY_CTX(sys::renameat(directory, kNewState, directory, kState), "name the image ", kState);
  return {};
}

Result<> end(const plan::ProcessHandle& init) {
  TRY_CTX(sys::pidfd_send_signal(init.pidfd, SIGKILL), "end the sandbox");
  if (sys::wait_readable(init.pidfd, kEndTimeoutMs).value_or(false)) return {};
  return std::unexpected(Error(Errno{ETIMEDOUT}).doing("end the sandbox"));
}

spec::TimeOffset offset_to(std::int64_t wanted_ns, std::int64_t now_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t offset = wanted_ns - now_ns;
  std::int64_t seconds = offset / kSecond - (offset % kSecond < 0 ? 1 : 0);
  return {seconds, static_cast<std::uint32_t>(offset - seconds * kSecond)};
}

std::int64_t boottime_ns() {
  timespec now{};
  (void)::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

Result<> checkpoint_sandbox(const plan::CheckpointRequest& request) {
  const plan::CriuOptions& options = *request.options;
  TRY(check_options(options));
  Fd directory = TRY(make_directory(options.image_path));
  Fd connection = TRY_CTX(sys::connect_unix(request.control_socket, SOCK_SEQPACKET),
                          "reach the sandbox's kernel at ", request.control_socket);
  Defer unfinished([&] {
    (void)sys::unlinkat(directory, kNewState, 0);
    (void)sys::unlinkat(directory, kNewMemory, 0);
  });
  Fd state = TRY(make_file(directory, kNewState));
  Fd memory = TRY(make_file(directory, kNewMemory));
  TRY(ask_for_images(connection, state, memory));
  // It stands still as long as the connection is there, so that nothing happens that is not in the
  // images.
  TRY(publish(directory));
  if (options.leave_running) return {};
  return end(*request.init);
}

Result<OpenedImage> open_image(const plan::CriuOptions& options) {
  OpenedImage image;
  auto open = [&](const char* name) -> Result<Fd> {
    auto opened = sys::openat(sys::kCwd, cat(options.image_path, "/", name).c_str(), O_RDONLY);
    if (opened) return *std::move(opened);
    return std::unexpected(Error(opened.error())
                               .doing("open ", options.image_path, "/", name)
                               .cure("name the directory that a sandbox was saved to with "
                                     "--image-path")
                               .code("restore.images"));
  };
  image.state = TRY(open(kState));
  image.memory = TRY(open(kMemory));
  return image;
}

Result<> wait_until_restored(const std::string& control_socket) {
  Fd connection = TRY_CTX(sys::connect_unix(control_socket, SOCK_SEQPACKET),
                          "reach the sandbox's kernel at ", control_socket);
  auto asked = control::send_control(connection, Request::kReady);
  if (asked && !sys::wait_readable(connection, kRestoreTimeoutMs).value_or(false))
    return std::unexpected(Error(Errno{ETIMEDOUT}).doing("restore the sandbox"));
  auto answer = control::receive_control(connection);
  if (!answer) {
    return std::unexpected(Error::with_cause(ECHILD, "its kernel ended before it could say why")
                               .doing("restore the sandbox"));
  }
  if (answer->kind == static_cast<std::uint8_t>(Answer::kDone)) return {};
  return std::unexpected(Error::with_cause(static_cast<int>(answer->value), answer->text)
                             .doing("restore the sandbox")
                             .code("restore.failed"));
}

Result<> continue_clocks(const OpenedImage& image, plan::Plan& jail) {
  std::array<char, 64> head{};
  long got =
      TRY_CTX(sys::call_retry(SYS_pread64, image.state.number(), head.data(), head.size(), 0),
              "read the image ", kState);
  auto clocks = TRY(state::clocks_of({head.data(), static_cast<std::size_t>(got)}));
  if (!sys::faccessat(sys::kCwd, "/proc/self/timens_offsets", F_OK)) {
    return std::unexpected(Error::with_cause(ENOTSUP, "this kernel has no time namespaces")
                               .doing("let the clocks go on from where they stood")
                               .cure("restore on Linux 5.6 or newer")
                               .code("restore.machine"));
  }
  auto& step = jail.namespaces.steps[static_cast<std::size_t>(spec::NamespaceKind::kTime)];
  step.action = plan::NamespaceAction::kNew;
  step.path.clear();
  jail.namespaces.time_offsets["monotonic"] = offset_to(clocks.monotonic_ns, monotonic_ns());
  jail.namespaces.time_offsets["boottime"] = offset_to(clocks.boottime_ns, boottime_ns());
  return {};
}

}  // namespace caisson::sandbox::boot
