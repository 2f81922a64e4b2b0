// The options of checkpoint and restore that are CRIU's own, the same for people and engines.
#pragma once

#include "base/result.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/session.h"
#include "plan/checkpoint.h"

namespace caisson::cli {

inline constexpr OptionSpec kCriuSharedOptions[] = {
    {"image-path", 0, "DIR", "directory of the images (default: ./checkpoint)"},
    {"work-path", 0, "DIR", "directory of CRIU's log and statistics (default: that of the images)"},
    {"tcp-established", 0, "", "save open TCP connections"},
    {"ext-unix-sk", 0, "", "allow unix sockets whose other end is outside"},
    {"shell-job", 0, "", "allow a terminal and a session of the caller's"},
    {"file-locks", 0, "", "save file locks"},
    {"manage-cgroups-mode", 0, "MODE",
     "of cgroups below the container's: soft, full, strict, ignore"},
    {"empty-ns", 0, "NAME", "network, which always is restored empty"},
    {"auto-dedup", 0, "", "drop pages from parent images once they are in newer ones"},
    {"lazy-pages", 0, "", "move memory after the rest, when it is asked for"},
    {"network-lock", 0, "METHOD", "how connections are held still: iptables, nftables, skip"},
};

// Reads these and those that only one of the two verbs has.
Result<plan::CriuOptions> read_criu_options(const Context& context, const Arguments& arguments);

// Saves the container; a configuration file that it names for CRIU is put into the options.
Result<> save_by_criu(const Context& context, Session& session, const std::string& name,
                      plan::CriuOptions& options);

// The configuration file for CRIU that the annotation org.criu.config, or the dialect, names.
std::string criu_config_file(const Context& context,
                             const std::map<std::string, std::string>& annotations);

}  // namespace caisson::cli
