// How the OCI writer writes values; for the files oci_writer*.cc only. A structure T is written by
// `void write_value(JsonWriter&, const T&)` of this namespace, found by its arguments.
#pragma once

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"
#include "spec/container_spec.h"

namespace caisson::spec {

using formats::JsonWriter;

template <typename T>
  requires std::integral<T> || std::convertible_to<T, std::string_view>
void write_value(JsonWriter& json, const T& value) {
  json.value(value);
}

template <typename T>
void write_value(JsonWriter& json, const std::vector<T>& values);

template <typename T>
void write_value(JsonWriter& json, const std::map<std::string, T>& values) {
  json.begin_object();
  for (const auto& [name, value] : values) {
    json.key(name);
    write_value(json, value);
  }
  json.end_object();
}

template <typename T>
void write_value(JsonWriter& json, const std::vector<T>& values) {
  json.begin_array();
  for (const auto& value : values) write_value(json, value);
  json.end_array();
}

// Writes a member.
template <typename T>
void put(JsonWriter& json, std::string_view name, const T& value) {
  json.key(name);
  write_value(json, value);
}

template <typename T>
void put(JsonWriter& json, std::string_view name, const std::optional<T>& value) {
  if (value) put(json, name, *value);
}

// Writes a member whose absence means the same as its default.
template <typename T>
void put_unless_default(JsonWriter& json, std::string_view name, const T& value) {
  if (value != T{}) put(json, name, value);
}

void write_value(JsonWriter& json, const IdMapping& mapping);
void write_value(JsonWriter& json, const Linux& part);
void write_value(JsonWriter& json, const Resources& resources);
void write_value(JsonWriter& json, const Seccomp& seccomp);

}  // namespace caisson::spec
