// Mappings: anonymous and of files, private and shared, protections, faults, growth, advice.
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/shm.h>

#include "frame.h"

namespace {

constexpr size_t kPage = 4096;
sigjmp_buf fault_jump;
siginfo_t fault_info;

void on_fault(int, siginfo_t* info, void*) {
  fault_info = *info;
  siglongjmp(fault_jump, 1);
}

// What touching a place does: "ok", or the signal, its code and whether the address is that place.
template <typename F>
void touch(const char* label, volatile char* place, F action) {
  frame::handle_info(SIGSEGV, on_fault);
  frame::handle_info(SIGBUS, on_fault);
  if (sigsetjmp(fault_jump, 1) == 0) {
    action(place);
    line("%s: ok", label);
    return;
  }
  line("%s: %s code %d %s", label, frame::signal_name(fault_info.si_signo), fault_info.si_code,
       fault_info.si_addr == place ? "there" : "elsewhere");
}

void touch_read(const char* label, volatile char* place) {
  touch(label, place, [](volatile char* at) { (void)*at; });
}

void touch_write(const char* label, volatile char* place) {
  touch(label, place, [](volatile char* at) { *at = 1; });
}

char* map(size_t size, int protection = PROT_READ | PROT_WRITE,
          int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1, off_t offset = 0,
          void* at = nullptr) {
  return static_cast<char*>(mmap(at, size, protection, flags, fd, offset));
}

int file_of(size_t size, char content = 'f') {
  int fd = frame::made("mapped");
  ftruncate(fd, static_cast<off_t>(size));
  for (size_t at = 0; at < size; at++) pwrite(fd, &content, 1, static_cast<off_t>(at));
  return fd;
}

int fresh(const char* name, off_t size) {
  int fd = frame::made(name);
  ftruncate(fd, size);
  return fd;
}

}  // namespace

CASE(anonymous_memory_is_zero) {
  char* memory = map(16 * kPage);
  bool zero = true;
  for (size_t at = 0; at < 16 * kPage; at++) zero = zero && memory[at] == 0;
  YES(zero);
  memset(memory, 1, 16 * kPage);
  YES(reinterpret_cast<uintptr_t>(memory) % kPage == 0);
  CALL(munmap(memory, 16 * kPage));
  touch_read("after", memory);
}

CASE(mmap_refused) {
  int fd = file_of(10);
  OK(map(0));
  OK(map(kPage, PROT_READ, MAP_ANONYMOUS));
  OK(map(kPage, PROT_READ, MAP_PRIVATE, 99));
  OK(map(kPage, PROT_READ, MAP_PRIVATE, fd, 100));
  OK(map(kPage, PROT_READ, MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS));
  OK(map(1UL << 62));
  OK(map(-1UL));
  OK(map(kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0,
         reinterpret_cast<void*>(100)));
  OK(map(kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0,
         reinterpret_cast<void*>(0x7ffffffff000)));
  OK(map(kPage, PROT_READ, MAP_PRIVATE, fd, -static_cast<off_t>(kPage)));
}

CASE(mmap_of_what_cannot_be_mapped) {
  int ends[2];
  pipe(ends);
  OK(map(kPage, PROT_READ, MAP_PRIVATE, ends[0]));
  OK(map(kPage, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY)));
  file_of(10);
  OK(map(kPage, PROT_READ, MAP_PRIVATE, open("mapped", O_WRONLY)));
  int reader = open("mapped", O_RDONLY);
  OK(map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, reader));
  OK(map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader));
  OK(map(kPage, PROT_READ, MAP_SHARED, reader));
}

CASE(protections_of_mappings) {
  char* memory = map(kPage, PROT_NONE);
  touch_read("none", memory);
  touch_write("none", memory);
  memory = map(kPage, PROT_READ);
  touch_read("read", memory);
  touch_write("read", memory);
  memory = map(kPage, PROT_WRITE);
  touch_write("write", memory);
  touch_read("write", memory);
}

CASE(unmapped_places) {
  touch_read("nothing", nullptr);
  touch_read("low", reinterpret_cast<char*>(0x1000));
  touch_write("low", reinterpret_cast<char*>(0x1000));
}

