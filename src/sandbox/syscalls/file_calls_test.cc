// Calls on files and paths, made by guest programs without guest code on a tmpfs.
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "sandbox/fs/file_services.h"
#include "sandbox/syscalls/guest_fixture_test.h"

namespace caisson::sandbox::syscalls {
namespace {

class FileCalls : public GuestTest {
 protected:
  FileCalls() {
    auto memory = MUST(fs::FileMemory::create());
    kernel_.set_file_services(fs::FileServices::create(memory, nullptr));
    auto filesystem = fs::TmpFilesystem::create(memory, nullptr, {});
    auto mount = make_ref<vfs::Mount>(filesystem, vfs::Dentry::make_root(filesystem->root()),
                                      MS_RELATIME, "root");
    container_->mounts = vfs::MountNamespace::create(std::move(mount));
  }

  // As the init of a container whose root is the tmpfs.
  void in_guest(FakeProgram program) {
    vfs::Path root = container_->mounts->root();
    auto context = make_ref<kernel::FsContext>(root, root, 022U);
    auto started = kernel_.start_loaded(request(), std::move(context), load(std::move(program)));
    ASSERT_TRUE(started) << started.error().message();
    EXPECT_EQ(status_of(*started), 0);
  }
};

constexpr std::uint64_t kText = kA + 4096, kText2 = kA + 2 * 4096, kData = kA + 8 * 4096;

std::uint64_t text(FakeGuest& guest, std::string_view value) {
  guest.put_text(kText, value);
  return kText;
}
std::uint64_t second(FakeGuest& guest, std::string_view value) {
  guest.put_text(kText2, value);
  return kText2;
}

std::int64_t open(FakeGuest& guest, std::string_view path, int flags, int mode = 0644) {
  return guest.call(SYS_openat, AT_FDCWD, text(guest, path), flags, mode);
}

std::string read_text(FakeGuest& guest, std::uint64_t address, std::size_t length) {
  std::string value;
  for (std::size_t i = 0; i < length; ++i) value.push_back(guest.get<char>(address + i));
  return value;
}

TEST_F(FileCalls, ReadAndWrite) {
  in_guest([](FakeGuest& guest) {
    std::int64_t fd = open(guest, "/f", O_RDWR | O_CREAT);
    EXPECT_EQ(fd, 0);
    guest.put_text(kData, "hello world");
    EXPECT_EQ(guest.call(SYS_write, fd, kData, 11), 11);
    EXPECT_EQ(guest.call(SYS_read, fd, kData, 11), 0);
    EXPECT_EQ(guest.call(SYS_lseek, fd, 6, SEEK_SET), 6);
    EXPECT_EQ(guest.call(SYS_read, fd, kData + 100, 100), 5);
    EXPECT_EQ(read_text(guest, kData + 100, 5), "world");
    EXPECT_EQ(guest.call(SYS_pread64, fd, kData + 100, 5, 0), 5);
    EXPECT_EQ(read_text(guest, kData + 100, 5), "hello");
    EXPECT_EQ(guest.call(SYS_pwrite64, fd, kData, 5, 20), 5);
    EXPECT_EQ(guest.call(SYS_lseek, fd, 0, SEEK_END), 25);
    EXPECT_EQ(guest.call(SYS_pread64, fd, kData, 5, -1), -EINVAL);
    EXPECT_EQ(guest.call(SYS_pwrite64, fd, kData, 5, -1), -EINVAL);
    EXPECT_EQ(guest.call(SYS_read, 99, kData, 1), -EBADF);
    EXPECT_EQ(guest.call(SYS_read, fd, 8, 1), 0);
    EXPECT_EQ(guest.call(SYS_pread64, fd, 8, 1, 0), -EFAULT);
    EXPECT_EQ(guest.call(SYS_write, fd, 8, 1), -EFAULT);
    EXPECT_EQ(guest.call(SYS_lseek, fd, -1, SEEK_SET), -EINVAL);
    EXPECT_EQ(guest.call(SYS_lseek, fd, 0, 77), -EINVAL);
  });
}

TEST_F(FileCalls, AccessModesHold) {
  in_guest([](FakeGuest& guest) {
    std::int64_t writer = open(guest, "/f", O_WRONLY | O_CREAT);
    std::int64_t reader = open(guest, "/f", O_RDONLY);
    std::int64_t path = open(guest, "/f", O_PATH);
    EXPECT_EQ(guest.call(SYS_read, writer, kData, 1), -EBADF);
    EXPECT_EQ(guest.call(SYS_write, reader, kData, 1), -EBADF);
    EXPECT_EQ(guest.call(SYS_ftruncate, reader, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_fallocate, reader, 0, 0, 10), -EBADF);
    for (long call : {SYS_read, SYS_write, SYS_lseek, SYS_fsync, SYS_ioctl, SYS_fchmod})
      EXPECT_EQ(guest.call(call, path, 0, 0), -EBADF) << call;
    EXPECT_EQ(guest.call(SYS_fstat, path, kData), 0);
    std::int64_t directory = open(guest, "/", O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(guest.call(SYS_read, directory, kData, 1), -EISDIR);
    EXPECT_EQ(guest.call(SYS_pread64, directory, kData, 1, 0), -EISDIR);
    EXPECT_EQ(guest.call(SYS_ftruncate, directory, 0), -EINVAL);
  });
}

TEST_F(FileCalls, Vectors) {
  in_guest([](FakeGuest& guest) {
    std::int64_t fd = open(guest, "/f", O_RDWR | O_CREAT);
    guest.put_text(kData, "abcdef");
    std::array<std::uint64_t, 4> parts{kData, 2, kData + 3, 3};
    guest.put(kA, parts);
    EXPECT_EQ(guest.call(SYS_writev, fd, kA, 2), 5);
    EXPECT_EQ(guest.call(SYS_preadv, fd, kA, 2, 1, 0), 4);
    EXPECT_EQ(read_text(guest, kData, 2), "bd");
    EXPECT_EQ(guest.call(SYS_pwritev, fd, kA, 2, 100, 0), 5);
    EXPECT_EQ(guest.call(SYS_preadv2, fd, kA, 2, -1, 0, 0), 5);
    EXPECT_EQ(guest.call(SYS_preadv2, fd, kA, 2, 0, 0, 0x1000), -EOPNOTSUPP);
    EXPECT_EQ(guest.call(SYS_pwritev2, fd, kA, 2, 0, 0, 0x10), 5);
    EXPECT_EQ(guest.call(SYS_readv, fd, kA, 1025), -EINVAL);
    EXPECT_EQ(guest.call(SYS_readv, fd, 8, 1), -EFAULT);
    EXPECT_EQ(guest.call(SYS_readv, fd, kA, 0), 0);
    guest.put(kA, std::array<std::uint64_t, 2>{kData, ~std::uint64_t{0}});
    EXPECT_EQ(guest.call(SYS_readv, fd, kA, 1), -EINVAL);
  });
}

TEST_F(FileCalls, AppendingGoesToTheEnd) {
  in_guest([](FakeGuest& guest) {
    std::int64_t one = open(guest, "/f", O_RDWR | O_CREAT | O_APPEND);
    std::int64_t two = open(guest, "/f", O_WRONLY | O_APPEND);
    guest.put_text(kData, "abcd");
    EXPECT_EQ(guest.call(SYS_write, one, kData, 2), 2);
    EXPECT_EQ(guest.call(SYS_write, two, kData + 2, 2), 2);
    EXPECT_EQ(guest.call(SYS_write, one, kData, 1), 1);
    EXPECT_EQ(guest.call(SYS_lseek, one, 0, SEEK_CUR), 5);
    EXPECT_EQ(guest.call(SYS_pread64, one, kData + 100, 10, 0), 5);
    EXPECT_EQ(read_text(guest, kData + 100, 5), "abcda");
  });
}

TEST_F(FileCalls, LimitOfFileSizes) {
  limits[RLIMIT_FSIZE] = {10, 10};
  in_guest([](FakeGuest& guest) {
    int signals = 0;
    set_handler(guest, SIGXFSZ, handler(guest, [&](FakeGuest&, int) { ++signals; }));
    std::int64_t fd = open(guest, "/f", O_RDWR | O_CREAT);
    EXPECT_EQ(guest.call(SYS_write, fd, kData, 8), 8);
    EXPECT_EQ(guest.call(SYS_write, fd, kData, 8), 2);
    EXPECT_EQ(signals, 0);
    EXPECT_EQ(guest.call(SYS_write, fd, kData, 1), -EFBIG);
    EXPECT_EQ(signals, 1);
    EXPECT_EQ(guest.call(SYS_ftruncate, fd, 11), -EFBIG);
    EXPECT_EQ(guest.call(SYS_truncate, text(guest, "/f"), 11), -EFBIG);
    EXPECT_EQ(guest.call(SYS_fallocate, fd, 0, 0, 11), -EFBIG);
    EXPECT_EQ(signals, 4);
  });
}

TEST_F(FileCalls, DescriptorsAreDuplicated) {
  in_guest([](FakeGuest& guest) {
    EXPECT_EQ(open(guest, "/f", O_RDWR | O_CREAT | O_CLOEXEC), 0);
    EXPECT_EQ(guest.call(SYS_dup, 0), 1);
    EXPECT_EQ(guest.call(SYS_dup2, 0, 7), 7);
    EXPECT_EQ(guest.call(SYS_dup2, 7, 7), 7);
    EXPECT_EQ(guest.call(SYS_dup2, 50, 50), -EBADF);
    EXPECT_EQ(guest.call(SYS_dup3, 0, 0, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_dup3, 0, 8, 1), -EINVAL);
    EXPECT_EQ(guest.call(SYS_dup3, 0, 8, O_CLOEXEC), 8);
    EXPECT_EQ(guest.call(SYS_dup3, 60, 8, 0), -EBADF);
    EXPECT_EQ(guest.call(SYS_dup3, 0, -1, 0), -EBADF);
    EXPECT_EQ(guest.call(SYS_fcntl, 8, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(guest.call(SYS_fcntl, 0, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(guest.call(SYS_fcntl, 1, F_GETFD), 0);
    EXPECT_EQ(guest.call(SYS_fcntl, 1, F_SETFD, FD_CLOEXEC), 0);
    EXPECT_EQ(guest.call(SYS_fcntl, 1, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(guest.call(SYS_fcntl, 0, F_DUPFD, 20), 20);
    EXPECT_EQ(guest.call(SYS_fcntl, 0, F_DUPFD_CLOEXEC, 20), 21);
    EXPECT_EQ(guest.call(SYS_fcntl, 0, F_DUPFD, -1), -EINVAL);
    EXPECT_EQ(guest.call(SYS_close_range, 20, 30, 0), 0);
    EXPECT_EQ(guest.call(SYS_close, 20), -EBADF);
    EXPECT_EQ(guest.call(SYS_close_range, 3, 2, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_close_range, 0, 2, 8), -EINVAL);
    EXPECT_EQ(guest.call(SYS_close, 0), 0);
    EXPECT_EQ(guest.call(SYS_close, 0), -EBADF);
    EXPECT_EQ(guest.call(SYS_fcntl, 0, F_GETFL), -EBADF);
    EXPECT_EQ(open(guest, "/f", O_RDONLY), 0);
  });
}

TEST_F(FileCalls, FlagsOfOpenFiles) {
  in_guest([](FakeGuest& guest) {
    constexpr int kLargeFile = 0100000;
    std::int64_t fd = open(guest, "/f", O_RDWR | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_GETFL), O_RDWR | O_NONBLOCK | kLargeFile);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_SETFL, O_APPEND | O_WRONLY | O_CREAT), 0);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_GETFL), O_RDWR | O_APPEND | kLargeFile);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, 12345), -EINVAL);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_GETPIPE_SZ), -EBADF);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_GET_SEALS), F_SEAL_SEAL);
    std::int64_t path = open(guest, "/f", O_PATH | O_CLOEXEC);
    EXPECT_EQ(guest.call(SYS_fcntl, path, F_SETFL, 0), -EBADF);
    EXPECT_EQ(guest.call(SYS_fcntl, path, F_GETFL), O_PATH);
  });
}

