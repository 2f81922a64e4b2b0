// Reading and writing: offsets, vectors, append, holes, sizes, copies between descriptors.
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <vector>

#include "frame.h"

namespace {

int with(const char* content, int flags = O_RDWR) {
  frame::put("x", content);
  return open("x", flags);
}

void show_size(int fd) {
  struct stat found = {};
  fstat(fd, &found);
  line("size %ld", found.st_size);
}

}  // namespace

CASE(read_moves_on) {
  int fd = with("0123456789");
  char data[16] = {};
  CALL(read(fd, data, 4));
  CALL(read(fd, data + 4, 4));
  CALL(read(fd, data + 8, 4));
  CALL(read(fd, data + 12, 4));
  frame::text("data", data);
}

CASE(read_nothing) {
  int fd = with("0123456789");
  CALL(read(fd, nullptr, 0));
  CALL(read(fd, reinterpret_cast<void*>(1), 0));
  CALL(read(99, nullptr, 0));
  CALL(write(fd, nullptr, 0));
  CALL(lseek(fd, 0, SEEK_CUR));
}

CASE(read_to_bad_addresses) {
  int fd = with("0123456789");
  CALL(syscall(SYS_read, fd, 1, 5));
  CALL(syscall(SYS_read, fd, nullptr, 5));
  CALL(syscall(SYS_read, fd, -4096L, 5));
  CALL(lseek(fd, 0, SEEK_CUR));
}

CASE(read_to_the_end_of_memory) {
  char* pages = static_cast<char*>(
      mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(pages + 4096, 4096);
  int fd = with("0123456789");
  CALL(read(fd, pages + 4090, 6));
  CALL(write(fd, pages + 4090, 6));
  CALL(syscall(SYS_write, fd, pages + 4096, 6));
}

CASE(read_at_an_offset) {
  int fd = with("0123456789");
  char data[16] = {};
  CALL(pread(fd, data, 4, 3));
  frame::text("data", data);
  CALL(pread(fd, data, 4, 8));
  CALL(pread(fd, data, 4, 10));
  CALL(pread(fd, data, 4, 1000));
  CALL(pread(fd, data, 4, -1));
  CALL(lseek(fd, 0, SEEK_CUR));
}

CASE(write_at_an_offset) {
  int fd = with("0123456789");
  CALL(pwrite(fd, "abc", 3, 2));
  CALL(pwrite(fd, "abc", 3, -1));
  CALL(lseek(fd, 0, SEEK_CUR));
  CALL(pwrite(fd, "end", 3, 12));
  frame::cat("x");
}

CASE(write_at_an_offset_appends_all_the_same) {
  int fd = with("0123456789", O_RDWR | O_APPEND);
  CALL(pwrite(fd, "abc", 3, 2));
  frame::cat("x");
  CALL(lseek(fd, 0, SEEK_CUR));
}

CASE(append_goes_to_the_end) {
  int fd = with("0123", O_RDWR | O_APPEND);
  int other = open("x", O_WRONLY | O_APPEND);
  CALL(write(fd, "a", 1));
  CALL(write(other, "b", 1));
  CALL(write(fd, "c", 1));
  CALL(lseek(fd, 0, SEEK_CUR));
  CALL(lseek(fd, 0, SEEK_SET));
  CALL(write(fd, "d", 1));
  frame::cat("x");
}

CASE(append_of_several_processes) {
  frame::put("x", "");
  pid_t pids[4];
  for (pid_t& pid : pids) {
    pid = frame::child([] {
      int fd = open("x", O_WRONLY | O_APPEND);
      for (int count = 0; count < 100; count++) write(fd, "0123456789", 10);
    });
  }
  for (pid_t pid : pids) frame::join(pid);
  struct stat found;
  stat("x", &found);
  SHOW(found.st_size);
}

CASE(seeks) {
  int fd = with("0123456789");
  CALL(lseek(fd, 4, SEEK_SET));
  CALL(lseek(fd, 2, SEEK_CUR));
  CALL(lseek(fd, -3, SEEK_END));
  CALL(lseek(fd, 100, SEEK_END));
  CALL(lseek(fd, -1, SEEK_SET));
  CALL(lseek(fd, -200, SEEK_CUR));
  CALL(lseek(fd, 0, SEEK_CUR));
  CALL(lseek(fd, 0, 99));
  CALL(lseek(99, 0, SEEK_SET));
  CALL(lseek(fd, 0x7fffffffffffffff, SEEK_SET));
  CALL(lseek(fd, 1, SEEK_CUR));
}

CASE(seeks_where_there_is_no_place) {
  int ends[2];
  CALL(pipe(ends));
  char byte;
  CALL(lseek(ends[0], 0, SEEK_CUR));
  CALL(pread(ends[0], &byte, 1, 0));
  CALL(pwrite(ends[1], "x", 1, 0));
}

CASE(writing_behind_the_end_leaves_a_hole) {
  int fd = frame::made("x");
  CALL(lseek(fd, 20, SEEK_SET));
  CALL(write(fd, "end", 3));
  frame::cat("x");
  show_size(fd);
}

CASE(holes_are_found) {
  int fd = frame::made("x");
  CALL(pwrite(fd, "x", 1, 0));
  CALL(pwrite(fd, "y", 1, 1 << 20));
  CALL(lseek(fd, 0, SEEK_HOLE));
  CALL(lseek(fd, 0, SEEK_DATA));
  CALL(lseek(fd, 4096, SEEK_DATA));
  CALL(lseek(fd, 1 << 20, SEEK_HOLE));
  CALL(lseek(fd, 5000, SEEK_HOLE));
  CALL(lseek(fd, 2 << 20, SEEK_DATA));
  CALL(lseek(fd, 2 << 20, SEEK_HOLE));
}

CASE(huge_sparse_file) {
  int fd = frame::made("x");
  CALL(ftruncate(fd, 1L << 40));
  show_size(fd);
  CALL(pwrite(fd, "x", 1, (1L << 40) - 1));
  char data[4] = {1, 1, 1, 1};
  CALL(pread(fd, data, 4, 1L << 39));
  frame::bytes("data", data, 4);
  struct stat found;
  fstat(fd, &found);
  YES(found.st_blocks < 1000);
}

CASE(truncate_shrinks_and_grows) {
  int fd = with("0123456789");
  CALL(ftruncate(fd, 4));
  CALL(ftruncate(fd, 8));
  frame::cat("x");
  CALL(truncate("x", 2));
  frame::cat("x");
  CALL(lseek(fd, 0, SEEK_CUR));
}

CASE(truncate_refused) {
  int reader = with("0123456789", O_RDONLY);
  CALL(mkdir("d", 0755));
  CALL(ftruncate(reader, 0));
  CALL(truncate("d", 0));
  CALL(truncate("missing", 0));
  CALL(truncate("x", -1));
  CALL(ftruncate(99, 0));
  int ends[2];
  pipe(ends);
  CALL(ftruncate(ends[1], 0));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(truncate("x", 0));
  });
}

