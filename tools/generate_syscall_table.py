#!/usr/bin/env python3
"""Writes src/plan/syscall_table_data.h: one row per system call name, one column per ABI.

Sources, in this order:
  x86_64, i386, x32  the kernel's uapi headers of this machine (asm/unistd_{64,32,x32}.h)
  aarch64            asm-generic/unistd.h, preprocessed with what arm64 asks for
  arm                libseccomp's resolver (no arm headers on an x86 machine)
  NEWER              system calls younger than those headers; from number 424 on all ABIs agree

Needs a C compiler and libseccomp.so.2. Run from the top of the tree; the result is committed.
"""

import ctypes
import re
import subprocess
import sys

OUTPUT = "src/plan/syscall_table_data.h"
ARM = 0x40000028

# First kernel in which the number means this: Linux 6.5 (cachestat) to 6.18.
NEWER = {
    451: "cachestat", 452: "fchmodat2", 453: "map_shadow_stack", 454: "futex_wake",
    455: "futex_wait", 456: "futex_requeue", 457: "statmount", 458: "listmount",
    459: "lsm_get_self_attr", 460: "lsm_set_self_attr", 461: "lsm_list_modules", 462: "mseal",
    463: "setxattrat", 464: "getxattrat", 465: "listxattrat", 466: "removexattrat",
    467: "open_tree_attr", 468: "file_getattr", 469: "file_setattr",
}
NEWER_X86_64 = {335: "uretprobe", 336: "uprobe"}

# socketcall(2) and ipc(2) of i386: include/uapi/linux/net.h and ipc.h.
SOCKETCALL = {
    "socket": 1, "bind": 2, "connect": 3, "listen": 4, "accept": 5, "getsockname": 6,
    "getpeername": 7, "socketpair": 8, "send": 9, "recv": 10, "sendto": 11, "recvfrom": 12,
    "shutdown": 13, "setsockopt": 14, "getsockopt": 15, "sendmsg": 16, "recvmsg": 17,
    "accept4": 18, "recvmmsg": 19, "sendmmsg": 20,
}
IPC = {
    "semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11, "msgrcv": 12,
    "msgget": 13, "msgctl": 14, "shmat": 21, "shmdt": 22, "shmget": 23, "shmctl": 24,
}

ARM_ONLY = ["breakpoint", "cacheflush", "usr26", "usr32", "set_tls", "get_tls",
            "arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2"]

HEAD = """\
// Made by tools/generate_syscall_table.py; do not edit. Only for syscall_table.cc.
#pragma once

#include <cstdint>
#include <string_view>

namespace caisson::plan {

struct SyscallRow {  // numbers are -1 where an ABI has no such call
  std::string_view name;
  std::int32_t x86_64, i386, x32, aarch64, arm, i386_multiplexed;
};

// clang-format off
inline constexpr SyscallRow kSyscallRows[] = {
"""
TAIL = """\
};
// clang-format on

}  // namespace caisson::plan
"""

NOT_CALLS = {"syscalls", "arch_specific_syscall", "Linux"}


def numbers_of(includes, defines=()):
    """Names and numbers of the __NR_ macros after including the given headers."""
    source = "".join(f"#define {d}\n" for d in defines)
    source += "".join(f"#include <{i}>\n" for i in includes)
    macros = subprocess.run(["cc", "-E", "-dM", "-"], input=source, text=True,
                            capture_output=True, check=True).stdout
    names = sorted(set(re.findall(r"^#define __NR_([a-z_]\w*) ", macros, re.M)) - NOT_CALLS)
    probe = source + "".join(f"@@ {n} __NR_{n}\n" for n in names)
    text = subprocess.run(["cc", "-E", "-P", "-"], input=probe, text=True, capture_output=True,
                          check=True).stdout
    result = {}
    for line in text.splitlines():
        match = re.match(r"@@ (\w+) (.*)", line)
        if not match:
            continue
        expression = match.group(2).replace("(", "").replace(")", "")
        result[match.group(1)] = sum(int(t, 0) for t in expression.split("+"))
    return result


def main():
    columns = {
        "x86_64": numbers_of(["asm/unistd_64.h"]),
        "i386": numbers_of(["asm/unistd_32.h"]),
        "x32": {n: v & ~0x40000000 for n, v in
                numbers_of(["asm/unistd_x32.h"], ["__X32_SYSCALL_BIT 0x40000000"]).items()},
        "aarch64": numbers_of(["asm-generic/unistd.h"], [
            "__BITS_PER_LONG 64", "__ARCH_WANT_RENAMEAT", "__ARCH_WANT_NEW_STAT",
            "__ARCH_WANT_SET_GET_RLIMIT", "__ARCH_WANT_SYS_CLONE3", "__ARCH_WANT_MEMFD_SECRET"]),
    }
    library = ctypes.CDLL("libseccomp.so.2")
    names = set(ARM_ONLY) | set(SOCKETCALL) | set(IPC) | set(NEWER.values())
    for column in columns.values():
        names |= set(column)
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    for number in range(1000):
        name = library.seccomp_syscall_resolve_num_arch(ARM, number)
        if name:
            names.add(name.decode())
    columns["arm"] = {}
    for name in names:
        number = library.seccomp_syscall_resolve_name_arch(ARM, name.encode())
        if number >= 0:
            columns["arm"][name] = number
    for column in columns.values():
        for number, name in NEWER.items():
            column[name] = number
    for number, name in NEWER_X86_64.items():
        columns["x86_64"][name] = columns["x32"][name] = number
        names.add(name)

    order = ["x86_64", "i386", "x32", "aarch64", "arm"]
    rows = []
    for name in sorted(names):
        numbers = [columns[c].get(name, -1) for c in order]
        multiplexed = SOCKETCALL.get(name, 0) or 100 * (name in IPC) + IPC.get(name, 0)
        if max(numbers) >= 0 or multiplexed:
            rows.append((name, numbers, multiplexed))
    with open(OUTPUT, "w", encoding="ascii") as out:
        out.write(HEAD)
        for name, numbers, multiplexed in rows:
            out.write("    {\"%s\", %s, %d},\n" % (name, ", ".join(map(str, numbers)), multiplexed))
        out.write(TAIL)
    print(f"{OUTPUT}: {len(rows)} names", file=sys.stderr)


if __name__ == "__main__":
    main()
