#include "cli/program_status.h"

namespace caisson::cli {

int failure_status_of(const Error& error) {
  if (error.code() == "exec.missing") return kNotFound;
  return error.code().starts_with("exec.") ? kCannotExecute : kRuntimeFailed;
}

}  // namespace caisson::cli
