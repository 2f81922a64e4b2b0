// How the OCI reader fills structures: a table of fields per JSON object, and readers for the kinds
// of values that fields have. For the files oci_*.cc only.
//
// A structure T is read by `Result<> read_value(JsonReader&, T&)`. It is found by its arguments, so
// it stands in this namespace itself, static where only one file needs it; optionals, vectors and
// maps of T then work by themselves. A null member is the same as an absent one; of duplicate
// members the last counts.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/json.h"
#include "spec/container_spec.h"

namespace caisson::spec {

using formats::JsonReader;
using Words = std::initializer_list<std::string_view>;

// --- values

inline Result<> read_value(JsonReader& json, bool& out) {
  out = TRY(json.read_bool());
  return {};
}

template <std::integral Int>
Result<> read_value(JsonReader& json, Int& out) {
  out = TRY(json.read_int<Int>());
  return {};
}

// Text that ends up in system calls: no NUL character.
Result<> read_value(JsonReader& json, std::string& out);

template <typename T>
Result<> read_value(JsonReader& json, std::optional<T>& out);
template <typename T>
Result<> read_value(JsonReader& json, std::vector<T>& out);
template <typename T>
Result<> read_value(JsonReader& json, std::map<std::string, T>& out);

template <typename T>
Result<> read_value(JsonReader& json, std::optional<T>& out) {
  return read_value(json, out.emplace());
}

template <typename T>
Result<> read_value(JsonReader& json, std::vector<T>& out) {
  out.clear();
  TRY(json.enter_array());
  while (TRY(json.next_element())) TRY(read_value(json, out.emplace_back()));
  return {};
}

// The key of a map as text; refuses what read_value refuses.
Result<std::string> map_key(JsonReader& json, std::string_view key);

template <typename T>
Result<> read_value(JsonReader& json, std::map<std::string, T>& out) {
  out.clear();
  TRY(json.enter_object());
  while (auto key = TRY(json.next_key())) {
    auto name = TRY(map_key(json, *key));
    if (TRY(json.skip_null())) continue;
    TRY(read_value(json, out[std::move(name)] = T{}));
  }
  return {};
}

// --- words

// Reads one of `allowed`; `what` names it in the error: "namespace type".
Result<> read_word(JsonReader& json, std::string& out, std::string_view what, Words allowed);
Result<> read_words(JsonReader& json, Strings& out, std::string_view what, Words allowed);
// Checks a word that was read last.
Result<> check_word(const JsonReader& json, std::string_view word, std::string_view what,
                    Words allowed);

// "NAME=value" entries.
Result<> read_environment(JsonReader& json, Strings& out);

// A list of processors or memory nodes as the kernel takes it: "0-3,7", "0-31:2/4", "all".
Result<> read_number_list(JsonReader& json, std::string& out);

// An integer within bounds that are narrower than its type.
template <std::integral Int>
Result<> read_within(JsonReader& json, Int& out, Int min, Int max) {
  out = TRY(json.read_int<Int>(min, max));
  return {};
}

template <std::integral Int>
Result<> read_within(JsonReader& json, std::optional<Int>& out, Int min, Int max) {
  out = TRY(json.read_int<Int>(min, max));
  return {};
}

// --- objects

template <typename T>
struct Field {
  std::string_view name;
  Result<> (*read)(JsonReader&, T&);
  bool required = false;
};

template <typename T, typename M>
T owner_of(M T::*);

// The plain field: the member is read by read_value.
template <auto member>
constexpr auto field(std::string_view name) {
  using T = decltype(owner_of(member));
  return Field<T>{name, [](JsonReader& json, T& out) { return read_value(json, out.*member); }};
}

template <auto member>
constexpr auto required_field(std::string_view name) {
  auto result = field<member>(name);
  result.required = true;
  return result;
}

inline Error missing_field(const JsonReader& json, std::string_view name) {
  return json.error(cat("the field ", quoted(name), " is missing"));
}

// The same but for the case of ASCII letters.
bool same_letters(std::string_view a, std::string_view b);

// The field of a member whose name is spelled in other cases ("CPU", "pagesize"): configurations in
// the field have such names, since the programs that they were tried with take them. Only for names
// that no field has exactly, and while the right name was not there.
template <typename T, std::size_t count>
std::size_t misspelled_field(std::string_view name, const Field<T> (&fields)[count]) {
  for (std::size_t i = 0; i < count; ++i) {
    if (same_letters(fields[i].name, name)) return i;
  }
  return count;
}

// Reads an object by its table (at most 64 fields). Unknown members are skipped.
template <typename T, std::size_t count>
Result<> read_fields(JsonReader& json, T& out, const Field<T> (&fields)[count]) {
  static_assert(count <= 64);
  std::uint64_t seen = 0;
  std::size_t next = 0;  // members mostly come in the order of the table
  TRY(json.enter_object());
  while (auto key = TRY(json.next_key())) {
    std::size_t tried = 0;
    while (tried < count && fields[next].name != *key) {
      next = next + 1 == count ? 0 : next + 1;
      ++tried;
    }
    const std::size_t misspelled = tried == count ? misspelled_field(*key, fields) : count;
    if (misspelled < count && (seen >> misspelled & 1) == 0) {
      next = misspelled;
      tried = 0;
    }
    if (tried == count) {
      TRY(json.skip_value());
    } else if (!TRY(json.skip_null())) {
      seen |= std::uint64_t{1} << next;
      TRY(fields[next].read(json, out));
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (fields[i].required && (seen >> i & 1) == 0) {
      return std::unexpected(missing_field(json, fields[i].name));
    }
  }
  return {};
}

// --- structures that several files read

Result<> read_value(JsonReader& json, IdMapping& out);
Result<> read_value(JsonReader& json, Process& out);
Result<> read_value(JsonReader& json, Mount& out);
Result<> read_value(JsonReader& json, Hooks& out);
Result<> read_value(JsonReader& json, Linux& out);
Result<> read_value(JsonReader& json, Resources& out);
Result<> read_value(JsonReader& json, Seccomp& out);

}  // namespace caisson::spec
