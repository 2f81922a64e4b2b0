// Command-line words to options and operands, driven by constant tables. Knows no command.
//
// Accepted forms: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, -n=VALUE, bundles of switches
// (-it), switches with a value (--tty=false), "--" before operands, and for the engines' face long
// names behind a single dash (-bundle DIR). A word like "-9" is an operand.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace caisson::cli {

struct OptionSpec {
  std::string_view name;        // without dashes
  char letter = 0;              // 0: none
  std::string_view value;       // what help calls the value; empty: a switch
  std::string_view help;        // empty: accepted, but shown nowhere
  bool value_optional = false;  // a value only by --name=VALUE, else ""
  bool is_switch() const { return value.empty(); }
};

using OptionTable = std::span<const OptionSpec>;

// Whose sentences an error about the command line uses: callers of other runtimes know theirs.
enum class Wording {
  kOurs,  // unknown option --memroy
  kGo,    // flag provided but not defined: -memroy
  kArgp,  // crun: unrecognized option '--memroy'
};

struct Grammar {
  std::string_view command;           // as in messages: "caisson run"
  std::array<OptionTable, 3> tables;  // looked up in this order
  int raw_after = -1;  // after so many operands every further word is an operand; -1: never
  bool single_dash_long = false;
  Wording wording = Wording::kOurs;
};

class Arguments {
 public:
  // The last value given, or none.
  std::optional<std::string_view> value(std::string_view name) const;
  std::string_view value_or(std::string_view name, std::string_view fallback) const {
    return value(name).value_or(fallback);
  }
  // Every value, in order.
  std::vector<std::string_view> all(std::string_view name) const;
  bool has(std::string_view name) const { return value(name).has_value(); }
  // A switch: given, and the last time not as --name=false.
  bool flag(std::string_view name) const;
  const std::vector<std::string_view>& operands() const { return operands_; }
  // --help or -h was given; parsing stopped there.
  bool wants_help() const { return wants_help_; }

 private:
  friend class ArgumentParser;
  struct Given {
    const OptionSpec* option;
    std::string_view value;
  };
  std::vector<Given> given_;
  std::vector<std::string_view> operands_;
  bool wants_help_ = false;
};

// `words` excludes the program's and the command's name. They must outlive the result.
Result<Arguments> parse_arguments(const Grammar& grammar, std::span<const std::string_view> words);

// The reading of a switch's value ("true", "false", "1", "0"), none when it is something else.
std::optional<bool> parse_switch(std::string_view text);

// An error about the command line itself; exit status and help hint follow from its code.
Error usage_error(std::string_view command, std::string cause);
inline constexpr std::string_view kUsageCode = "cli.usage";

}  // namespace caisson::cli