TEST_F(FileCalls, Openat2ChecksItsStruct) {
  in_guest([](FakeGuest& guest) {
    auto openat2 = [&](open_how how, std::uint64_t size = sizeof(open_how)) {
      guest.put(kA, how);
      return guest.call(SYS_openat2, AT_FDCWD, text(guest, "/f"), kA, size);
    };
    EXPECT_EQ(openat2({O_RDWR | O_CREAT, 0600, 0}), 0);
    EXPECT_EQ(openat2({O_RDONLY, 0600, 0}), -EINVAL);
    EXPECT_EQ(openat2({O_RDWR | O_CREAT, 010000, 0}), -EINVAL);
    EXPECT_EQ(openat2({std::uint64_t{1} << 40, 0, 0}), -EINVAL);
    EXPECT_EQ(openat2({0, 0, 0x1000}), -EINVAL);
    EXPECT_EQ(openat2({0, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT}), -EINVAL);
    EXPECT_EQ(openat2({O_PATH | O_RDWR, 0, 0}), -EINVAL);
    EXPECT_EQ(openat2({0, 0, 0}, 16), -EINVAL);
    EXPECT_EQ(openat2({0, 0, 0}, 5000), -E2BIG);
    EXPECT_EQ(openat2({0, 0, RESOLVE_BENEATH}), -EXDEV);
    guest.put(kA + sizeof(open_how), std::uint64_t{1});
    EXPECT_EQ(openat2({0, 0, 0}, sizeof(open_how) + 8), -E2BIG);
  });
}

