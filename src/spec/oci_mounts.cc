// The "mounts" and "hooks" of an OCI config.
#include "spec/oci_fields.h"

namespace caisson::spec {

static Result<> read_destination(JsonReader& json, Mount& out) {
  TRY(read_value(json, out.destination));
  if (out.destination.empty()) {
    return std::unexpected(json.error("the destination of a mount is empty"));
  }
  return {};
}

static Result<> read_hook_path(JsonReader& json, Hook& out) {
  TRY(read_value(json, out.path));
  if (!out.path.starts_with('/')) {
    return std::unexpected(
        json.error(cat("the path of a hook must be absolute, found ", quoted(out.path))));
  }
  return {};
}

static Result<> read_timeout(JsonReader& json, Hook& out) {
  return read_within(json, out.timeout, 1, std::numeric_limits<int>::max());
}

static Result<> read_value(JsonReader& json, Hook& out) {
  static constexpr Field<Hook> kFields[] = {
      {"path", read_hook_path, true},
      field<&Hook::args>("args"),
      {"env", [](JsonReader& j, Hook& h) { return read_environment(j, h.env.emplace()); }},
      {"timeout", read_timeout},
  };
  out = {};
  return read_fields(json, out, kFields);
}

Result<> read_value(JsonReader& json, IdMapping& out) {
  static constexpr Field<IdMapping> kFields[] = {
      required_field<&IdMapping::container_id>("containerID"),
      required_field<&IdMapping::host_id>("hostID"),
      required_field<&IdMapping::size>("size"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

Result<> read_value(JsonReader& json, Mount& out) {
  static constexpr Field<Mount> kFields[] = {
      {"destination", read_destination, true},
      field<&Mount::type>("type"),
      field<&Mount::source>("source"),
      field<&Mount::options>("options"),
      field<&Mount::uid_mappings>("uidMappings"),
      field<&Mount::gid_mappings>("gidMappings"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

Result<> read_value(JsonReader& json, Hooks& out) {
  static constexpr Field<Hooks> kFields[] = {
      field<&Hooks::prestart>("prestart"),
      field<&Hooks::create_runtime>("createRuntime"),
      field<&Hooks::create_container>("createContainer"),
      field<&Hooks::start_container>("startContainer"),
      field<&Hooks::poststart>("poststart"),
      field<&Hooks::poststop>("poststop"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

}  // namespace caisson::spec