CASE(truncated_tail_reads_as_zeros) {
  int fd = frame::made("x");
  std::vector<char> data(10000, 'x');
  CALL(write(fd, data.data(), data.size()));
  CALL(ftruncate(fd, 5000));
  CALL(ftruncate(fd, 10000));
  CALL(pread(fd, data.data(), data.size(), 0));
  frame::bytes("data", data.data(), data.size());
}

CASE(vectors_are_read_and_written) {
  int fd = frame::made("x");
  char one[] = "one", two[] = "two", three[] = "three";
  iovec out[] = {{one, 3}, {nullptr, 0}, {two, 3}, {three, 5}};
  CALL(writev(fd, out, 4));
  frame::cat("x");
  char a[5] = {}, b[9] = {};
  iovec in[] = {{a, 4}, {b, 8}};
  CALL(lseek(fd, 0, SEEK_SET));
  CALL(readv(fd, in, 2));
  frame::text("a", a);
  frame::text("b", b);
  CALL(readv(fd, in, 2));
}

CASE(vectors_at_an_offset) {
  int fd = with("0123456789");
  char a[3] = {}, b[3] = {};
  iovec both[] = {{a, 2}, {b, 2}};
  CALL(preadv(fd, both, 2, 5));
  frame::text("a", a);
  frame::text("b", b);
  CALL(pwritev(fd, both, 2, 0));
  frame::cat("x");
  CALL(preadv(fd, both, 2, -1));
  CALL(lseek(fd, 0, SEEK_CUR));
}

CASE(vectors_with_flags) {
  int fd = with("0123456789");
  char a[3] = {};
  iovec one[] = {{a, 2}};
  CALL(preadv2(fd, one, 1, 4, 0));
  CALL(preadv2(fd, one, 1, -1, 0));
  CALL(lseek(fd, 0, SEEK_CUR));
  CALL(preadv2(fd, one, 1, 0, 0x4000000));
  CALL(pwritev2(fd, one, 1, 0, RWF_APPEND));
  frame::cat("x");
}