TEST_F(FileCalls, StatTellsWhatOpenMade) {
  in_guest([](FakeGuest& guest) {
    std::int64_t fd = open(guest, "/f", O_RDWR | O_CREAT, 0666);
    EXPECT_EQ(guest.call(SYS_fstat, fd, kData), 0);
    auto info = guest.get<struct stat>(kData);
    EXPECT_EQ(info.st_mode, S_IFREG | 0644U);  // the umask is 022
    EXPECT_EQ(guest.call(SYS_newfstatat, AT_FDCWD, text(guest, "/f"), kData + 256, 0), 0);
    auto same = guest.get<struct stat>(kData + 256);
    EXPECT_EQ(std::memcmp(&info, &same, sizeof info), 0);
    EXPECT_EQ(guest.call(SYS_newfstatat, fd, text(guest, ""), kData, AT_EMPTY_PATH), 0);
    EXPECT_EQ(guest.call(SYS_newfstatat, fd, text(guest, ""), kData, 0), -ENOENT);
    EXPECT_EQ(guest.call(SYS_newfstatat, 99, text(guest, "f"), kData, 0), -EBADF);
    EXPECT_EQ(guest.call(SYS_newfstatat, 99, text(guest, "/f"), kData, 0), 0);
    EXPECT_EQ(guest.call(SYS_newfstatat, fd, text(guest, "x"), kData, 0), -ENOTDIR);
    EXPECT_EQ(guest.call(SYS_newfstatat, AT_FDCWD, 8, kData, 0), -EFAULT);
    EXPECT_EQ(guest.call(SYS_newfstatat, AT_FDCWD, text(guest, "/f"), 8, 0), -EFAULT);
    EXPECT_EQ(guest.call(SYS_newfstatat, AT_FDCWD, text(guest, "/f"), kData, 0x40000), -EINVAL);
    EXPECT_EQ(guest.call(SYS_fstat, 99, kData), -EBADF);
    EXPECT_EQ(guest.call(SYS_statx, AT_FDCWD, text(guest, "/f"), 0, STATX_ALL, kData), 0);
    auto extended = guest.get<struct statx>(kData);
    EXPECT_EQ(extended.stx_ino, info.st_ino);
    EXPECT_NE(extended.stx_mask & STATX_BTIME, 0U);
    EXPECT_EQ(guest.call(SYS_statx, AT_FDCWD, kText, 0, 0x80000000U, kData), -EINVAL);
    EXPECT_EQ(guest.call(SYS_statfs, text(guest, "/"), kData), 0);
    EXPECT_EQ(guest.get<struct statfs>(kData).f_type, 0x01021994);
    EXPECT_EQ(guest.call(SYS_fstatfs, fd, kData), 0);
    EXPECT_EQ(guest.call(SYS_statfs, text(guest, "/missing"), kData), -ENOENT);
  });
}

