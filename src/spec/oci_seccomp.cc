// The "linux.seccomp" object of an OCI config. Which system calls exist is for the plan to know.
#include "spec/oci_fields.h"

namespace caisson::spec {

static Result<> read_action(JsonReader& json, std::string& out) {
  return read_word(
      json, out, "seccomp action",
      {"SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",
       "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY"});
}

static Result<> read_architectures(JsonReader& json, Seccomp& out) {
  return read_words(
      json, out.architectures, "seccomp architecture",
      {"SCMP_ARCH_X86",     "SCMP_ARCH_X86_64",   "SCMP_ARCH_X32",         "SCMP_ARCH_ARM",
       "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",      "SCMP_ARCH_MIPS64N32",
       "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",
       "SCMP_ARCH_PPC64",   "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",        "SCMP_ARCH_S390X",
       "SCMP_ARCH_PARISC",  "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",     "SCMP_ARCH_LOONGARCH64",
       "SCMP_ARCH_M68K",    "SCMP_ARCH_SH",       "SCMP_ARCH_SHEB"});
}

static Result<> read_flags(JsonReader& json, Seccomp& out) {
  return read_words(json, out.flags.emplace(), "seccomp flag",
                    {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                     "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"});
}

static Result<> read_index(JsonReader& json, SeccompArg& out) {
  return read_within(json, out.index, std::uint32_t{0}, std::uint32_t{5});
}

static Result<> read_op(JsonReader& json, SeccompArg& out) {
  return read_word(json, out.op, "seccomp operator",
                   {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE",
                    "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"});
}

static Result<> read_value(JsonReader& json, SeccompArg& out) {
  static constexpr Field<SeccompArg> kFields[] = {
      {"index", read_index, true},
      required_field<&SeccompArg::value>("value"),
      field<&SeccompArg::value_two>("valueTwo"),
      {"op", read_op, true},
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_names(JsonReader& json, SeccompRule& out) {
  TRY(read_value(json, out.names));
  if (out.names.empty()) {
    return std::unexpected(json.error("a seccomp rule must name a system call"));
  }
  return {};
}

static Result<> read_value(JsonReader& json, SeccompRule& out) {
  static constexpr Field<SeccompRule> kFields[] = {
      {"names", read_names, true},
      {"action", [](JsonReader& j, SeccompRule& r) { return read_action(j, r.action); }, true},
      field<&SeccompRule::errno_ret>("errnoRet"),
      field<&SeccompRule::args>("args"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_default_action(JsonReader& json, Seccomp& out) {
  return read_action(json, out.default_action);
}

Result<> read_value(JsonReader& json, Seccomp& out) {
  static constexpr Field<Seccomp> kFields[] = {
      {"defaultAction", read_default_action, true},
      field<&Seccomp::default_errno_ret>("defaultErrnoRet"),
      {"architectures", read_architectures},
      {"flags", read_flags},
      field<&Seccomp::listener_path>("listenerPath"),
      field<&Seccomp::listener_metadata>("listenerMetadata"),
      field<&Seccomp::rules>("syscalls"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

}  // namespace caisson::spec
