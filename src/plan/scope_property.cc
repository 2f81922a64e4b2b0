// Properties of a unit from annotations: the part of GVariant's text format that properties need.

#include "base/text.h"
#include "plan/passes.h"
#include "plan/scope.h"

namespace caisson::plan {
namespace {

constexpr std::string_view kAnnotation = "annotations.org.systemd.property.";

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(trim(text)) {}

  // One whole value, into type and value of `out`.
  bool parse(ScopeProperty& out) {
    std::string_view type = type_prefix();
    return value(type, out) && trim(rest_).empty();
  }

 private:
  // "uint64 " or "@t " gives "t"; nothing gives "".
  std::string_view type_prefix() {
    constexpr std::pair<std::string_view, std::string_view> kWords[] = {
        {"boolean", "b"}, {"byte", "y"},   {"int32", "i"},  {"uint32", "u"},
        {"int64", "x"},   {"uint64", "t"}, {"string", "s"},
    };
    for (auto [word, type] : kWords) {
      if (rest_.starts_with(word) && rest_.size() > word.size() && rest_[word.size()] == ' ') {
        rest_ = trim(rest_.substr(word.size()));
        return type;
      }
    }
    if (!rest_.starts_with('@')) return {};
    const std::size_t end = std::min(rest_.find(' '), rest_.size());
    std::string_view type = rest_.substr(1, end - 1);
    rest_ = trim(rest_.substr(end));
    return type;
  }

  bool value(std::string_view type, ScopeProperty& out) {
    if (rest_.empty()) return false;
    if (rest_.front() == '[') return list(type, out);
    if (rest_.front() == '\'' || rest_.front() == '"') {
      out.type = "s";
      return (type.empty() || type == "s") && quoted_text(out.text);
    }
    const std::size_t end = std::min(rest_.find_first_of(" ,]"), rest_.size());
    std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (word == "true" || word == "false") {
      out.type = "b";
      out.number = word == "true" ? 1 : 0;
      return type.empty() || type == "b";
    }
    return number(word, type.empty() ? "i" : type, out);
  }

  static bool number(std::string_view word, std::string_view type, ScopeProperty& out) {
    const bool hexadecimal = word.starts_with("0x");
    out.type = type;
    if (hexadecimal) word.remove_prefix(2);
    const int base = hexadecimal ? 16 : 10;
    if (type == "i" || type == "x") {
      auto value = parse_number<std::int64_t>(word, base);
      if (!value || (type == "i" && *value != static_cast<std::int32_t>(*value))) return false;
      out.number = static_cast<std::uint64_t>(*value);
      return true;
    }
    auto value = parse_number<std::uint64_t>(word, base);
    const std::uint64_t most = type == "t" ? ~std::uint64_t{0} : type == "u" ? 0xffff'ffff : 0xff;
    if (!value || *value > most || (type != "t" && type != "u" && type != "y")) return false;
    out.number = *value;
    return true;
  }

  bool list(std::string_view type, ScopeProperty& out) {
    if (!type.empty() && type != "as" && type != "ay") return false;
    rest_.remove_prefix(1);
    out.type = type.empty() ? "as" : type;
    for (bool first = true;; first = false) {
      rest_ = trim(rest_);
      if (rest_.starts_with(']')) break;
      if (!first) {
        if (!rest_.starts_with(',')) return false;
        rest_ = trim(rest_.substr(1));
      }
      std::string_view element = type_prefix();
      if (first && type.empty() && element == "y") out.type = "ay";
      if (!item(out)) return false;
    }
    rest_.remove_prefix(1);
    // Without an element nothing tells the type.
    return !type.empty() || !out.texts.empty() || !out.text.empty();
  }

  bool item(ScopeProperty& out) {
    ScopeProperty one;
    if (!value(out.type == "ay" ? "y" : "s", one)) return false;
    if (out.type == "ay") {
      out.text.push_back(static_cast<char>(static_cast<std::uint8_t>(one.number)));
    } else {
      out.texts.push_back(std::move(one.text));
    }
    return true;
  }

  bool quoted_text(std::string& out) {
    const char quote = rest_.front();
    std::size_t at = 1;
    for (; at < rest_.size() && rest_[at] != quote; ++at) {
      if (rest_[at] == '\\' && at + 1 < rest_.size()) ++at;
      out.push_back(rest_[at]);
    }
    if (at >= rest_.size()) return false;
    rest_.remove_prefix(at + 1);
    return true;
  }

  std::string_view rest_;
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_number_type(std::string_view type) {
  return type == "i" || type == "u" || type == "x" || type == "t";
}

// "TimeoutStopSec" is what unit files say; on the bus it is TimeoutStopUSec, in microseconds.
bool seconds_to_microseconds(ScopeProperty& property) {
  constexpr std::string_view kSeconds = "Sec";
  std::string& name = property.name;
  const bool seconds = name.ends_with(kSeconds) && name.size() > kSeconds.size() &&
                       name[name.size() - 4] >= 'a' && name[name.size() - 4] <= 'z';
  if (!seconds) return true;
  constexpr std::uint64_t kFactor = 1'000'000;
  if (!is_number_type(property.type) || property.number > ~std::uint64_t{0} / kFactor) return false;
  name.insert(name.size() - kSeconds.size(), "U");
  property.type = "t";
  property.number *= kFactor;
  return true;
}

}  // namespace

Result<ScopeProperty> parse_scope_property(std::string_view name, std::string_view value) {
  ScopeProperty property;
  property.name = name;
  property.required = true;
  bool good = name.size() >= 2 && name.front() >= 'A' && name.front() <= 'Z';
  for (char c : name) good &= is_letter(c);
  if (!good) {
    return std::unexpected(invalid(cat(quoted(name), " is not the name of a property of a unit"))
                               .where(kAnnotation, name)
                               .cure("Names are on the bus as in systemd.resource-control(5)."));
  }
  if (!Parser(value).parse(property) || !seconds_to_microseconds(property)) {
    return std::unexpected(
        invalid(cat(quoted(value), " is not a value in GVariant's text format that we know"))
            .where(kAnnotation, name)
            .cure("Write true, 'text', uint64 5, or ['a', 'b']."));
  }
  return property;
}

std::optional<std::string> cpu_set_mask(std::string_view list) {
  constexpr std::uint32_t kMost = 8192;
  std::string mask;
  for (std::string_view part : split(trim(list), ',')) {
    auto [first_text, last_text] = split_once(trim(part), '-');
    auto first = parse_number<std::uint32_t>(first_text);
    auto last = last_text.empty() ? first : parse_number<std::uint32_t>(last_text);
    if (!first || !last || *first > *last || *last >= kMost) return std::nullopt;
    if (mask.size() < *last / 8 + 1) mask.resize(*last / 8 + 1);
    for (std::uint32_t cpu = *first; cpu <= *last; ++cpu) {
      const int byte = static_cast<unsigned char>(mask[cpu / 8]) | 1 << (cpu % 8);
      mask[cpu / 8] = static_cast<char>(byte);
    }
  }
  return mask;
}

}  // namespace caisson::plan
