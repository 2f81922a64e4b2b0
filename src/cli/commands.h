// The commands, each defined in the file of its name.
#pragma once

#include "cli/command.h"

namespace caisson::cli {

// caisson
extern const Command kRunCommand, kExecCommand, kPsCommand, kListCommand, kTopCommand, kLogsCommand,
    kStopCommand, kKillCommand, kRmCommand, kInspectCommand, kWaitCommand, kStatsCommand,
    kDiffCommand, kPauseCommand, kResumeCommand, kUpdateCommand, kMountCommand, kUnmountCommand,
    kExplainCommand, kWhyCommand, kDoctorCommand, kVersionCommand, kHelpCommand, kCompletionCommand,
    kCheckpointCommand, kRestoreCommand, kSandboxCommand;
// caisson-oci
extern const Command kOciCreateCommand, kOciStartCommand, kOciRunCommand, kOciStateCommand,
    kOciKillCommand, kOciDeleteCommand, kOciExecCommand, kOciListCommand, kOciPsCommand,
    kOciPauseCommand, kOciResumeCommand, kOciFeaturesCommand, kOciSpecCommand, kOciVersionCommand,
    kOciUpdateCommand, kOciMountsCommand, kOciEventsCommand, kOciHelpCommand, kOciShortHelpCommand,
    kOciCheckpointCommand, kOciRestoreCommand;

}  // namespace caisson::cli