TEST_F(FileCalls, DirectoriesAreListedInPieces) {
  in_guest([](FakeGuest& guest) {
    for (char name = 'a'; name <= 'j'; ++name)
      guest.call(SYS_close, open(guest, std::string("/") + name, O_CREAT | O_WRONLY));
    std::int64_t fd = open(guest, "/", O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(guest.call(SYS_getdents64, fd, kData, 20), -EINVAL);
    int found = 0;
    for (;;) {
      std::int64_t length = guest.call(SYS_getdents64, fd, kData, 64);
      ASSERT_GE(length, 0);
      if (length == 0) break;
      for (std::int64_t at = 0; at < length; ++found)
        at += guest.get<std::uint16_t>(kData + static_cast<std::uint64_t>(at) + 16);
    }
    EXPECT_EQ(found, 12);
    EXPECT_EQ(guest.call(SYS_lseek, fd, 0, SEEK_SET), 0);
    EXPECT_EQ(guest.call(SYS_getdents64, fd, 8, 4096), -EFAULT);
    EXPECT_EQ(guest.call(SYS_getdents64, open(guest, "/a", O_RDONLY), kData, 64), -ENOTDIR);
    EXPECT_EQ(guest.call(SYS_getdents64, 99, kData, 64), -EBADF);
  });
}

TEST_F(FileCalls, WorkingDirectory) {
  in_guest([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_getcwd, kData, 100), 2);
    EXPECT_EQ(guest.call(SYS_mkdirat, AT_FDCWD, text(guest, "d"), 0755), 0);
    EXPECT_EQ(guest.call(SYS_mkdirat, AT_FDCWD, text(guest, "d/e"), 0755), 0);
    EXPECT_EQ(guest.call(SYS_chdir, text(guest, "d/e")), 0);
    EXPECT_EQ(guest.call(SYS_getcwd, kData, 100), 5);
    EXPECT_EQ(read_text(guest, kData, 4), "/d/e");
    EXPECT_EQ(guest.call(SYS_getcwd, kData, 4), -ERANGE);
    EXPECT_EQ(guest.call(SYS_getcwd, 8, 100), -EFAULT);
    EXPECT_EQ(guest.call(SYS_unlinkat, AT_FDCWD, text(guest, "/d/e"), AT_REMOVEDIR), 0);
    EXPECT_EQ(guest.call(SYS_getcwd, kData, 100), -ENOENT);
    EXPECT_EQ(guest.call(SYS_chdir, text(guest, "/missing")), -ENOENT);
    std::int64_t fd = open(guest, "/d", O_PATH);
    EXPECT_EQ(guest.call(SYS_fchdir, fd), 0);
    EXPECT_EQ(guest.call(SYS_chroot, text(guest, "/d")), 0);
    EXPECT_EQ(guest.call(SYS_getcwd, kData, 100), 2);
    EXPECT_EQ(guest.call(SYS_umask, 077), 022);
    std::int64_t file = open(guest, "/f", O_CREAT | O_WRONLY, 0666);
    EXPECT_EQ(guest.call(SYS_fchdir, file), -ENOTDIR);
    EXPECT_EQ(guest.call(SYS_fstat, file, kData), 0);
    EXPECT_EQ(guest.get<struct stat>(kData).st_mode & 0777, 0600U);
  });
}

TEST_F(FileCalls, LinksAreRead) {
  in_guest([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_symlinkat, text(guest, "target"), AT_FDCWD, second(guest, "l")), 0);
    EXPECT_EQ(guest.call(SYS_readlinkat, AT_FDCWD, text(guest, "l"), kData, 100), 6);
    EXPECT_EQ(read_text(guest, kData, 6), "target");
    EXPECT_EQ(guest.call(SYS_readlinkat, AT_FDCWD, text(guest, "l"), kData, 3), 3);
    EXPECT_EQ(guest.call(SYS_readlinkat, AT_FDCWD, text(guest, "l"), kData, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_readlinkat, AT_FDCWD, text(guest, "/"), kData, 9), -EINVAL);
    std::int64_t fd = open(guest, "l", O_PATH | O_NOFOLLOW);
    EXPECT_EQ(guest.call(SYS_readlinkat, fd, text(guest, ""), kData, 100), 6);
    EXPECT_EQ(guest.call(SYS_unlinkat, AT_FDCWD, text(guest, "l"), 1), -EINVAL);
    EXPECT_EQ(guest.call(SYS_linkat, AT_FDCWD, text(guest, "l"), AT_FDCWD, second(guest, "m"), 1),
              -EINVAL);
    EXPECT_EQ(guest.call(SYS_linkat, AT_FDCWD, text(guest, "l"), AT_FDCWD, second(guest, "m"), 0),
              0);
    EXPECT_EQ(guest.call(SYS_renameat2, AT_FDCWD, text(guest, "l"), AT_FDCWD, second(guest, "m"),
                         RENAME_NOREPLACE),
              -EEXIST);
  });
}

