#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "sandbox/fs/tmpfs/script_test.h"

namespace caisson::sandbox::fs {

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  for (std::string_view word : split(line, ' '))
    if (!word.empty()) words.emplace_back(word == "''" ? "" : word);
  return words;
}

std::uint32_t open_flags_of(std::string_view names) {
  struct Name {
    std::string_view name;
    int flag;
  };
  constexpr Name kNames[] = {
      {"rdonly", O_RDONLY},   {"wronly", O_WRONLY},       {"rdwr", O_RDWR},
      {"creat", O_CREAT},     {"excl", O_EXCL},           {"trunc", O_TRUNC},
      {"append", O_APPEND},   {"directory", O_DIRECTORY}, {"nofollow", O_NOFOLLOW},
      {"path", O_PATH},       {"nonblock", O_NONBLOCK},   {"noatime", O_NOATIME},
      {"tmpfile", O_TMPFILE}, {"both", O_ACCMODE}};
  int flags = 0;
  for (std::string_view name : split(names, ','))
    for (const Name& known : kNames)
      if (known.name == name) flags |= known.flag;
  return static_cast<std::uint32_t>(flags);
}

std::uint64_t resolve_flags_of(std::string_view names) {
  std::uint64_t flags = 0;
  for (std::string_view name : split(names, ',')) {
    if (name == "beneath") flags |= RESOLVE_BENEATH;
    if (name == "in_root") flags |= RESOLVE_IN_ROOT;
    if (name == "no_symlinks") flags |= RESOLVE_NO_SYMLINKS;
    if (name == "no_xdev") flags |= RESOLVE_NO_XDEV;
    if (name == "no_magiclinks") flags |= RESOLVE_NO_MAGICLINKS;
  }
  return flags;
}

namespace {

using Words = std::vector<std::string>;

struct Answer {
  long result;
  std::string text = {};
};

unsigned number(const std::string& text, int base = 10) {
  return static_cast<unsigned>(std::strtoul(text.c_str(), nullptr, base));
}
long amount(const std::string& text) { return std::strtol(text.c_str(), nullptr, 10); }

Answer list(const char* path) {
  DIR* directory = ::opendir(path);
  if (directory == nullptr) return {-1};
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory))
    names.push_back(cat(entry->d_name, "/", static_cast<int>(entry->d_type)));
  (void)::closedir(directory);
  std::sort(names.begin(), names.end());
  return {0, join(names, " ")};
}

std::string describe(const struct stat& info) {
  return cat(octal(info.st_mode), " ", info.st_uid, " ", info.st_gid, " ", info.st_nlink, " ",
             S_ISDIR(info.st_mode) ? 0 : info.st_size, " ", info.st_rdev);
}

Answer change_tree(const Words& w) {
  const std::string& verb = w[0];
  const char* path = w[1].c_str();
  if (verb == "mkdir") return {::mkdir(path, number(w[2], 8))};
  if (verb == "rmdir") return {::rmdir(path)};
  if (verb == "unlink") return {::unlink(path)};
  if (verb == "symlink") return {::symlink(path, w[2].c_str())};
  if (verb == "link") return {::link(path, w[2].c_str())};
  if (verb == "linkfollow")
    return {::linkat(AT_FDCWD, path, AT_FDCWD, w[2].c_str(), AT_SYMLINK_FOLLOW)};
  if (verb == "rename") return {::rename(path, w[2].c_str())};
  if (verb == "rename2")
    return {::syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, w[2].c_str(), number(w[3]))};
  if (verb == "mknod")
    return {::mknod(path, number(w[2], 8), w.size() > 4 ? makedev(number(w[3]), number(w[4])) : 0)};
  return {-2};
}

