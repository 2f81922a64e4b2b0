#include "cli/args.h"

#include <algorithm>

namespace caisson::cli {

std::optional<bool> parse_switch(std::string_view text) {
  for (std::string_view yes : {"true", "1", "t", "yes", "on", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"false", "0", "f", "no", "off", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

Error usage_error(std::string_view command, std::string cause) {
  return Error::invalid(std::move(cause))
      .code(kUsageCode)
      .doing(command)
      .cure("see \"", command, " --help\"");
}

std::optional<std::string_view> Arguments::value(std::string_view name) const {
  for (auto given = given_.rbegin(); given != given_.rend(); ++given) {
    if (given->option->name == name) return given->value;
  }
  return std::nullopt;
}

std::vector<std::string_view> Arguments::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& given : given_) {
    if (given.option->name == name) values.push_back(given.value);
  }
  return values;
}

bool Arguments::flag(std::string_view name) const {
  auto text = value(name);
  return text && parse_switch(*text).value_or(false);
}

class ArgumentParser {
 public:
  ArgumentParser(const Grammar& grammar, std::span<const std::string_view> words)
      : grammar_(grammar), words_(words) {}

  Result<Arguments> parse() {
    while (at_ < words_.size() && !out_.wants_help_) {
      std::string_view word = words_[at_++];
      if (word == "--") {
        take_rest();
      } else if (is_option(word)) {
        TRY(take_option(word));
      } else {
        out_.operands_.push_back(word);
        if (grammar_.raw_after >= 0 && count() > grammar_.raw_after) take_rest();
        if (count() == grammar_.raw_after) take_rest_after_separator();
      }
    }
    return std::move(out_);
  }

 private:
  int count() const { return static_cast<int>(out_.operands_.size()); }

  static bool is_option(std::string_view word) {
    return word.size() > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9');
  }

  void take_rest() {
    for (; at_ < words_.size(); ++at_) out_.operands_.push_back(words_[at_]);
  }

  // The words after the last fixed operand are the program's own; one "--" between is ours.
  void take_rest_after_separator() {
    if (at_ < words_.size() && words_[at_] == "--") ++at_;
    take_rest();
  }

  template <typename Predicate>
  const OptionSpec* find(Predicate matches) const {
    for (auto table : grammar_.tables) {
      auto found = std::find_if(table.begin(), table.end(), matches);
      if (found != table.end()) return &*found;
    }
    return nullptr;
  }
  const OptionSpec* find_name(std::string_view name) const {
    return find([&](const OptionSpec& option) { return option.name == name; });
  }
  const OptionSpec* find_letter(char letter) const {
    return find([&](const OptionSpec& option) { return option.letter == letter; });
  }

  Result<> take_option(std::string_view word) {
    bool two_dashes = word.starts_with("--");
    auto [name, value] = split_once(word.substr(two_dashes ? 2 : 1), '=');
    bool has_value = word.find('=') != std::string_view::npos;
    const OptionSpec* option =
        two_dashes || (grammar_.single_dash_long && name.size() > 1) ? find_name(name) : nullptr;
    if (option != nullptr) return take_long(*option, has_value, value);
    if (two_dashes && name == "help") return want_help();
    if (two_dashes) return std::unexpected(unknown(word.substr(0, name.size() + 2), name));
    if (grammar_.single_dash_long && name == "help") return want_help();
    return take_letters(word);
  }

  Result<> want_help() {
    out_.wants_help_ = true;
    return {};
  }

  Result<> take_long(const OptionSpec& option, bool has_value, std::string_view value) {
    if (option.is_switch()) return take_switch(option, has_value ? value : "true");
    if (!has_value && !option.value_optional) {
      if (at_ == words_.size()) return std::unexpected(needs_value(option));
      value = words_[at_++];
    }
    out_.given_.push_back({&option, value});
    return {};
  }

  Result<> take_switch(const OptionSpec& option, std::string_view value) {
    if (!parse_switch(value)) {
      return std::unexpected(no_switch(option, value));
    }
    out_.given_.push_back({&option, value});
    return {};
  }

  // "-it", "-eNAME=value", "-w=/tmp": switches, then at most one option with a value.
  Result<> take_letters(std::string_view word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const OptionSpec* option = find_letter(word[i]);
      std::string_view rest = word.substr(i + 1);
      if (option == nullptr) {
        if (word[i] == 'h' || word[i] == '?') return want_help();
        return std::unexpected(i == 1 ? unknown(word, word.substr(1))
                                      : unknown(cat('-', word[i], " in ", word), ""));
      }
      if (option->is_switch() && !rest.starts_with('=')) {
        out_.given_.push_back({option, "true"});
        continue;
      }
      if (rest.starts_with('=')) return take_long(*option, true, rest.substr(1));
      return take_long(*option, !rest.empty(), rest);
    }
    return {};
  }

  // Go's and crun's sentences stand alone: those who match them compare the whole text.
  Error as_known(std::string cause) const {
    return Error::invalid(std::move(cause)).code(kUsageCode);
  }
  std::string program() const { return std::string(split_once(grammar_.command, ' ').first); }

  Error no_switch(const OptionSpec& option, std::string_view value) const {
    switch (grammar_.wording) {
      case Wording::kGo:
        return as_known(
            cat("invalid boolean value ", quoted(value), " for -", option.name, ": parse error"));
      case Wording::kArgp:
        return as_known(cat(program(), ": option '--", option.name, "' doesn't allow an argument"));
      case Wording::kOurs: break;
    }
    return usage_error(grammar_.command, cat("--", option.name, " is a switch: ", quoted(value),
                                             " is neither true nor false"));
  }

  Error needs_value(const OptionSpec& option) const {
    switch (grammar_.wording) {
      case Wording::kGo: return as_known(cat("flag needs an argument: -", option.name));
      case Wording::kArgp:
        return as_known(cat(program(), ": option '--", option.name, "' requires an argument"));
      case Wording::kOurs: break;
    }
    return usage_error(grammar_.command, cat("--", option.name, " needs a value: ", option.value));
  }

  Error unknown(std::string_view shown, std::string_view name) const {
    std::string_view bare = shown.substr(std::min(shown.find_first_not_of('-'), shown.size()));
    switch (grammar_.wording) {
      case Wording::kGo: return as_known(cat("flag provided but not defined: -", bare));
      case Wording::kArgp: return as_known(cat(program(), ": unrecognized option '", shown, "'"));
      case Wording::kOurs: break;
    }
    std::vector<std::string_view> candidates;
    for (auto table : grammar_.tables) {
      for (const auto& option : table) {
        if (!option.help.empty()) candidates.push_back(option.name);
      }
    }
    auto near = nearest(name, candidates);
    Error error = Error::invalid(cat("unknown option ", shown)).code(kUsageCode);
    std::string hint = near.empty() ? std::string() : cat("did you mean --", near, "? ");
    return std::move(error)
        .doing(grammar_.command)
        .cure(hint, "see \"", grammar_.command, " --help\"");
  }

  const Grammar& grammar_;
  std::span<const std::string_view> words_;
  std::size_t at_ = 0;
  Arguments out_;
};

Result<Arguments> parse_arguments(const Grammar& grammar, std::span<const std::string_view> words) {
  return ArgumentParser(grammar, words).parse();
}

}  // namespace caisson::cli