TEST_F(FileCalls, ModesOwnersAndTimes) {
  in_guest([](FakeGuest& guest) {
    std::int64_t fd = open(guest, "/f", O_RDWR | O_CREAT);
    EXPECT_EQ(guest.call(SYS_fchmod, fd, 0600), 0);
    EXPECT_EQ(guest.call(SYS_fchmodat, AT_FDCWD, text(guest, "/f"), 0640), 0);
    EXPECT_EQ(guest.call(SYS_fchown, fd, 5, 6), 0);
    EXPECT_EQ(guest.call(SYS_fchownat, AT_FDCWD, text(guest, "/f"), -1, 7, 0), 0);
    EXPECT_EQ(guest.call(SYS_fchownat, fd, text(guest, ""), 8, -1, AT_EMPTY_PATH), 0);
    EXPECT_EQ(guest.call(SYS_fchownat, AT_FDCWD, text(guest, "/f"), 1, 1, 0x40000), -EINVAL);
    EXPECT_EQ(guest.call(SYS_fstat, fd, kData), 0);
    auto info = guest.get<struct stat>(kData);
    EXPECT_EQ(info.st_mode & 0777, 0640U);
    EXPECT_EQ(info.st_uid, 8U);
    EXPECT_EQ(info.st_gid, 7U);
    guest.put(kA, std::array<std::int64_t, 4>{100, 5, 200, UTIME_OMIT});
    EXPECT_EQ(guest.call(SYS_utimensat, AT_FDCWD, text(guest, "/f"), kA, 0), 0);
    EXPECT_EQ(guest.call(SYS_fstat, fd, kData), 0);
    EXPECT_EQ(guest.get<struct stat>(kData).st_atim.tv_sec, 100);
    EXPECT_NE(guest.get<struct stat>(kData).st_mtim.tv_sec, 200);
    guest.put(kA, std::array<std::int64_t, 4>{100, -5, 200, 0});
    EXPECT_EQ(guest.call(SYS_utimensat, fd, 0, kA, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_utimensat, fd, 0, 0, 0), 0);
    EXPECT_EQ(guest.call(SYS_utimensat, 99, 0, 0, 0), -EBADF);
  });
}

TEST_F(FileCalls, SizesAndSync) {
  in_guest([](FakeGuest& guest) {
    std::int64_t fd = open(guest, "/f", O_RDWR | O_CREAT);
    EXPECT_EQ(guest.call(SYS_ftruncate, fd, 100), 0);
    EXPECT_EQ(guest.call(SYS_ftruncate, fd, -1), -EINVAL);
    EXPECT_EQ(guest.call(SYS_truncate, text(guest, "/f"), -1), -EINVAL);
    EXPECT_EQ(guest.call(SYS_truncate, text(guest, "/"), 1), -EISDIR);
    EXPECT_EQ(guest.call(SYS_fallocate, fd, 0, -1, 10), -EINVAL);
    EXPECT_EQ(guest.call(SYS_fallocate, fd, 0, 0, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_fallocate, fd, 2, 0, 10), -EOPNOTSUPP);
    EXPECT_EQ(guest.call(SYS_fallocate, fd, 0, 0x7FFFFFFFFFFFFFFF, 10), -EFBIG);
    EXPECT_EQ(guest.call(SYS_fsync, fd), 0);
    EXPECT_EQ(guest.call(SYS_fdatasync, fd), 0);
    EXPECT_EQ(guest.call(SYS_sync), 0);
    EXPECT_EQ(guest.call(SYS_syncfs, fd), 0);
    EXPECT_EQ(guest.call(SYS_sync_file_range, fd, 0, 10, 7), 0);
    EXPECT_EQ(guest.call(SYS_sync_file_range, fd, 0, 10, 8), -EINVAL);
    EXPECT_EQ(guest.call(SYS_fadvise64, fd, 0, 10, 0), 0);
    EXPECT_EQ(guest.call(SYS_fadvise64, fd, 0, 10, 77), -EINVAL);
    EXPECT_EQ(guest.call(SYS_readahead, fd, 0, 10), 0);
  });
}

TEST_F(FileCalls, AccessAsksForTheRealIds) {
  in_guest([](FakeGuest& guest) {
    guest.call(SYS_close, open(guest, "/f", O_CREAT | O_WRONLY, 0600));
    EXPECT_EQ(guest.call(SYS_faccessat, AT_FDCWD, text(guest, "/f"), 6), 0);
    EXPECT_EQ(guest.call(SYS_faccessat, AT_FDCWD, text(guest, "/f"), 1), -EACCES);
    EXPECT_EQ(guest.call(SYS_faccessat, AT_FDCWD, text(guest, "/f"), 8), -EINVAL);
    EXPECT_EQ(guest.call(SYS_setresuid, 1000, 0, 0), 0);
    EXPECT_EQ(guest.call(SYS_faccessat, AT_FDCWD, text(guest, "/f"), 4), -EACCES);
    EXPECT_EQ(guest.call(439, AT_FDCWD, text(guest, "/f"), 4, AT_EACCESS), 0);
    EXPECT_EQ(guest.call(439, AT_FDCWD, text(guest, "/f"), 4, 0x8000), -EINVAL);
  });
}

struct flock range(short type, std::int64_t start, std::int64_t length) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