Answer change_attributes(const Words& w) {
  const std::string& verb = w[0];
  const char* path = w[1].c_str();
  if (verb == "chmod") return {::chmod(path, number(w[2], 8))};
  if (verb == "chown")
    return {::chown(path, static_cast<uid_t>(amount(w[2])), static_cast<gid_t>(amount(w[3])))};
  if (verb == "lchown")
    return {::lchown(path, static_cast<uid_t>(amount(w[2])), static_cast<gid_t>(amount(w[3])))};
  if (verb == "truncate") return {::truncate(path, amount(w[2]))};
  if (verb == "utimes") {
    timespec times[2] = {{amount(w[2]), 0}, {amount(w[3]), 0}};
    return {::utimensat(AT_FDCWD, path, times, 0)};
  }
  if (verb == "touch") return {::utimensat(AT_FDCWD, path, nullptr, 0)};
  if (verb == "setxattr")
    return {::setxattr(path, w[2].c_str(), w[3].data(), w[3].size(),
                       w.size() > 4 ? static_cast<int>(amount(w[4])) : 0)};
  if (verb == "removexattr") return {::removexattr(path, w[2].c_str())};
  return {-2};
}

Answer ask(const Words& w) {
  const std::string& verb = w[0];
  const char* path = w[1].c_str();
  struct stat info{};
  if (verb == "stat" || verb == "lstat") {
    if ((verb == "stat" ? ::stat(path, &info) : ::lstat(path, &info)) != 0) return {-1};
    return {0, describe(info)};
  }
  if (verb == "times") {
    if (::lstat(path, &info) != 0) return {-1};
    return {0, cat(info.st_atim.tv_sec, " ", info.st_mtim.tv_sec)};
  }
  if (verb == "blocks") {
    if (::stat(path, &info) != 0) return {-1};
    return {0, cat(info.st_blocks)};
  }
  if (verb == "dirsize") {
    if (::stat(path, &info) != 0) return {-1};
    return {0, cat(info.st_size)};
  }
  if (verb == "access")
    return {::syscall(SYS_faccessat2, AT_FDCWD, path, number(w[2]), AT_EACCESS)};
  if (verb == "readlink") {
    char text[4096];
    long length = ::readlink(path, text, sizeof text);
    return length < 0 ? Answer{-1} : Answer{0, std::string(text, static_cast<std::size_t>(length))};
  }
  if (verb == "ls") return list(path);
  if (verb == "getxattr") {
    char value[4096];
    long length = ::getxattr(path, w[2].c_str(), value, sizeof value);
    return length < 0 ? Answer{-1}
                      : Answer{0, std::string(value, static_cast<std::size_t>(length))};
  }
  if (verb == "chdir") return {::chdir(path)};
  return {-2};
}

Answer bytes(const Words& w) {
  const std::string& verb = w[0];
  if (verb == "open" || verb == "openat2") {
    open_how how{};
    how.flags = open_flags_of(w[2]);
    if ((how.flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) != 0)
      how.mode = w.size() > 3 ? number(w[3], 8) : 0644;
    if (verb == "openat2") how.resolve = resolve_flags_of(w[3]);
    if (verb == "openat2") how.mode = (how.flags & O_CREAT) != 0 ? 0644 : 0;
    long fd = verb == "open"
                  ? ::open(w[1].c_str(), static_cast<int>(how.flags), static_cast<mode_t>(how.mode))
                  : ::syscall(SYS_openat2, AT_FDCWD, w[1].c_str(), &how, sizeof how);
    if (fd >= 0) (void)::close(static_cast<int>(fd));
    return {fd < 0 ? -1 : 0};
  }
  bool writes = verb != "read" && verb != "seek";
  int fd = ::open(w[1].c_str(), (writes ? O_WRONLY : O_RDONLY) | (verb == "append" ? O_APPEND : 0));
  if (fd < 0) return {-1};
  Answer answer{-2};
  if (verb == "write" || verb == "append") {
    std::string text(static_cast<std::size_t>(amount(w[3])), w[4][0]);
    long done = verb == "append" ? ::write(fd, text.data(), text.size())
                                 : ::pwrite(fd, text.data(), text.size(), amount(w[2]));
    answer = {done, cat(done)};
  } else if (verb == "read") {
    std::string text(static_cast<std::size_t>(amount(w[3])), '\0');
    long done = ::pread(fd, text.data(), text.size(), amount(w[2]));
    std::uint64_t sum = 0;
    for (long i = 0; i < done; ++i)
      sum = sum * 31 + static_cast<unsigned char>(text[static_cast<std::size_t>(i)]);
    answer = {done, cat(done, ":", sum)};
  } else if (verb == "allocate") {
    answer = {::fallocate(fd, static_cast<int>(amount(w[2])), amount(w[3]), amount(w[4]))};
  } else if (verb == "seek") {
    long at = ::lseek(fd, amount(w[2]), static_cast<int>(amount(w[3])));
    answer = {at, cat(at)};
  }
  int saved = errno;
  (void)::close(fd);
  errno = saved;
  return answer;
}

