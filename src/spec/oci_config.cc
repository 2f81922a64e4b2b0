#include "spec/oci_config.h"

#include "spec/oci_fields.h"

namespace caisson::spec {

namespace {

// Whether `text` is dot-separated identifiers of SemVer: letters, digits, hyphens; none empty.
bool is_semver_suffix(std::string_view text) {
  constexpr std::string_view kAllowed =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-";
  for (auto piece : split(text, '.')) {
    if (piece.empty() || piece.find_first_not_of(kAllowed) != std::string_view::npos) return false;
  }
  return true;
}

// MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD], https://semver.org; gives the major number.
std::optional<std::uint64_t> semver_major(std::string_view text) {
  auto [version, build] = split_once(text, '+');
  if (version.size() != text.size() && !is_semver_suffix(build)) return std::nullopt;
  auto [numbers, pre] = split_once(version, '-');
  if (numbers.size() != version.size() && !is_semver_suffix(pre)) return std::nullopt;
  auto parts = split(numbers, '.');
  if (parts.size() != 3) return std::nullopt;
  for (auto part : parts) {
    if (!parse_number<std::uint64_t>(part) || (part.size() > 1 && part[0] == '0'))
      return std::nullopt;
  }
  return parse_number<std::uint64_t>(parts[0]);
}

Result<> read_version(JsonReader& json, ContainerSpec& out) {
  TRY(read_value(json, out.oci_version));
  auto major = semver_major(out.oci_version);
  if (!major) {
    return std::unexpected(json.error(
        cat(quoted(out.oci_version), " is not a version: expected MAJOR.MINOR.PATCH, like 1.3.0")));
  }
  if (*major != 1) {
    return std::unexpected(json.error(cat("version ", quoted(out.oci_version),
                                          " of the OCI runtime specification is not supported: "
                                          "allowed are versions 1.x.y")));
  }
  return {};
}

Result<> read_annotations(JsonReader& json, ContainerSpec& out) {
  out.annotations.clear();
  out.root_source = RootSource::kDirectory;
  TRY(json.enter_object());
  while (auto key = TRY(json.next_key())) {
    auto name = TRY(map_key(json, *key));
    if (TRY(json.skip_null())) continue;
    std::string value;
    TRY(read_value(json, value));
    if (name.empty()) return std::unexpected(json.error("the name of an annotation is empty"));
    if (name == kRootAnnotation) {
      TRY(check_word(json, value, "kind of root", {kMachineViewRoot}));
      out.root_source = RootSource::kMachineView;
    } else {
      out.annotations[std::move(name)] = std::move(value);
    }
  }
  return {};
}

}  // namespace

static Result<> read_value(JsonReader& json, Root& out) {
  static constexpr Field<Root> kFields[] = {
      field<&Root::path>("path"),
      field<&Root::readonly>("readonly"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_value(JsonReader& json, ContainerSpec& out) {
  static constexpr Field<ContainerSpec> kFields[] = {
      {"ociVersion", read_version, true},
      field<&ContainerSpec::process>("process"),
      field<&ContainerSpec::root>("root"),
      field<&ContainerSpec::hostname>("hostname"),
      field<&ContainerSpec::domainname>("domainname"),
      field<&ContainerSpec::mounts>("mounts"),
      field<&ContainerSpec::hooks>("hooks"),
      {"annotations", read_annotations},
      field<&ContainerSpec::linux_part>("linux"),
  };
  TRY(read_fields(json, out, kFields));
  if (out.root_source == RootSource::kMachineView && out.root && !out.root->path.empty()) {
    return std::unexpected(
        json.error(cat("the annotation ", kRootAnnotation, " and root.path contradict each other"))
            .cure("remove one of them"));
  }
  return {};
}

namespace {

struct MountsObject {
  std::vector<Mount> mounts;
};

Result<> read_value(JsonReader& json, MountsObject& out) {
  static constexpr Field<MountsObject> kFields[] = {
      required_field<&MountsObject::mounts>("mounts"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

template <typename T>
Result<> read_text(std::string_view text, std::string_view file_name, T& out) {
  JsonReader json(text, file_name);
  TRY(read_value(json, out));
  return json.finish();
}

template <typename T>
Result<T> read_whole(std::string_view text, std::string_view file_name) {
  T out;
  if (auto done = read_text(text, file_name, out); !done) {
    return std::unexpected(std::move(done).error().code("spec.invalid"));
  }
  return out;
}

}  // namespace

Result<ContainerSpec> read_oci_config(std::string_view text, std::string bundle,
                                      std::string_view file_name) {
  auto spec = TRY(read_whole<ContainerSpec>(text, file_name));
  spec.bundle = std::move(bundle);
  return spec;
}

Result<Process> read_oci_process(std::string_view text, std::string_view file_name) {
  return read_whole<Process>(text, file_name);
}

Result<Resources> read_oci_resources(std::string_view text, std::string_view file_name) {
  return read_whole<Resources>(text, file_name);
}

Result<std::vector<Mount>> read_oci_mounts(std::string_view text, std::string_view file_name) {
  if (!trim(text).starts_with('{')) return read_whole<std::vector<Mount>>(text, file_name);
  auto object = TRY(read_whole<MountsObject>(text, file_name));
  return std::move(object.mounts);
}

}  // namespace caisson::spec