CASE(noncanonical_address) {
  frame::handle_info(SIGSEGV, on_fault);
  if (sigsetjmp(fault_jump, 1) == 0) {
    *reinterpret_cast<volatile char*>(0x8000000000000000) = 1;
  }
  line("%s code %d address %lx", frame::signal_name(fault_info.si_signo), fault_info.si_code,
       frame::word(fault_info.si_addr));
}

CASE(fixed_mapping_replaces) {
  char* memory = map(3 * kPage);
  memset(memory, 1, 3 * kPage);
  char* middle = map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0,
                     memory + kPage);
  YES(middle == memory + kPage);
  line("%d %d %d", memory[0], middle[0], memory[2 * kPage]);
}

CASE(fixed_mapping_that_replaces_nothing) {
  char* memory = map(3 * kPage);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  OK(map(kPage, PROT_READ, flags, -1, 0, memory + kPage));
  munmap(memory + kPage, kPage);
  YES(map(kPage, PROT_READ, flags, -1, 0, memory + kPage) == memory + kPage);
}

CASE(hint_is_taken_when_free) {
  char* memory = map(4 * kPage);
  munmap(memory, 4 * kPage);
  YES(map(kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, memory + kPage) == memory + kPage);
  YES(map(kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, memory + kPage) != memory + kPage);
}

CASE(low_mapping) {
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT);
  YES(reinterpret_cast<uintptr_t>(memory) < 0x80000000);
}

CASE(munmap_in_the_middle) {
  char* memory = map(3 * kPage);
  CALL(munmap(memory + kPage, kPage));
  touch_read("first", memory);
  touch_read("second", memory + kPage);
  touch_read("third", memory + 2 * kPage);
  CALL(munmap(memory, 3 * kPage));
  CALL(munmap(memory, 3 * kPage));
}

CASE(munmap_refused) {
  char* memory = map(kPage);
  CALL(munmap(memory + 1, kPage));
  CALL(munmap(memory, 0));
  CALL(munmap(memory, -1UL));
  CALL(munmap(memory, 1));
  touch_read("after", memory);
}

CASE(mprotect_changes) {
  char* memory = map(3 * kPage);
  memory[kPage] = 7;
  CALL(mprotect(memory + kPage, kPage, PROT_READ));
  touch_write("first", memory);
  touch_write("second", memory + kPage);
  touch_write("third", memory + 2 * kPage);
  CALL(mprotect(memory, 3 * kPage, PROT_NONE));
  touch_read("first", memory);
  CALL(mprotect(memory, 3 * kPage, PROT_READ | PROT_WRITE));
  line("%d", memory[kPage]);
}

CASE(mprotect_refused) {
  char* memory = map(3 * kPage);
  CALL(mprotect(memory + 1, kPage, PROT_READ));
  CALL(mprotect(memory, 0, PROT_READ));
  CALL(mprotect(memory, kPage, 0x100));
  CALL(mprotect(memory, -1UL, PROT_READ));
  munmap(memory + kPage, kPage);
  CALL(mprotect(memory, 3 * kPage, PROT_READ));
  touch_write("first", memory);
  touch_write("third", memory + 2 * kPage);
}

CASE(mprotect_of_a_shared_file_needs_its_permission) {
  file_of(10);
  int reader = open("mapped", O_RDONLY);
  char* memory = map(kPage, PROT_READ, MAP_SHARED, reader);
  CALL(mprotect(memory, kPage, PROT_READ | PROT_WRITE));
  memory = map(kPage, PROT_READ, MAP_PRIVATE, reader);
  CALL(mprotect(memory, kPage, PROT_READ | PROT_WRITE));
}

CASE(code_is_executed_where_it_may) {
  char* memory = map(kPage);
  const unsigned char code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3};  // mov eax, 42; ret
  memcpy(memory, code, sizeof(code));
  auto function = reinterpret_cast<int (*)()>(memory);
  touch("without", memory, [&](volatile char*) { function(); });
  CALL(mprotect(memory, kPage, PROT_READ | PROT_EXEC));
  line("%d", function());
}

CASE(private_file_mapping_keeps_its_writes) {
  int fd = file_of(10);
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
  memcpy(memory, "private", 7);
  frame::cat("mapped");
  frame::bytes("memory", memory, 12);
}

CASE(shared_file_mapping_writes_the_file) {
  int fd = file_of(10);
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  memcpy(memory, "shared", 6);
  frame::cat("mapped");
  pwrite(fd, "WRITTEN", 7, 1);
  frame::bytes("memory", memory, 12);
  memory[11] = 'x';  // behind the end: not in the file
  CALL(msync(memory, kPage, MS_SYNC));
  frame::cat("mapped");
}

