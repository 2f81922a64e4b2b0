#include "plan/capabilities.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "spec/default_spec.h"

namespace caisson::plan {
namespace {

// The table of names is spec's: the position is the number.
constexpr int kLast = spec::kLastCapability;

std::uint64_t bit(int number) { return std::uint64_t{1} << number; }

// Reads the five sets and keeps what is to be said about them together: a name that is refused is
// refused in every set, and one line is enough.
class SetReader {
 public:
  explicit SetReader(std::uint64_t grantable) : grantable_(grantable) {}

  std::uint64_t read(const Strings& names) {
    std::uint64_t set = 0;
    for (const std::string& name : names) {
      auto number = capability_number(name);
      if (!number) {
        note(unknown_, name);
      } else if ((grantable_ & bit(*number)) == 0) {
        note(refused_, name);
      } else {
        set |= bit(*number);
      }
    }
    return set;
  }

  void report(Strings& notices) const {
    if (!unknown_.empty()) {
      notices.push_back(
          cat("process.capabilities: unknown here, not given: ", join(unknown_, ", ")));
    }
    if (!refused_.empty()) {
      notices.push_back(cat("process.capabilities: not ours to give: ", join(refused_, ", ")));
    }
  }

 private:
  static void note(Strings& list, const std::string& name) {
    if (std::ranges::find(list, name) == list.end()) list.push_back(name);
  }

  std::uint64_t grantable_;
  Strings unknown_, refused_;
};

void restrict_set(std::uint64_t& set, std::uint64_t allowed, std::string_view what,
                  std::string_view why, Strings& notices) {
  if (std::uint64_t lost = set & ~allowed; lost != 0) {
    notices.push_back(
        cat("process.capabilities.", what, ": ", capability_names(lost), " left out: ", why));
  }
  set &= allowed;
}

}  // namespace

std::optional<int> capability_number(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  if (!upper.starts_with("CAP_")) upper.insert(0, "CAP_");
  auto found = std::ranges::find(spec::capability_names(), std::string_view(upper));
  if (found == spec::capability_names().end()) return std::nullopt;
  return static_cast<int>(found - spec::capability_names().begin());
}

std::string_view capability_name(int number) {
  if (number < 0 || number > kLast) return {};
  return spec::capability_names()[static_cast<std::size_t>(number)];
}

std::string capability_names(std::uint64_t set) {
  if (set == all_capabilities(kLast)) return "all";
  Strings names;
  for (int number = 0; number < 64; ++number) {
    if ((set & bit(number)) == 0) continue;
    names.push_back(number <= kLast ? std::string(capability_name(number)) : cat("CAP_", number));
  }
  return join(names, ",");
}

Strings known_capabilities(int last) {
  auto count = std::clamp(last, -1, kLast) + 1;
  return {spec::capability_names().begin(), spec::capability_names().begin() + count};
}

std::uint64_t all_capabilities(int last) {
  last = std::clamp(last, -1, 63);
  return last == 63 ? ~std::uint64_t{0} : bit(last + 1) - 1;
}

CapabilityPlan plan_capabilities(const spec::Capabilities* wanted, std::uint64_t grantable,
                                 Strings& notices) {
  // Without the field a process has none at all: the specification leaves it open, and this is what
  // callers rely on with runc.
  CapabilityPlan plan;
  plan.apply = true;
  if (wanted == nullptr) return plan;
  SetReader reader(grantable);
  plan.bounding = reader.read(wanted->bounding);
  plan.effective = reader.read(wanted->effective);
  plan.inheritable = reader.read(wanted->inheritable);
  plan.permitted = reader.read(wanted->permitted);
  plan.ambient = reader.read(wanted->ambient);
  reader.report(notices);
  // The kernel refuses the whole of capset(2) or prctl(2) for one bit out of place
  // (capabilities(7)).
  restrict_set(plan.effective, plan.permitted, "effective", "not permitted", notices);
  restrict_set(plan.inheritable, plan.bounding, "inheritable", "not in the bounding set", notices);
  std::uint64_t raisable = plan.permitted & plan.inheritable;
  // Engines leave the inheritable set empty (CVE-2022-29162) and fill the ambient one all the same.
  std::uint64_t lost = plan.ambient & ~raisable;
  if (lost != 0 && !wanted->inheritable.empty()) {
    notices.push_back(cat("process.capabilities.ambient: can't raise ambient capability ",
                          capability_names(lost), ": not both permitted and inheritable"));
  }
  plan.ambient &= raisable;
  return plan;
}

}  // namespace caisson::plan