TEST_F(FileCalls, RangesAreLockedByOpenFiles) {
  in_guest([](FakeGuest& guest) {
    std::int64_t one = open(guest, "/f", O_RDWR | O_CREAT), two = open(guest, "/f", O_RDWR);
    std::int64_t reader = open(guest, "/f", O_RDONLY);
    guest.put(kA, range(F_WRLCK, 0, 10));
    EXPECT_EQ(guest.call(SYS_fcntl, one, F_OFD_SETLK, kA), 0);
    EXPECT_EQ(guest.call(SYS_fcntl, two, F_OFD_SETLK, kA), -EAGAIN);
    EXPECT_EQ(guest.call(SYS_fcntl, two, F_OFD_GETLK, kA), 0);
    EXPECT_EQ(guest.get<struct flock>(kA).l_pid, -1);
    guest.put(kA, range(F_WRLCK, 10, 0));
    EXPECT_EQ(guest.call(SYS_fcntl, two, F_OFD_SETLK, kA), 0);
    EXPECT_EQ(guest.call(SYS_fcntl, reader, F_OFD_SETLK, kA), -EBADF);
    guest.put(kA, range(F_WRLCK, -1, 0));
    EXPECT_EQ(guest.call(SYS_fcntl, one, F_SETLK, kA), -EINVAL);
    guest.put(kA, range(9, 0, 0));
    EXPECT_EQ(guest.call(SYS_fcntl, one, F_SETLK, kA), -EINVAL);
    EXPECT_EQ(guest.call(SYS_fcntl, one, F_SETLK, 8), -EFAULT);
    // Closed with its locks.
    EXPECT_EQ(guest.call(SYS_close, one), 0);
    guest.put(kA, range(F_WRLCK, 0, 10));
    EXPECT_EQ(guest.call(SYS_fcntl, two, F_OFD_SETLK, kA), 0);
  });
}

TEST_F(FileCalls, ALockIsWaitedFor) {
  in_guest([](FakeGuest& guest) {
    std::int64_t fd = open(guest, "/f", O_RDWR | O_CREAT);
    guest.put(kA, range(F_WRLCK, 0, 0));
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_SETLK, kA), 0);
    std::atomic<bool> refused{false}, got{false};
    guest.fork([&refused, &got](FakeGuest& child) {
      std::int64_t own = open(child, "/f", O_RDWR);
      child.put(kA, range(F_WRLCK, 0, 0));
      EXPECT_EQ(child.call(SYS_fcntl, own, F_SETLK, kA), -EAGAIN);
      refused = true;
      EXPECT_EQ(child.call(SYS_fcntl, own, F_SETLKW, kA), 0);
      got = true;
    });
    while (!refused) guest.call(SYS_sched_yield);  // the test's own timeout bounds it
    for (int i = 0; i < 100; ++i) guest.call(SYS_sched_yield);
    EXPECT_FALSE(got);
    EXPECT_EQ(guest.call(SYS_close, fd), 0);
    EXPECT_GT(guest.call(SYS_wait4, -1, kA, 0, 0), 0);
    EXPECT_TRUE(got);
  });
}

TEST_F(FileCalls, WholeFilesAreLocked) {
  in_guest([](FakeGuest& guest) {
    std::int64_t one = open(guest, "/f", O_RDWR | O_CREAT), two = open(guest, "/f", O_RDWR);
    EXPECT_EQ(guest.call(SYS_flock, one, LOCK_EX), 0);
    EXPECT_EQ(guest.call(SYS_flock, two, LOCK_SH | LOCK_NB), -EAGAIN);
    EXPECT_EQ(guest.call(SYS_flock, one, LOCK_UN), 0);
    EXPECT_EQ(guest.call(SYS_flock, two, LOCK_SH | LOCK_NB), 0);
    EXPECT_EQ(guest.call(SYS_flock, one, 77), -EINVAL);
    EXPECT_EQ(guest.call(SYS_flock, 99, LOCK_EX), -EBADF);
  });
}