CASE(mapping_outlives_its_descriptor_and_name) {
  int fd = file_of(10);
  char* memory = map(kPage, PROT_READ, MAP_SHARED, fd);
  CALL(close(fd));
  CALL(unlink("mapped"));
  frame::bytes("memory", memory, 10);
}

CASE(mapping_at_an_offset) {
  int fd = fresh("f", 3 * kPage);
  pwrite(fd, "third", 5, 2 * kPage);
  char* memory = map(kPage, PROT_READ, MAP_SHARED, fd, 2 * kPage);
  frame::bytes("memory", memory, 6);
}

CASE(mapping_behind_the_end) {
  int fd = fresh("f", 10);
  char* memory = map(3 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  touch_write("inside", memory + 5);
  touch_write("same page", memory + 100);
  touch_read("next page", memory + kPage);
  touch_write("next page", memory + kPage);
  ftruncate(fd, 2 * kPage);
  touch_write("after growing", memory + kPage);
  ftruncate(fd, 10);
  touch_read("after shrinking", memory + kPage);
}

CASE(private_mapping_behind_the_end) {
  int fd = fresh("f", 10);
  char* memory = map(2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
  touch_read("next page", memory + kPage);
  touch_write("next page", memory + kPage);
}

CASE(shrinking_zeroes_the_tail) {
  int fd = file_of(100);
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  CALL(ftruncate(fd, 10));
  frame::bytes("memory", memory, 100);
}

CASE(system_calls_on_bad_memory) {
  int fd = fresh("f", 0);
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  int other = frame::made("other");
  CALL(write(other, memory, 10));
  CALL(pread(open("/dev/zero", O_RDONLY), memory, 10, 0));
  char* none = map(kPage, PROT_NONE);
  CALL(write(other, none, 10));
  char* readable = map(kPage, PROT_READ);
  CALL(read(open("/dev/zero", O_RDONLY), readable, 10));
}

CASE(copy_on_write_at_fork) {
  char* memory = map(2 * kPage);
  memory[0] = 1;
  frame::Gate wrote, checked;
  pid_t pid = frame::child([&] {
    line("child sees %d", memory[0]);
    memory[0] = 2;
    memory[kPage] = 3;
    wrote.open();
    checked.wait();
    line("child sees %d %d", memory[0], memory[kPage]);
  });
  wrote.wait();
  line("parent sees %d %d", memory[0], memory[kPage]);
  memory[0] = 4;
  checked.open();
  frame::join(pid);
}

CASE(shared_memory_at_fork) {
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
  frame::in_child([&] { memory[5] = 5; });
  line("%d", memory[5]);
}

CASE(copies_of_copies) {
  int* memory = reinterpret_cast<int*>(map(kPage));
  for (int depth = 0; depth < 5; depth++) {
    pid_t pid = fork();
    if (pid != 0) {
      int status;
      waitpid(pid, &status, 0);
      line("depth %d holds %d", depth, memory[0]);
      if (depth > 0) _exit(0);
      return;
    }
    memory[0]++;
  }
  line("last holds %d", memory[0]);
  _exit(0);
}

CASE(private_file_mapping_at_fork) {
  int fd = file_of(10);
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
  memory[0] = 'P';
  frame::in_child([&] {
    memory[1] = 'C';
    frame::bytes("child", memory, 10);
  });
  frame::bytes("parent", memory, 10);
}

CASE(one_file_mapped_by_two_processes) {
  int fd = fresh("f", kPage);
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  frame::in_child([] {
    int own = open("f", O_RDWR);
    char* other = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, own);
    strcpy(other, "from the child");
  });
  frame::text("memory", memory);
}

CASE(two_mappings_of_one_file) {
  int fd = fresh("f", kPage);
  char* one = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  char* two = map(kPage, PROT_READ, MAP_SHARED, fd);
  char* three = map(kPage, PROT_READ, MAP_PRIVATE, fd);
  strcpy(one, "text");
  frame::text("two", two);
  frame::text("three", three);
}

CASE(mremap_grows_and_shrinks) {
  char* memory = map(4 * kPage);
  memory[0] = 1;
  munmap(memory + 2 * kPage, 2 * kPage);
  YES(mremap(memory, 2 * kPage, 4 * kPage, 0) == memory);
  memory[3 * kPage] = 3;
  YES(mremap(memory, 4 * kPage, kPage, 0) == memory);
  touch_read("cut", memory + kPage);
  line("%d", memory[0]);
}

CASE(mremap_moves) {
  char* memory = map(3 * kPage);
  memory[0] = 1;
  memory[kPage] = 2;
  // What follows is in use, so two pages cannot grow in place.
  OK(mremap(memory, 2 * kPage, 3 * kPage, 0));
  char* moved = static_cast<char*>(mremap(memory, 2 * kPage, 8 * kPage, MREMAP_MAYMOVE));
  YES(moved != memory);
  line("%d %d %d", moved[0], moved[kPage], moved[7 * kPage]);
  touch_read("before", memory);
  touch_read("third", memory + 2 * kPage);
}

CASE(mremap_to_a_place) {
  char* memory = map(kPage);
  char* target = map(2 * kPage);
  memory[0] = 9;
  target[kPage] = 8;
  YES(mremap(memory, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
  line("%d %d", target[0], target[kPage]);
  OK(mremap(target, kPage, kPage, MREMAP_FIXED, memory));
  OK(mremap(target, 2 * kPage, 2 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, target + kPage));
}

CASE(mremap_keeps_the_source) {
  char* memory = map(kPage);
  memory[0] = 5;
  void* result = mremap(memory, kPage, kPage, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, nullptr);
  if (result == MAP_FAILED) return;
  line("%d %d", static_cast<char*>(result)[0], memory[0]);
}

CASE(mremap_refused) {
  char* memory = map(2 * kPage);
  OK(mremap(memory + 1, kPage, kPage, 0));
  OK(mremap(memory, kPage, 0, 0));
  OK(mremap(memory, kPage, kPage, 0x100));
  munmap(memory, 2 * kPage);
  OK(mremap(memory, kPage, 2 * kPage, MREMAP_MAYMOVE));
}

CASE(mremap_of_a_shared_file) {
  int fd = fresh("f", 4 * kPage);
  pwrite(fd, "later", 5, 3 * kPage);
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  char* moved = static_cast<char*>(mremap(memory, kPage, 4 * kPage, MREMAP_MAYMOVE));
  frame::text("moved", moved + 3 * kPage);
  strcpy(moved, "written");
  char data[8] = {};
  pread(fd, data, 7, 0);
  frame::text("file", data);
}

CASE(brk_moves) {
  char* start = static_cast<char*>(sbrk(0));
  YES(syscall(SYS_brk, 0) == frame::word(start));
  YES(syscall(SYS_brk, start + 10 * kPage) == frame::word(start + 10 * kPage));
  start[10 * kPage - 1] = 1;
  YES(syscall(SYS_brk, start + 5 * kPage) == frame::word(start + 5 * kPage));
  touch_read("given back", start + 9 * kPage);
  YES(syscall(SYS_brk, 1) == frame::word(start + 5 * kPage));
  YES(syscall(SYS_brk, start + 10 * kPage) == frame::word(start + 10 * kPage));
  line("%d", start[10 * kPage - 1]);
}

CASE(brk_and_its_limit) {
  struct rlimit limit = {1 << 20, 1 << 20};
  CALL(setrlimit(RLIMIT_DATA, &limit));
  char* start = static_cast<char*>(sbrk(0));
  YES(syscall(SYS_brk, start + (4 << 20)) == frame::word(start));
}

CASE(dontneed_forgets) {
  char* memory = map(2 * kPage);
  memset(memory, 1, 2 * kPage);
  CALL(madvise(memory, kPage, MADV_DONTNEED));
  line("%d %d", memory[0], memory[kPage]);
  int fd = file_of(10);
  char* file = map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
  file[0] = 'p';
  CALL(madvise(file, kPage, MADV_DONTNEED));
  frame::bytes("file", file, 10);
}

CASE(advice_refused) {
  char* memory = map(2 * kPage);
  CALL(madvise(memory + 1, kPage, MADV_DONTNEED));
  CALL(madvise(memory, kPage, 9999));
  CALL(madvise(memory, 0, MADV_DONTNEED));
  munmap(memory + kPage, kPage);
  CALL(madvise(memory, 2 * kPage, MADV_DONTNEED));
  CALL(madvise(memory, 2 * kPage, MADV_WILLNEED));
  CALL(madvise(memory, kPage, MADV_NORMAL));
  CALL(madvise(memory, kPage, MADV_SEQUENTIAL));
}

CASE(advice_at_fork) {
  char* gone = map(kPage);
  char* wiped = map(kPage);
  gone[0] = wiped[0] = 1;
  CALL(madvise(gone, kPage, MADV_DONTFORK));
  CALL(madvise(wiped, kPage, MADV_WIPEONFORK));
  frame::in_child([&] {
    line("%d", wiped[0]);
    touch_read("gone", gone);
  });
  line("%d %d", wiped[0], gone[0]);
}

CASE(removed_by_advice) {
  int fd = file_of(2 * kPage);
  char* memory = map(2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  CALL(madvise(memory, kPage, MADV_REMOVE));
  line("%d %d", memory[0], memory[kPage]);
  struct stat found;
  fstat(fd, &found);
  SHOW(found.st_size);
}

CASE(msync_refused) {
  char* memory = map(2 * kPage);
  CALL(msync(memory, kPage, MS_SYNC));
  CALL(msync(memory, kPage, MS_SYNC | MS_ASYNC));
  CALL(msync(memory + 1, kPage, MS_SYNC));
  CALL(msync(memory, kPage, 0x100));
  munmap(memory, kPage);
  CALL(msync(memory, 2 * kPage, MS_SYNC));
  CALL(msync(memory + kPage, kPage, MS_INVALIDATE));
}

CASE(residence) {
  char* memory = map(4 * kPage);
  unsigned char resident[4] = {9, 9, 9, 9};
  memory[0] = 1;
  CALL(mincore(memory, 4 * kPage, resident));
  SHOW(resident[0] & 1);
  CALL(mincore(memory + 1, kPage, resident));
  CALL(syscall(SYS_mincore, memory, kPage, 1));
  munmap(memory + kPage, kPage);
  CALL(mincore(memory, 4 * kPage, resident));
}

CASE(locked_memory) {
  char* memory = map(4 * kPage);
  CALL(mlock(memory, 4 * kPage));
  unsigned char resident[4] = {};
  CALL(mincore(memory, 4 * kPage, resident));
  line("%d%d%d%d", resident[0] & 1, resident[1] & 1, resident[2] & 1, resident[3] & 1);
  CALL(munlock(memory, 4 * kPage));
  CALL(mlock2(memory, kPage, MLOCK_ONFAULT));
  CALL(mlock2(memory, kPage, 0x100));
  munmap(memory, kPage);
  CALL(mlock(memory, 4 * kPage));
  CALL(mlockall(0));
  CALL(mlockall(MCL_CURRENT));
  CALL(munlockall());
}

CASE(stack_grows) {
  struct Deep {
    static int down(int depth) {
      volatile char space[4096];
      space[0] = static_cast<char>(depth);
      return depth == 0 ? space[0] : down(depth - 1) + space[0] * 0;
    }
  };
  line("%d", Deep::down(500));
}

CASE(stack_overflow_is_a_fault) {
  struct Deep {
    static int down(int depth) {
      volatile char space[65536];
      space[0] = static_cast<char>(depth);
      return depth == 1 << 30 ? 0 : down(depth + 1) + space[0];
    }
  };
  frame::in_child([] { Deep::down(0); });
}

CASE(stack_overflow_is_handled_on_another_stack) {
  stack_t stack = {map(64 * kPage), 0, 64 * kPage};
  CALL(sigaltstack(&stack, nullptr));
  struct Deep {
    static int down(int depth) {
      volatile char space[65536];
      space[0] = static_cast<char>(depth);
      return depth == 1 << 30 ? 0 : down(depth + 1) + space[0];
    }
  };
  frame::handle_info(SIGSEGV, on_fault, SA_ONSTACK);
  if (sigsetjmp(fault_jump, 1) == 0) Deep::down(0);
  line("%s code %d", frame::signal_name(fault_info.si_signo), fault_info.si_code);
}

CASE(growing_mapping) {
  char* memory =
      map(64 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN);
  OK(memory);
  touch_write("lowest", memory);
  munmap(memory, 32 * kPage);
  touch_write("middle", memory + 32 * kPage);
}

CASE(anonymous_files) {
  int fd = memfd_create("name", 0);
  SHOW(fd);
  CALL(write(fd, "content", 7));
  char data[8] = {};
  CALL(pread(fd, data, 7, 0));
  frame::text("data", data);
  char target[64] = {};
  readlink("/proc/self/fd/3", target, 63);
  frame::text("target", target);
  CALL(fcntl(fd, F_GET_SEALS));
  CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  CALL(memfd_create("name", 0x100));
  CALL(syscall(SYS_memfd_create, 1, 0));
}

CASE(anonymous_files_are_shared) {
  int fd = memfd_create("name", MFD_CLOEXEC);
  ftruncate(fd, kPage);
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  frame::in_child([&] { pwrite(fd, "child", 5, 0); });
  frame::text("memory", memory);
}

CASE(seals_against_writing) {
  int fd = memfd_create("name", MFD_ALLOW_SEALING);
  CALL(write(fd, "content", 7));
  CALL(fcntl(fd, F_GET_SEALS));
  CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  CALL(write(fd, "more", 4));
  CALL(pwrite(fd, "x", 1, 0));
  OK(map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd));
  OK(map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd));
  CALL(fallocate(fd, 3, 0, 1));
  CALL(ftruncate(fd, 3));
}

CASE(seals_against_sizes) {
  int fd = memfd_create("name", MFD_ALLOW_SEALING);
  CALL(ftruncate(fd, 100));
  CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
  CALL(ftruncate(fd, 50));
  CALL(ftruncate(fd, 200));
  CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
  CALL(ftruncate(fd, 300));
  CALL(pwrite(fd, "x", 1, 199));
  CALL(pwrite(fd, "x", 1, 200));
  CALL(fallocate(fd, 0, 0, 300));
  CALL(fcntl(fd, F_GET_SEALS));
}

CASE(seals_are_sealed) {
  int fd = memfd_create("name", MFD_ALLOW_SEALING);
  CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
  CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  CALL(fcntl(fd, F_ADD_SEALS, 0x1000));
  CALL(fcntl(frame::made("x"), F_GET_SEALS));
}

CASE(seals_and_writable_mappings) {
  int fd = memfd_create("name", MFD_ALLOW_SEALING);
  ftruncate(fd, kPage);
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
  memory[0] = 1;
  CALL(pwrite(fd, "x", 1, 0));
  munmap(memory, kPage);
  CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
}

CASE(address_space_limit) {
  frame::in_child([] {
    struct rlimit limit = {64 << 20, 64 << 20};
    CALL(setrlimit(RLIMIT_AS, &limit));
    OK(map(128 << 20));
    OK(map(1 << 20));
  });
}

CASE(many_mappings) {
  char* memory = map(2000 * kPage);
  for (int index = 0; index < 2000; index += 2) {
    if (mprotect(memory + index * kPage, kPage, PROT_READ) != 0)
      line("%d: %s", index, frame::error_name(errno));
  }
  touch_write("even", memory + 1000 * kPage);
  touch_write("odd", memory + 1001 * kPage);
  CALL(munmap(memory, 2000 * kPage));
}

CASE(big_mapping_is_touched_here_and_there) {
  size_t size = 4UL << 30;
  char* memory = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  long sum = 0;
  for (size_t at = 0; at < size; at += 256UL << 20) memory[at] = 1;
  for (size_t at = 0; at < size; at += 256UL << 20) sum += memory[at];
  SHOW(sum);
  CALL(munmap(memory, size));
}

CASE(system_v_shared_memory) {
  int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
  YES(id >= 0);
  char* memory = static_cast<char*>(shmat(id, nullptr, 0));
  frame::in_child([&] { strcpy(memory, "from the child"); });
  frame::text("memory", memory);
  shmid_ds about;
  CALL(shmctl(id, IPC_STAT, &about));
  line("size %zu attached %lu mode %o", about.shm_segsz, about.shm_nattch,
       about.shm_perm.mode & 0777);
  CALL(shmctl(id, IPC_RMID, nullptr));
  frame::text("memory", memory);
  CALL(shmdt(memory));
  CALL(shmdt(memory));
  OK(shmat(id, nullptr, 0));
  CALL(shmget(0x12345, 100, 0));
}

CASE(zero_device_is_mapped) {
  int fd = open("/dev/zero", O_RDWR);
  char* memory = map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
  line("%d", memory[5]);
  memory[5] = 1;
  char* shared = map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
  frame::in_child([&] { shared[0] = 7; });
  line("%d", shared[0]);
}
