#include "gofer/filter.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sys/process.h"

namespace caisson::gofer {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// What the low half of an argument has to be; the calls take ints there. The high half does not
// matter to them.
struct Check {
  enum Kind : std::uint8_t {
    kEquals,    // one value
    kWithin,    // no bits but these
    kContains,  // all of these bits
    kNotAbove,  // as an unsigned number; descriptors: AT_FDCWD is above
  };
  unsigned argument;
  Kind kind;
  std::uint32_t value;
};

struct Rule {
  long number;
  std::vector<Check> checks;
};

constexpr Check descriptor(unsigned argument) { return {argument, Check::kNotAbove, 0x7fffffff}; }

// Files: always below a descriptor.
std::vector<Rule> file_rules() {
  constexpr std::uint32_t kNoFollow = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  return {
      {SYS_openat2, {descriptor(0)}},
      {SYS_statx, {descriptor(0), {2, Check::kWithin, kNoFollow}}},
      {SYS_fstat, {}},
      {SYS_readlinkat, {descriptor(0)}},
      {SYS_mkdirat, {descriptor(0)}},
      {SYS_mknodat, {descriptor(0)}},
      {SYS_symlinkat, {descriptor(1)}},
      {SYS_linkat, {descriptor(0), descriptor(2), {4, Check::kEquals, 0}}},
      {SYS_unlinkat, {descriptor(0), {2, Check::kWithin, AT_REMOVEDIR}}},
      {SYS_renameat2, {descriptor(0), descriptor(2), {4, Check::kNotAbove, 2 /* EXCHANGE */}}},
      {SYS_fchownat, {descriptor(0), {4, Check::kEquals, AT_EMPTY_PATH}}},
      {452 /* fchmodat2 */, {descriptor(0), {3, Check::kEquals, AT_EMPTY_PATH}}},
      {SYS_fchmod, {}},
      {SYS_utimensat, {descriptor(0), {3, Check::kEquals, AT_EMPTY_PATH}}},
      {SYS_ftruncate, {}},
      {SYS_fgetxattr, {}},
      {SYS_fsetxattr, {}},
      {SYS_flistxattr, {}},
      {SYS_fremovexattr, {}},
  };
}

// The loop itself, and what the C library needs for its memory.
std::vector<Rule> base_rules() {
  constexpr std::uint32_t kData = PROT_READ | PROT_WRITE;
  return {
      {SYS_recvmsg, {{2, Check::kEquals, 0x40000000 /* MSG_CMSG_CLOEXEC */}}},
      {SYS_sendmsg, {{2, Check::kEquals, 0x4000 /* MSG_NOSIGNAL */}}},
      {SYS_close, {}},
      {SYS_fcntl, {{1, Check::kEquals, F_DUPFD_CLOEXEC}}},
      {SYS_brk, {}},
      {SYS_mmap, {{2, Check::kWithin, kData}, {3, Check::kContains, MAP_PRIVATE | MAP_ANONYMOUS}}},
      {SYS_mprotect, {{2, Check::kWithin, kData}}},
      {SYS_mremap, {}},
      {SYS_munmap, {}},
      {SYS_madvise, {}},
      {SYS_futex, {}},
      {SYS_getrandom, {}},
      {SYS_restart_syscall, {}},
      {SYS_rt_sigreturn, {}},
      {SYS_exit_group, {}},
  };
}

sock_filter statement(unsigned code, std::uint32_t value) {
  return {static_cast<std::uint16_t>(code), 0, 0, value};
}
sock_filter jump(unsigned code, std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
  return {static_cast<std::uint16_t>(code), yes, no, value};
}
sock_filter load(std::size_t offset) {
  return statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
sock_filter answer(std::uint32_t action) { return statement(BPF_RET | BPF_K, action); }

// Both architectures are little-endian: the low half comes first.
std::size_t low_half(unsigned argument) {
  return offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t);
}

void append(std::vector<sock_filter>& program, const Check& check) {
  program.push_back(load(low_half(check.argument)));
  switch (check.kind) {
    case Check::kEquals: program.push_back(jump(BPF_JMP | BPF_JEQ, check.value, 1, 0)); break;
    case Check::kWithin: program.push_back(jump(BPF_JMP | BPF_JSET, ~check.value, 0, 1)); break;
    case Check::kContains:
      program.push_back(statement(BPF_ALU | BPF_AND, check.value));
      program.push_back(jump(BPF_JMP | BPF_JEQ, check.value, 1, 0));
      break;
    case Check::kNotAbove: program.push_back(jump(BPF_JMP | BPF_JGT, check.value, 0, 1)); break;
  }
  program.push_back(answer(SECCOMP_RET_KILL_PROCESS));
}

void append(std::vector<sock_filter>& program, const Rule& rule) {
  std::vector<sock_filter> body;
  for (const Check& check : rule.checks) append(body, check);
  body.push_back(answer(SECCOMP_RET_ALLOW));
  program.push_back(jump(BPF_JMP | BPF_JEQ, static_cast<std::uint32_t>(rule.number), 0,
                         static_cast<std::uint8_t>(body.size())));
  program.insert(program.end(), body.begin(), body.end());
}

}  // namespace

std::vector<sock_filter> filter() {
  std::vector<sock_filter> program;
  program.push_back(load(offsetof(seccomp_data, arch)));
  program.push_back(jump(BPF_JMP | BPF_JEQ, kArchitecture, 1, 0));
  program.push_back(answer(SECCOMP_RET_KILL_PROCESS));
  program.push_back(load(offsetof(seccomp_data, nr)));
  for (const auto& rules : {base_rules(), file_rules()})
    for (const Rule& rule : rules) append(program, rule);
  program.push_back(answer(SECCOMP_RET_KILL_PROCESS));
  return program;
}

ErrnoOr<> load_filter() {
  auto program = filter();
  sock_fprog loaded{static_cast<unsigned short>(program.size()), program.data()};
  TRY(sys::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  return sys::call_void(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &loaded);
}

}  // namespace caisson::gofer