std::string run_here(std::string_view line) {
  Words w = words_of(line);
  errno = 0;
  if (w[0] == "as") {
    gid_t none = 0;
    (void)::seteuid(0);
    (void)::setegid(number(w[2]));
    (void)::setgroups(0, &none);
    (void)::seteuid(number(w[1]));
    return "ok";
  }
  if (w[0] == "umask") {
    (void)::umask(number(w[1], 8));
    return "ok";
  }
  Answer answer{-2};
  for (auto* family : {change_tree, change_attributes, ask, bytes}) {
    answer = family(w);
    if (answer.result != -2) break;
  }
  if (answer.result == -2) return "unknown";
  if (answer.result < 0) return std::string(errno_name(errno));
  return answer.text.empty() ? "ok" : cat("ok: ", answer.text);
}

[[noreturn]] void serve(int from, int to, const char* root) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)::umask(0);
  if (::chroot(root) != 0 || ::chdir("/") != 0) ::_exit(1);
  char buffer[65536];
  for (;;) {
    long length = ::read(from, buffer, sizeof buffer);
    if (length <= 0) ::_exit(0);
    std::string answer = run_here({buffer, static_cast<std::size_t>(length)});
    if (::write(to, answer.data(), answer.size()) < 0) ::_exit(0);
  }
}

class HostExecutor final : public Executor {
 public:
  static std::unique_ptr<Executor> make() {
    if (::geteuid() != 0) return nullptr;
    auto made = std::unique_ptr<HostExecutor>(new HostExecutor);
    char path[] = "/dev/shm/caisson-script-XXXXXX";
    if (::mkdtemp(path) == nullptr) return nullptr;
    made->path_ = path;
    (void)::chmod(path, 01777);
    int there[2], back[2];
    if (::pipe2(there, O_CLOEXEC | O_DIRECT) != 0 || ::pipe2(back, O_CLOEXEC | O_DIRECT) != 0)
      return nullptr;
    made->child_ = ::fork();
    if (made->child_ == 0) {
      (void)::close(there[1]);
      (void)::close(back[0]);
      serve(there[0], back[1], path);
    }
    (void)::close(there[0]);
    (void)::close(back[1]);
    made->to_ = there[1];
    made->from_ = back[0];
    return made;
  }
  ~HostExecutor() override {
    (void)::close(to_);
    (void)::close(from_);
    (void)::waitpid(child_, nullptr, 0);
    (void)std::system(cat("rm -rf ", path_).c_str());
  }
  std::string run(std::string_view line) override {
    if (::write(to_, line.data(), line.size()) < 0) return "gone";
    char buffer[65536];
    long length = ::read(from_, buffer, sizeof buffer);
    return length < 0 ? "gone" : std::string(buffer, static_cast<std::size_t>(length));
  }

 private:
  HostExecutor() = default;
  pid_t child_ = -1;
  int to_ = -1, from_ = -1;
  std::string path_;
};

}  // namespace

std::unique_ptr<Executor> make_host_executor() { return HostExecutor::make(); }

}  // namespace caisson::sandbox::fs