TEST_F(FileCalls, ControlOfFiles) {
  in_guest([](FakeGuest& guest) {
    std::int64_t fd = open(guest, "/f", O_RDWR | O_CREAT);
    EXPECT_EQ(guest.call(SYS_write, fd, kData, 100), 100);
    EXPECT_EQ(guest.call(SYS_lseek, fd, 30, SEEK_SET), 30);
    EXPECT_EQ(guest.call(SYS_ioctl, fd, 0x541B /* FIONREAD */, kA), 0);
    EXPECT_EQ(guest.get<int>(kA), 70);
    EXPECT_EQ(guest.call(SYS_ioctl, fd, 0x5451 /* FIOCLEX */, 0), 0);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
    guest.put(kA, 1);
    EXPECT_EQ(guest.call(SYS_ioctl, fd, 0x5421 /* FIONBIO */, kA), 0);
    EXPECT_NE(guest.call(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(guest.call(SYS_ioctl, fd, 0x5401 /* TCGETS */, kA), -ENOTTY);
    EXPECT_EQ(guest.call(SYS_ioctl, 99, 0x5401, kA), -EBADF);
  });
}

TEST_F(FileCalls, ExtendedAttributes) {
  in_guest([](FakeGuest& guest) {
    std::int64_t fd = open(guest, "/f", O_RDWR | O_CREAT);
    guest.put_text(kData, "value");
    EXPECT_EQ(guest.call(SYS_fsetxattr, fd, text(guest, "user.a"), kData, 5, 0), 0);
    EXPECT_EQ(guest.call(SYS_fgetxattr, fd, text(guest, "user.a"), kData + 64, 64), 5);
    EXPECT_EQ(guest.call(SYS_fgetxattr, fd, text(guest, "user.a"), 0, 0), 5);
    EXPECT_EQ(guest.call(SYS_fgetxattr, fd, text(guest, "user.a"), kData + 64, 2), -ERANGE);
    EXPECT_EQ(guest.call(SYS_flistxattr, fd, kData + 64, 64), 7);
    EXPECT_EQ(guest.call(SYS_flistxattr, fd, kData + 64, 3), -ERANGE);
    EXPECT_EQ(guest.call(SYS_getxattr, text(guest, "/f"), second(guest, ""), kData, 5), -ERANGE);
    EXPECT_EQ(guest.call(SYS_setxattr, text(guest, "/f"), second(guest, "user.b"), kData, 70000, 0),
              -E2BIG);
    EXPECT_EQ(guest.call(SYS_fremovexattr, fd, text(guest, "user.a")), 0);
    EXPECT_EQ(guest.call(SYS_fgetxattr, fd, text(guest, "user.a"), 0, 0), -ENODATA);
    EXPECT_EQ(guest.call(SYS_symlinkat, text(guest, "f"), AT_FDCWD, second(guest, "/l")), 0);
    EXPECT_EQ(guest.call(SYS_lsetxattr, text(guest, "/l"), second(guest, "user.a"), kData, 5, 0),
              -EPERM);
  });
}

TEST_F(FileCalls, BytesGoFromFileToFile) {
  in_guest([](FakeGuest& guest) {
    std::int64_t from = open(guest, "/a", O_RDWR | O_CREAT),
                 to = open(guest, "/b", O_RDWR | O_CREAT);
    guest.put_text(kData, "0123456789");
    EXPECT_EQ(guest.call(SYS_write, from, kData, 10), 10);
    guest.put(kA, std::int64_t{2});
    EXPECT_EQ(guest.call(SYS_sendfile, to, from, kA, 4), 4);
    EXPECT_EQ(guest.get<std::int64_t>(kA), 6);
    EXPECT_EQ(guest.call(SYS_pread64, to, kData + 64, 10, 0), 4);
    EXPECT_EQ(read_text(guest, kData + 64, 4), "2345");
    EXPECT_EQ(guest.call(SYS_copy_file_range, from, kA, to, 0, 100, 0), 4);
    EXPECT_EQ(guest.call(SYS_lseek, to, 0, SEEK_CUR), 8);
    EXPECT_EQ(guest.call(SYS_copy_file_range, from, kA, to, 0, 100, 1), -EINVAL);
    guest.put(kA, std::int64_t{0});
    guest.put(kA + 8, std::int64_t{5});
    EXPECT_EQ(guest.call(SYS_copy_file_range, from, kA, from, kA + 8, 6, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_copy_file_range, from, kA, from, kA + 8, 5, 0), 5);
    EXPECT_EQ(guest.call(SYS_sendfile, to, 99, 0, 4), -EBADF);
    EXPECT_EQ(guest.call(SYS_splice, from, 0, to, 0, 4, 0), -EINVAL);
    std::int64_t directory = open(guest, "/", O_RDONLY);
    EXPECT_EQ(guest.call(SYS_copy_file_range, directory, 0, to, 0, 1, 0), -EISDIR);
  });
}

TEST_F(FileCalls, PipesAreSpliced) {
  in_guest([](FakeGuest& guest) {
    std::int64_t file = open(guest, "/a", O_RDWR | O_CREAT);
    guest.put_text(kData, "abcdef");
    EXPECT_EQ(guest.call(SYS_write, file, kData, 6), 6);
    EXPECT_EQ(guest.call(SYS_pipe2, kA, O_NONBLOCK), 0);
    int reader = guest.get<int>(kA), writer = guest.get<int>(kA + 4);
    guest.put(kA + 8, std::int64_t{1});
    EXPECT_EQ(guest.call(SYS_splice, file, kA + 8, writer, 0, 3, 0), 3);
    EXPECT_EQ(guest.get<std::int64_t>(kA + 8), 4);
    EXPECT_EQ(guest.call(SYS_read, reader, kData + 64, 10), 3);
    EXPECT_EQ(read_text(guest, kData + 64, 3), "bcd");
    EXPECT_EQ(guest.call(SYS_splice, reader, 0, file, 0, 3, 0), -EAGAIN);
    EXPECT_EQ(guest.call(SYS_splice, reader, kA + 8, file, 0, 3, 0), -ESPIPE);
    EXPECT_EQ(guest.call(SYS_splice, reader, 0, file, 0, 3, 0x100), -EINVAL);
    EXPECT_EQ(guest.call(SYS_tee, reader, file, 3, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_lseek, reader, 0, SEEK_CUR), -ESPIPE);
    EXPECT_EQ(guest.call(SYS_pread64, reader, kData, 1, 0), -ESPIPE);
  });
}

TEST_F(FileCalls, WritingToNobodyIsSignalled) {
  in_guest([](FakeGuest& guest) {
    int signals = 0;
    set_handler(guest, SIGPIPE, handler(guest, [&](FakeGuest&, int) { ++signals; }));
    EXPECT_EQ(guest.call(SYS_pipe2, kA, 0), 0);
    EXPECT_EQ(guest.call(SYS_close, guest.get<int>(kA)), 0);
    EXPECT_EQ(guest.call(SYS_write, guest.get<int>(kA + 4), kData, 1), -EPIPE);
    EXPECT_EQ(signals, 1);
  });
}

TEST_F(FileCalls, MountsComeAndGo) {
  in_guest([](FakeGuest& guest) {
    auto mount = [&](std::string_view source, std::string_view target, std::uint64_t type,
                     std::uint64_t flags) {
      return guest.call(SYS_mount, text(guest, source), second(guest, target), type, flags, 0);
    };
    constexpr std::uint64_t kType = kA + 256;
    guest.put_text(kType, "tmpfs");
    EXPECT_EQ(guest.call(SYS_mkdirat, AT_FDCWD, text(guest, "/d"), 0755), 0);
    EXPECT_EQ(guest.call(SYS_mkdirat, AT_FDCWD, text(guest, "/e"), 0755), 0);
    EXPECT_EQ(mount("none", "/missing", kType, 0), -ENOENT);
    EXPECT_EQ(mount("none", "/d", kType, 0), 0);
    guest.call(SYS_close, open(guest, "/d/f", O_CREAT | O_WRONLY));
    EXPECT_EQ(guest.call(SYS_unlinkat, AT_FDCWD, text(guest, "/d"), AT_REMOVEDIR), -EBUSY);
    EXPECT_EQ(mount("/d", "/e", 0, MS_BIND), 0);
    EXPECT_EQ(mount("none", "/e", 0, MS_REMOUNT | MS_BIND | MS_RDONLY), 0);
    EXPECT_EQ(open(guest, "/e/f", O_WRONLY), -EROFS);
    EXPECT_EQ(open(guest, "/e/new", O_WRONLY | O_CREAT), -EROFS);
    EXPECT_GE(open(guest, "/d/f", O_WRONLY), 0);
    EXPECT_EQ(mount("none", "/e/f", 0, MS_REMOUNT), -EINVAL);
    EXPECT_EQ(mount("none", "/e", 0, MS_PRIVATE | MS_REC), 0);
    EXPECT_EQ(mount("none", "/e", 0, MS_PRIVATE | MS_SLAVE), -EINVAL);
    EXPECT_EQ(mount("", "/e", 0, MS_BIND), -EINVAL);
    EXPECT_EQ(guest.call(SYS_umount2, text(guest, "/e/f"), 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_umount2, text(guest, "/e"), 0x80), -EINVAL);
    EXPECT_EQ(guest.call(SYS_umount2, text(guest, "/e"), MNT_EXPIRE), -EAGAIN);
    EXPECT_EQ(guest.call(SYS_umount2, text(guest, "/e"), MNT_EXPIRE), 0);
    EXPECT_EQ(guest.call(SYS_umount2, text(guest, "/d"), 0), -EBUSY);
    EXPECT_EQ(guest.call(SYS_umount2, text(guest, "/d"), MNT_DETACH), 0);
    guest.put_text(kType, "nothing");
    EXPECT_EQ(mount("none", "/d", kType, 0), -ENODEV);
    guest.put_text(kType, "tmpfs");
    EXPECT_EQ(mount("none", "/d", kType, 0), 0);
    EXPECT_EQ(guest.call(SYS_mkdirat, AT_FDCWD, text(guest, "/d/old"), 0755), 0);
    EXPECT_EQ(guest.call(SYS_pivot_root, text(guest, "/e"), second(guest, "/e")), -EBUSY);
    EXPECT_EQ(guest.call(SYS_pivot_root, text(guest, "/d"), second(guest, "/d/old")), 0);
    EXPECT_EQ(guest.call(SYS_getcwd, kData, 100), 2);
    EXPECT_EQ(guest.call(SYS_newfstatat, AT_FDCWD, text(guest, "/old/e"), kData, 0), 0);
    EXPECT_EQ(guest.call(SYS_setresuid, 1000, 1000, 1000), 0);
    EXPECT_EQ(guest.call(SYS_umount2, text(guest, "/old"), MNT_DETACH), -EPERM);
    EXPECT_EQ(mount("none", "/old", kType, 0), -EPERM);
  });
}

TEST_F(FileCalls, MemoryFilesAreSealed) {
  in_guest([](FakeGuest& guest) {
    std::int64_t fd = guest.call(SYS_memfd_create, text(guest, "name"), 3);
    EXPECT_GE(fd, 0);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(guest.call(SYS_ftruncate, fd, 100), 0);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    EXPECT_EQ(guest.call(SYS_ftruncate, fd, 50), -EPERM);
    EXPECT_EQ(guest.call(SYS_ftruncate, fd, 150), -EPERM);
    EXPECT_EQ(guest.call(SYS_write, fd, kData, 10), 10);
    EXPECT_EQ(guest.call(SYS_pwrite64, fd, kData, 10, 95), -EPERM);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), 0);
    EXPECT_EQ(guest.call(SYS_write, fd, kData, 10), -EPERM);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE), -EPERM);
    EXPECT_EQ(guest.call(SYS_fcntl, fd, F_GET_SEALS),
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    std::int64_t plain = guest.call(SYS_memfd_create, text(guest, "name"), 0);
    EXPECT_EQ(guest.call(SYS_fcntl, plain, F_ADD_SEALS, F_SEAL_WRITE), -EPERM);
    EXPECT_EQ(guest.call(SYS_memfd_create, text(guest, "name"), 0x4000), -EINVAL);
    EXPECT_EQ(guest.call(SYS_memfd_create, text(guest, std::string(250, 'x')), 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_memfd_create, 8, 0), -EFAULT);
  });
}

}  // namespace
}  // namespace caisson::sandbox::syscalls
