// bpf(2): programs of cgroups. No maps, no BTF.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <span>

#include "sys/call.h"

namespace caisson::sys {

inline ErrnoOr<long> bpf(int command, bpf_attr& attributes) {
  return call(SYS_bpf, command, &attributes, sizeof attributes);
}

// Loads a program. `attach_type` is checked against what the program reads from its context.
// EAGAIN: the verifier was interrupted by a signal; bpf(2)'s users retry, and so do we.
inline ErrnoOr<Fd> bpf_load(bpf_prog_type type, bpf_attach_type attach_type,
                            std::span<const bpf_insn> program, std::span<char> log = {}) {
  bpf_attr attributes{};
  attributes.prog_type = type;
  attributes.expected_attach_type = attach_type;
  attributes.insns = reinterpret_cast<std::uintptr_t>(program.data());
  attributes.insn_cnt = static_cast<__u32>(program.size());
  attributes.license = reinterpret_cast<std::uintptr_t>("Apache-2.0");
  if (!log.empty()) {
    attributes.log_buf = reinterpret_cast<std::uintptr_t>(log.data());
    attributes.log_size = static_cast<__u32>(log.size());
    attributes.log_level = 1;
  }
  for (int attempt = 0;; ++attempt) {
    auto loaded = bpf(BPF_PROG_LOAD, attributes);
    if (loaded) return Fd(static_cast<int>(*loaded));
    if (loaded.error().value != EAGAIN || attempt == 5) return std::unexpected(loaded.error());
  }
}

// Adds a program to a cgroup. `flags`: BPF_F_ALLOW_MULTI, with BPF_F_REPLACE in place of
// `replaced`.
inline ErrnoOr<> bpf_attach(FdRef cgroup, FdRef program, bpf_attach_type type, std::uint32_t flags,
                            int replaced = 0) {
  bpf_attr attributes{};
  attributes.target_fd = static_cast<__u32>(cgroup.number());
  attributes.attach_bpf_fd = static_cast<__u32>(program.number());
  attributes.attach_type = type;
  attributes.attach_flags = flags;
  attributes.replace_bpf_fd = static_cast<__u32>(replaced);
  TRY(bpf(BPF_PROG_ATTACH, attributes));
  return {};
}

inline ErrnoOr<> bpf_detach(FdRef cgroup, FdRef program, bpf_attach_type type) {
  bpf_attr attributes{};
  attributes.target_fd = static_cast<__u32>(cgroup.number());
  attributes.attach_bpf_fd = static_cast<__u32>(program.number());
  attributes.attach_type = type;
  TRY(bpf(BPF_PROG_DETACH, attributes));
  return {};
}

// Fills `ids` with the programs attached to the cgroup itself; the kernel allows at most 64.
inline ErrnoOr<std::size_t> bpf_query(FdRef cgroup, bpf_attach_type type,
                                      std::span<std::uint32_t> ids) {
  bpf_attr attributes{};
  attributes.query.target_fd = static_cast<__u32>(cgroup.number());
  attributes.query.attach_type = type;
  attributes.query.prog_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  attributes.query.prog_cnt = static_cast<__u32>(ids.size());
  TRY(bpf(BPF_PROG_QUERY, attributes));
  return attributes.query.prog_cnt;
}

inline ErrnoOr<Fd> bpf_program_by_id(std::uint32_t id) {
  bpf_attr attributes{};
  attributes.prog_id = id;
  return Fd(static_cast<int>(TRY(bpf(BPF_PROG_GET_FD_BY_ID, attributes))));
}

// Gives a program a name in a bpf file system, by which later commands find it.
inline ErrnoOr<> bpf_pin(FdRef program, const char* path) {
  bpf_attr attributes{};
  attributes.pathname = reinterpret_cast<std::uintptr_t>(path);
  attributes.bpf_fd = static_cast<__u32>(program.number());
  TRY(bpf(BPF_OBJ_PIN, attributes));
  return {};
}
inline ErrnoOr<Fd> bpf_pinned(const char* path) {
  bpf_attr attributes{};
  attributes.pathname = reinterpret_cast<std::uintptr_t>(path);
  return Fd(static_cast<int>(TRY(bpf(BPF_OBJ_GET, attributes))));
}

}  // namespace caisson::sys
