// Runs a fuzz target over the files of its corpus without libFuzzer, so that g++ builds replay what
// fuzzing has found. Arguments are files or directories. The last line says how many inputs ran.
#include <dirent.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

bool read_file(const std::string& path, std::vector<std::uint8_t>& bytes) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return false;
  bytes.clear();
  std::uint8_t chunk[65536];
  while (std::size_t count = std::fread(chunk, 1, sizeof chunk, file))
    bytes.insert(bytes.end(), chunk, chunk + count);
  bool good = std::ferror(file) == 0;
  (void)std::fclose(file);
  return good;
}

bool list_files(const std::string& path, std::vector<std::string>& files) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return false;
  if (!S_ISDIR(info.st_mode)) {
    files.push_back(path);
    return true;
  }
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return false;
  bool good = true;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') good = list_files(path + "/" + entry->d_name, files) && good;
  }
  (void)closedir(directory);
  return good;
}

// A heap copy of exactly the input's size, so that AddressSanitizer sees a read past its end.
void run_one(const std::vector<std::uint8_t>& bytes) {
  std::vector<std::uint8_t> exact(bytes);
  exact.shrink_to_fit();
  (void)LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    if (!list_files(argv[i], files)) {
      (void)std::fprintf(stderr, "corpus %s: %s\n", argv[i], std::strerror(errno));
      return 1;
    }
  }
  if (files.empty()) {
    (void)std::fputs("no corpus: put at least one input into fuzz/corpus/NAME\n", stderr);
    return 1;
  }
  run_one({});
  std::vector<std::uint8_t> bytes;
  for (const std::string& file : files) {
    (void)std::fprintf(stderr, "%s\n",
                       file.c_str());  // the last one printed is the one that crashed
    if (!read_file(file, bytes)) {
      (void)std::fprintf(stderr, "cannot read it: %s\n", std::strerror(errno));
      return 1;
    }
    run_one(bytes);
  }
  (void)std::printf("%zu inputs replayed\n", files.size() + 1);
  return 0;
}
