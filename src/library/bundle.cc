#include "library/bundle.h"

#include "base/text.h"
#include "spec/oci_config.h"
#include "sys/file.h"

namespace caisson::library {

namespace {

struct OpenBundle {
  Fd directory;
  std::string path;
};

Result<OpenBundle> open_bundle(const std::string& directory) {
  std::string given = directory.empty() ? "." : directory;
  auto dir = sys::openat(sys::kCwd, given.c_str(), O_PATH | O_DIRECTORY);
  if (!dir) {
    return std::unexpected(Error(dir.error())
                               .doing("open the bundle ", given)
                               .code("bundle.missing")
                               .cure("name the directory of config.json with --bundle DIR"));
  }
  std::string self = cat("/proc/self/fd/", dir->number());
  std::string path =
      TRY_CTX(sys::readlink(sys::kCwd, self.c_str()), "find the path of the bundle ", given);
  return OpenBundle{std::move(*dir), std::move(path)};
}

}  // namespace

Result<Bundle> read_bundle(const std::string& directory, const std::string& config_file) {
  OpenBundle bundle = TRY(open_bundle(directory));
  Bundle out;
  out.path = std::move(bundle.path);
  std::string name = config_file.empty() ? "config.json" : config_file;
  FdRef base = config_file.empty() ? bundle.directory.ref() : sys::kCwd;
  auto text = sys::read_file(base, name.c_str());
  if (!text) {
    bool missing = text.error().value == ENOENT;
    Error error = missing
                      ? Error::with_cause(ENOENT, "JSON specification file config.json not found")
                      : Error(text.error());
    return std::unexpected(std::move(error)
                               .doing("read ", name, " of the bundle ", out.path)
                               .code("bundle.config")
                               .cure("\"caisson-oci spec\" writes a first config.json"));
  }
  out.config_text = std::move(*text);
  out.spec = TRY(spec::read_oci_config(out.config_text, out.path, name));
  return out;
}

Result<Bundle> bundle_with_config(const std::string& directory, std::string config_text) {
  Bundle out;
  out.path = TRY(open_bundle(directory)).path;
  out.config_text = std::move(config_text);
  out.spec = TRY(spec::read_oci_config(out.config_text, out.path, "config.json"));
  return out;
}

}  // namespace caisson::library
