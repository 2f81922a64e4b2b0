#include "cli/commands.h"

namespace caisson::cli {
namespace {

constexpr const Command* kPeopleCommands[] = {
    &kRunCommand,     &kExecCommand,       &kPsCommand,         &kListCommand,    &kTopCommand,
    &kStatsCommand,   &kLogsCommand,       &kInspectCommand,    &kDiffCommand,    &kStopCommand,
    &kKillCommand,    &kPauseCommand,      &kResumeCommand,     &kUpdateCommand,  &kMountCommand,
    &kUnmountCommand, &kWaitCommand,       &kCheckpointCommand, &kRestoreCommand, &kRmCommand,
    &kSandboxCommand, &kExplainCommand,    &kWhyCommand,        &kDoctorCommand,  &kVersionCommand,
    &kHelpCommand,    &kCompletionCommand,
};

constexpr const Command* kEngineCommands[] = {
    &kOciCreateCommand,    &kOciStartCommand,      &kOciRunCommand,     &kOciStateCommand,
    &kOciKillCommand,      &kOciDeleteCommand,     &kOciExecCommand,    &kOciListCommand,
    &kOciPsCommand,        &kOciPauseCommand,      &kOciResumeCommand,  &kOciUpdateCommand,
    &kOciMountsCommand,    &kOciCheckpointCommand, &kOciRestoreCommand, &kOciEventsCommand,
    &kOciFeaturesCommand,  &kOciSpecCommand,       &kOciVersionCommand, &kOciHelpCommand,
    &kOciShortHelpCommand,
};

constexpr OptionSpec kPeopleOptions[] = {
    {"root", 0, "DIR", "where the state of containers is kept"},
    {"log", 0, "FILE", "append errors to FILE, too"},
    {"log-format", 0, "text|json", "format of errors"},
    {"debug", 0, "", "say more"},
    {"timeline", 0, "FILE",
     "show what every step of a start took, or write it to FILE (Chrome trace)", true},
    {"version", 0, "", "print the version"},
};

constexpr OptionSpec kEngineOptions[] = {
    {"root", 'r', "DIR", "where the state of containers is kept"},
    {"log", 'l', "FILE", "append errors to FILE, too; journald:ID and syslog:ID for these"},
    {"log-format", 0, "text|json", "format of the log"},
    {"log-level", 0, "LEVEL", "error, warning or debug"},
    {"debug", 0, "", "say more"},
    {"timeline", 0, "FILE",
     "show what every step of a start took, or write it to FILE (Chrome trace)", true},
    {"wall", 0, "namespaces|sandbox", "what stands around containers whose annotations do not say"},
    {"systemd-cgroup", 's', "", "have systemd make the cgroup: a path is SLICE:PREFIX:NAME"},
    {"cgroup-manager", 0, "NAME", "cgroupfs, systemd or disabled"},
    {"rootless", 0, "true|false|auto", "accepted; found out by itself"},
    {"criu", 0, "FILE", "CRIU for checkpoint and restore (default: criu in PATH)"},
    {"systemd-log", 0, "", ""},
    {"version", 'v', "", "print the version"},
    {"Version", 'V', "", ""},
    {"usage", 0, "", ""},
};

}  // namespace

std::span<const Command* const> commands(Face face) {
  if (face == Face::kPeople) return kPeopleCommands;
  return kEngineCommands;
}

const Command* find_command(Face face, std::string_view name) {
  for (const Command* command : commands(face)) {
    if (command->name == name) return command;
  }
  return nullptr;
}

OptionTable global_options(Face face) {
  if (face == Face::kPeople) return kPeopleOptions;
  return kEngineOptions;
}

std::string_view face_program(Face face) {
  return face == Face::kPeople ? "caisson" : "caisson-oci";
}

}  // namespace caisson::cli
