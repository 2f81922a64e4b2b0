// What saving and restoring have in common: the program, the directories, the options, the log.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "formats/criu.h"
#include "linux/criu_worker.h"
#include "plan/checkpoint.h"

namespace caisson::linux {

// Memory of many gigabytes is written in between.
inline constexpr int kCriuSilenceMs = 15 * 60 * 1000;

struct CriuSession {
  std::string program;
  int version = 0;
  Fd images, work;
  std::string log_path;  // "/srv/checkpoint/dump.log"

  // Opens what the options name; `log_file`: "dump.log", "restore.log". With `make` missing
  // directories are made.
  static Result<CriuSession> open(const plan::CriuOptions& options, std::string_view log_file,
                                  bool make);

  // Opens the directories anew as the worker sees them, which has mounts of its own: it mounts
  // below its working directory.
  Result<> move_to(const plan::CriuOptions& options, const CriuWorker& worker);

  // The options that both verbs pass on.
  formats::criu::Options base_options(const plan::CriuOptions& options) const;

  // Runs the request in a worker. What CRIU refuses is an error that quotes its log.
  Result<formats::criu::Reply> run(CriuWorker& worker, const formats::criu::Request& request,
                                   const CriuWorker::NotifyFunction& notify, int silence_ms,
                                   std::string_view doing) const;
};

}  // namespace caisson::linux
