// The words with which the executor starts the kernel process, both ways.
#include "sandbox/boot/inherited.h"

#include <sys/ioctl.h>

#include <cerrno>
#include <charconv>

#include "base/text.h"
#include "gofer/start.h"
#include "plan/wire.h"
#include "sandbox/boot/descriptors.h"
#include "sys/file.h"
#include "sys/process.h"

namespace caisson::sandbox::boot {
namespace {

constexpr std::string_view kPlan = "plan=", kControl = "control=", kStrace = "strace=",
                           kNotes = "notes=", kState = "state=", kMemory = "memory=",
                           kPlace = "place=";

std::string word(std::string_view name, int number) { return cat(name, number); }

Fd take(int number) {
  if (number >= 0) (void)sys::set_cloexec(FdRef(number), true);
  return Fd(number);
}

}  // namespace

std::vector<std::string> to_arguments(std::string_view name, const KernelDescriptors& numbers) {
  std::vector<std::string> words = {std::string(name), word(kPlan, numbers.plan),
                                    word(kControl, numbers.control), word(kStrace, numbers.strace),
                                    word(kNotes, numbers.notes)};
  if (numbers.state >= 0) words.push_back(word(kState, numbers.state));
  if (numbers.memory >= 0) words.push_back(word(kMemory, numbers.memory));
  for (int place : numbers.places) words.push_back(word(kPlace, place));
  return words;
}

Result<KernelDescriptors> from_arguments(const std::vector<std::string_view>& words) {
  KernelDescriptors numbers;
  for (std::size_t i = 1; i < words.size(); ++i) {
    auto [name, value] = split_once(words[i], '=');
    auto number = parse_number<int>(value);
    auto is = [&](std::string_view key) { return key.substr(0, key.size() - 1) == name; };
    if (number && is(kPlan)) {
      numbers.plan = *number;
    } else if (number && is(kControl)) {
      numbers.control = *number;
    } else if (number && is(kStrace)) {
      numbers.strace = *number;
    } else if (number && is(kNotes)) {
      numbers.notes = *number;
    } else if (number && is(kState)) {
      numbers.state = *number;
    } else if (number && is(kMemory)) {
      numbers.memory = *number;
    } else if (number && is(kPlace)) {
      numbers.places.push_back(*number);
    } else {
      return std::unexpected(Error::invalid(cat(quoted(words[i]), " is not an argument of it"))
                                 .doing("start the sandbox's kernel"));
    }
  }
  bool restores_all = (numbers.state >= 0) == (numbers.memory >= 0);
  if (numbers.plan >= 0 && numbers.control >= 0 && restores_all) return numbers;
  return std::unexpected(
      Error::invalid("it is started by caisson, not by hand").doing("start the sandbox's kernel"));
}

Result<Inherited> take_inherited(const std::vector<std::string_view>& words) {
  KernelDescriptors numbers = TRY(from_arguments(words));
  Inherited inherited;
  Fd file = take(numbers.plan);
  std::string bytes = TRY_CTX(sys::read_all(file), "read the plan");
  TRY(plan::decode(bytes, inherited.plan));
  if (!inherited.plan.sandbox || inherited.plan.process.args.empty())
    return std::unexpected(Error::invalid("is not one of a sandbox").doing("read the plan"));
  inherited.control = take(numbers.control);
  inherited.strace = take(numbers.strace);
  inherited.notes = take(numbers.notes);
  inherited.state = take(numbers.state);
  inherited.memory = take(numbers.memory);
  for (int number : numbers.places) inherited.places.push_back(take(number));
  return inherited;
}

Result<Fd> start_gofer(const plan::Plan& plan, const std::vector<Fd>& places) {
  std::vector<gofer::Mount> mounts;
  auto described = host_places(plan);
  for (std::size_t i = 0; i < places.size() && i < described.size(); ++i) {
    if (!places[i]) continue;
    gofer::Mount mount;
    mount.root = TRY_CTX(sys::dup_cloexec(places[i]), "give the gofer ", described[i].path);
    mount.readonly = !described[i].writable;
    mounts.push_back(std::move(mount));
  }
  auto started = gofer::start(std::move(mounts));
  if (!started && started.error().is(EPERM)) return Fd();
  if (!started) return std::unexpected(std::move(started).error());
  return std::move(started->socket);
}

void take_terminal(const plan::ProcessPlan& process) {
  if (!process.terminal) return;
  (void)sys::setsid();
  (void)sys::call_void(SYS_ioctl, 0, TIOCSCTTY, 0);
}

int status_of(const Error& error) {
  constexpr int kCouldNotStart = 125, kNotExecutable = 126, kMissing = 127;
  if (error.step() != "exec") return kCouldNotStart;
  return error.is(ENOENT) ? kMissing : kNotExecutable;
}

std::string report_of(const Error& error) {
  std::string text = cat("caisson: ", error.message(), "\n");
  if (!error.cure().empty()) append(text, "  cure: ", error.cure(), "\n");
  return text;
}

}  // namespace caisson::sandbox::boot