CASE(vectors_refused) {
  int fd = with("0123456789");
  char data[8];
  iovec bad[] = {{data, 4}, {reinterpret_cast<void*>(1), 4}};
  CALL(readv(fd, bad, -1));
  CALL(readv(fd, bad, 1025));
  CALL(readv(fd, nullptr, 0));
  CALL(syscall(SYS_readv, fd, 1, 2));
  CALL(readv(fd, bad, 2));
  iovec negative[] = {{data, static_cast<size_t>(-1)}};
  CALL(readv(fd, negative, 1));
  CALL(writev(fd, negative, 1));
  CALL(readv(99, bad, 1));
}

CASE(vectors_with_a_bad_part_write_the_rest) {
  int fd = frame::made("x");
  char good[] = "good";
  iovec mixed[] = {{good, 4}, {reinterpret_cast<void*>(1), 4}};
  CALL(writev(fd, mixed, 2));
  frame::cat("x");
}

CASE(sizes_are_cut) {
  int fd = open("/dev/zero", O_RDONLY);
  int null = open("/dev/null", O_WRONLY);
  void* memory =
      mmap(nullptr, 3UL << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CALL(write(null, memory, 3UL << 30));
  CALL(syscall(SYS_read, fd, memory, -1L));
}

CASE(allocation) {
  int fd = frame::made("x");
  CALL(fallocate(fd, 0, 0, 10000));
  show_size(fd);
  CALL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 50000));
  show_size(fd);
  CALL(fallocate(fd, 0, 20000, 100));
  show_size(fd);
  struct stat found;
  fstat(fd, &found);
  YES(found.st_blocks >= 50000 / 512);
}

CASE(allocation_punches_holes) {
  int fd = frame::made("x");
  std::vector<char> data(16384, 'x');
  CALL(write(fd, data.data(), data.size()));
  CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1000, 9000));
  show_size(fd);
  CALL(pread(fd, data.data(), data.size(), 0));
  frame::bytes("data", data.data(), data.size());
  CALL(lseek(fd, 0, SEEK_HOLE));
  CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 100));
}

CASE(allocation_refused) {
  int fd = frame::made("x");
  CALL(fallocate(fd, 0, 0, 0));
  CALL(fallocate(fd, 0, -1, 10));
  CALL(fallocate(fd, 0, 0, -10));
  CALL(fallocate(fd, 0x100, 0, 10));
  CALL(fallocate(99, 0, 0, 10));
  CALL(fallocate(open("x", O_RDONLY), 0, 0, 10));
  CALL(fallocate(fd, 0, 0x7fffffffffffffff, 10));
  int ends[2];
  pipe(ends);
  CALL(fallocate(ends[1], 0, 0, 10));
  CALL(fallocate(open(".", O_RDONLY), 0, 0, 10));
}

CASE(file_size_limit) {
  struct rlimit limit = {10, 10};
  CALL(setrlimit(RLIMIT_FSIZE, &limit));
  signal(SIGXFSZ, SIG_IGN);
  int fd = frame::made("x");
  CALL(write(fd, "0123456", 7));
  CALL(write(fd, "0123456", 7));
  CALL(write(fd, "0123456", 7));
  CALL(ftruncate(fd, 11));
  CALL(ftruncate(fd, 10));
  CALL(fallocate(fd, 0, 0, 100));
  frame::cat("x");
}

CASE(file_size_limit_kills) {
  frame::in_child([] {
    struct rlimit limit = {10, 10};
    setrlimit(RLIMIT_FSIZE, &limit);
    int fd = frame::made("x");
    CALL(pwrite(fd, "x", 1, 20));
  });
}

CASE(sendfile_between_files) {
  int from = with("0123456789");
  int to = frame::made("y");
  off_t at = 2;
  CALL(sendfile(to, from, &at, 4));
  SHOW(at);
  CALL(lseek(from, 0, SEEK_CUR));
  CALL(sendfile(to, from, nullptr, 3));
  CALL(lseek(from, 0, SEEK_CUR));
  CALL(sendfile(to, from, nullptr, 100));
  CALL(sendfile(to, from, nullptr, 100));
  frame::cat("y");
}

CASE(sendfile_refused) {
  int from = with("0123456789");
  int to = frame::made("y");
  int ends[2];
  CALL(pipe(ends));
  off_t at = -1;
  CALL(sendfile(to, from, &at, 4));
  CALL(sendfile(99, from, nullptr, 4));
  CALL(sendfile(to, 99, nullptr, 4));
  CALL(sendfile(open("y", O_RDONLY), from, nullptr, 4));
  CALL(sendfile(to, open("x", O_WRONLY), nullptr, 4));
  CALL(sendfile(open("y", O_WRONLY | O_APPEND), from, nullptr, 4));
  CALL(sendfile(ends[1], from, nullptr, 4));
  CALL(syscall(SYS_sendfile, to, from, 1, 4));
}

