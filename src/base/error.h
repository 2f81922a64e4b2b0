// Errno (4 bytes) and Error (what failed, on what, why, and what to do about it).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/text.h"

namespace caisson {

// A positive errno value (errno(3)).
struct [[nodiscard]] Errno {
  int value = 0;
  friend bool operator==(Errno, Errno) = default;
};

// "ENOENT" for 2; "E999" for a number without a name. Static storage for known numbers.
std::string_view errno_name(int value);
// "No such file or directory" for 2, independent of the locale. Static storage.
std::string_view errno_text(int value);

// A failure as a person reads it. The parts, all optional but `cause` or `errno_value`:
//   code   stable machine name of the kind of failure: "spec.invalid", "name.taken"
//   step   the named step of a sequence that failed: "mounts", "cgroup"
//   doing  the operation and its object: "mount tmpfs on /dev/shm"; outer contexts come first
//   cause  why; the text of the errno when empty
//   cure   what to do about it, an imperative sentence
//   where  place in the input: "config.json:12:8 process.args[0]"
// Empty errors are not valid; an Error is always made from one of the factories.
class [[nodiscard]] Error {
 public:
  // Implicit on purpose: TRY turns the light error into the heavy one.
  Error(Errno errno_value);  // NOLINT(google-explicit-constructor)

  // The input is wrong in itself: `cause` says how. errno is EINVAL.
  static Error invalid(std::string cause) { return with_cause(22, std::move(cause)); }
  static Error with_cause(int errno_value, std::string cause);

  // Adds an outer context; parts are joined without separators.
  template <typename... Parts>
  Error doing(const Parts&... parts) && {
    add_context(cat(parts...));
    return std::move(*this);
  }
  template <typename... Parts>
  Error cure(const Parts&... parts) && {
    info_->cure = cat(parts...);
    return std::move(*this);
  }
  template <typename... Parts>
  Error where(const Parts&... parts) && {
    info_->where = cat(parts...);
    return std::move(*this);
  }
  Error code(std::string_view code) &&;
  // Names the step; the innermost step stays.
  Error step(std::string_view step) &&;

  int errno_value() const { return info_->errno_value; }
  bool is(int errno_value) const { return info_->errno_value == errno_value; }
  const std::string& code() const { return info_->code; }
  const std::string& step() const { return info_->step; }
  const std::string& doing() const { return info_->doing; }
  const std::string& where() const { return info_->where; }
  const std::string& cure() const { return info_->cure; }
  std::string cause() const;

  // One line: "step: doing: where: cause", absent parts left out.
  std::string message() const;

 private:
  struct Info {
    int errno_value = 0;
    std::string code, step, doing, where, cause, cure;
  };
  Error() = default;
  void add_context(std::string context);
  std::unique_ptr<Info> info_;
};

}  // namespace caisson
