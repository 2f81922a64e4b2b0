// The "process" object of an OCI config.
#include "spec/oci_fields.h"

namespace caisson::spec {

static Result<> read_value(JsonReader& json, ConsoleSize& out) {
  static constexpr Field<ConsoleSize> kFields[] = {
      required_field<&ConsoleSize::height>("height"),
      required_field<&ConsoleSize::width>("width"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_umask(JsonReader& json, User& out) {
  return read_within(json, out.umask, std::uint32_t{0}, std::uint32_t{0777});
}

static Result<> read_value(JsonReader& json, User& out) {
  static constexpr Field<User> kFields[] = {
      field<&User::uid>("uid"),
      field<&User::gid>("gid"),
      {"umask", read_umask},
      field<&User::additional_gids>("additionalGids"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_value(JsonReader& json, Capabilities& out) {
  static constexpr Field<Capabilities> kFields[] = {
      field<&Capabilities::bounding>("bounding"),
      field<&Capabilities::effective>("effective"),
      field<&Capabilities::inheritable>("inheritable"),
      field<&Capabilities::permitted>("permitted"),
      field<&Capabilities::ambient>("ambient"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

// The names of setrlimit(2).
static Result<> read_rlimit_type(JsonReader& json, Rlimit& out) {
  return read_word(
      json, out.type, "resource limit",
      {"RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS",
       "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC",
       "RLIMIT_RSS", "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK"});
}

static Result<> read_value(JsonReader& json, Rlimit& out) {
  static constexpr Field<Rlimit> kFields[] = {
      {"type", read_rlimit_type, true},
      required_field<&Rlimit::hard>("hard"),
      required_field<&Rlimit::soft>("soft"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_policy(JsonReader& json, Scheduler& out) {
  return read_word(json, out.policy, "scheduling policy",
                   {"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO",
                    "SCHED_IDLE", "SCHED_DEADLINE"});
}

static Result<> read_scheduler_flags(JsonReader& json, Scheduler& out) {
  return read_words(json, out.flags, "scheduler flag",
                    {"SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN",
                     "SCHED_FLAG_KEEP_POLICY", "SCHED_FLAG_KEEP_PARAMS",
                     "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"});
}

static Result<> read_value(JsonReader& json, Scheduler& out) {
  static constexpr Field<Scheduler> kFields[] = {
      {"policy", read_policy, true},
      {"nice", [](JsonReader& j, Scheduler& s) { return read_within(j, s.nice, -20, 19); }},
      {"priority", [](JsonReader& j, Scheduler& s) { return read_within(j, s.priority, 0, 99); }},
      {"flags", read_scheduler_flags},
      field<&Scheduler::runtime>("runtime"),
      field<&Scheduler::deadline>("deadline"),
      field<&Scheduler::period>("period"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_io_class(JsonReader& json, IoPriority& out) {
  return read_word(json, out.io_class, "class of I/O priority",
                   {"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"});
}

static Result<> read_value(JsonReader& json, IoPriority& out) {
  static constexpr Field<IoPriority> kFields[] = {
      {"class", read_io_class, true},
      {"priority", [](JsonReader& j, IoPriority& p) { return read_within(j, p.priority, 0, 7); }},
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_value(JsonReader& json, ExecCpuAffinity& out) {
  using Affinity = ExecCpuAffinity;
  static constexpr Field<Affinity> kFields[] = {
      {"initial", [](JsonReader& j, Affinity& a) { return read_number_list(j, a.initial); }},
      {"final", [](JsonReader& j, Affinity& a) { return read_number_list(j, a.final_set); }},
  };
  out = {};
  return read_fields(json, out, kFields);
}

static Result<> read_oom_score(JsonReader& json, Process& out) {
  return read_within(json, out.oom_score_adj, -1000, 1000);
}

Result<> read_value(JsonReader& json, Process& out) {
  static constexpr Field<Process> kFields[] = {
      field<&Process::terminal>("terminal"),
      field<&Process::console_size>("consoleSize"),
      field<&Process::user>("user"),
      field<&Process::args>("args"),
      {"env", [](JsonReader& j, Process& p) { return read_environment(j, p.env); }},
      field<&Process::cwd>("cwd"),
      field<&Process::capabilities>("capabilities"),
      field<&Process::rlimits>("rlimits"),
      field<&Process::no_new_privileges>("noNewPrivileges"),
      field<&Process::apparmor_profile>("apparmorProfile"),
      {"oomScoreAdj", read_oom_score},
      field<&Process::scheduler>("scheduler"),
      field<&Process::selinux_label>("selinuxLabel"),
      field<&Process::io_priority>("ioPriority"),
      field<&Process::exec_cpu_affinity>("execCPUAffinity"),
  };
  out = {};
  return read_fields(json, out, kFields);
}

}  // namespace caisson::spec