CASE(copy_file_range_between_files) {
  int from = with("0123456789");
  int to = frame::made("y");
  off64_t in = 2, out = 5;
  CALL(copy_file_range(from, &in, to, &out, 4, 0));
  line("in %ld out %ld", in, out);
  CALL(copy_file_range(from, nullptr, to, nullptr, 3, 0));
  CALL(lseek(from, 0, SEEK_CUR));
  CALL(lseek(to, 0, SEEK_CUR));
  in = 10;
  CALL(copy_file_range(from, &in, to, nullptr, 3, 0));
  frame::cat("y");
}

CASE(copy_file_range_refused) {
  int from = with("0123456789");
  int to = frame::made("y");
  off64_t in = 0, out = 2;
  CALL(copy_file_range(from, nullptr, to, nullptr, 3, 1));
  CALL(copy_file_range(from, &in, from, &out, 5, 0));
  CALL(copy_file_range(99, nullptr, to, nullptr, 3, 0));
  CALL(copy_file_range(from, nullptr, open("y", O_RDONLY), nullptr, 3, 0));
  CALL(copy_file_range(from, nullptr, open("y", O_WRONLY | O_APPEND), nullptr, 3, 0));
  CALL(copy_file_range(open(".", O_RDONLY), nullptr, to, nullptr, 3, 0));
  int ends[2];
  pipe(ends);
  CALL(copy_file_range(from, nullptr, ends[1], nullptr, 3, 0));
}

CASE(synchronisation) {
  int fd = with("content");
  int ends[2];
  CALL(pipe(ends));
  CALL(fsync(fd));
  CALL(fdatasync(fd));
  CALL(syncfs(fd));
  CALL(fsync(open(".", O_RDONLY)));
  CALL(fsync(99));
  CALL(fsync(ends[0]));
  CALL(sync_file_range(fd, 0, 10, SYNC_FILE_RANGE_WRITE));
  CALL(sync_file_range(fd, 0, 10, 0x100));
  CALL(sync_file_range(fd, -1, 10, 0));
}

CASE(advice) {
  int fd = with("content");
  int ends[2];
  CALL(pipe(ends));
  for (int kind = 0; kind < 7; kind++) FAILS(posix_fadvise(fd, 0, 10, kind));
  FAILS(posix_fadvise(ends[0], 0, 10, 0));
  FAILS(posix_fadvise(99, 0, 10, 0));
  CALL(readahead(fd, 0, 10));
  CALL(readahead(ends[0], 0, 10));
}

CASE(reading_what_another_process_wrote) {
  int fd = frame::made("x");
  frame::in_child([] {
    int other = open("x", O_WRONLY);
    write(other, "written by a child", 18);
  });
  char data[32] = {};
  CALL(read(fd, data, sizeof(data)));
  frame::text("data", data);
}

CASE(megabytes) {
  int fd = frame::made("x");
  std::vector<unsigned> data(1 << 20);
  for (size_t index = 0; index < data.size(); index++)
    data[index] = static_cast<unsigned>(index * 2654435761u);
  CALL(write(fd, data.data(), data.size() * 4));
  std::vector<unsigned> back(1 << 20);
  CALL(pread(fd, back.data(), back.size() * 4, 0));
  YES(data == back);
  CALL(pread(fd, back.data(), 1000003, 999));
  YES(memcmp(back.data(), reinterpret_cast<char*>(data.data()) + 999, 1000003) == 0);
}

CASE(process_memory_is_read_and_written) {
  char* shared = frame::shared_memory<char>(4096);
  strcpy(shared, "of the parent");
  char* own = static_cast<char*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  frame::Gate ready, done;
  pid_t pid = frame::child([&] {
    strcpy(own, "of the child");
    ready.open();
    done.wait();
    frame::text("own", own);
  });
  ready.wait();
  char data[32] = {};
  iovec local = {data, 12}, remote = {own, 12};
  CALL(process_vm_readv(pid, &local, 1, &remote, 1, 0));
  frame::text("data", data);
  char other[] = "of others!!!";
  local = {other, 12};
  CALL(process_vm_writev(pid, &local, 1, &remote, 1, 0));
  done.open();
  frame::join(pid);
  CALL(process_vm_readv(pid, &local, 1, &remote, 1, 0));
  remote = {reinterpret_cast<void*>(1), 12};
  CALL(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
  CALL(process_vm_readv(getpid(), &local, 1, &remote, 1, 1));
}
