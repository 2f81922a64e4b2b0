#include "cli/doctor.h"

#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace caisson::cli {

std::string_view health_name(Health health) {
  switch (health) {
    case Health::kOk: return "ok";
    case Health::kLimited: return "limited";
    case Health::kMissing: return "missing";
  }
  return "";
}

std::vector<Finding> examine(const Context& context) {
  std::vector<Finding> findings;
  check_kernel(findings);
  check_namespaces(findings);
  check_cgroups(findings);
  check_sandbox(context, findings);
  check_surroundings(context, findings);
  return findings;
}

namespace {

std::string findings_text(const std::vector<Finding>& findings, bool works) {
  Table table({"CHECK", "RESULT", "FOUND"});
  for (const auto& finding : findings) {
    table.add({std::string(finding.check), std::string(health_name(finding.health)),
               printable(finding.what)});
    if (!finding.cure.empty()) table.add({"", "  cure:", finding.cure});
  }
  return cat(table.text(), works ? "\ncaisson can run containers here.\n"
                                 : "\ncaisson cannot run containers here: see what is missing.\n");
}

std::string findings_json(const std::vector<Finding>& findings, bool works) {
  std::string out;
  formats::JsonWriter json(out, "  ");
  json.begin_object().field("works", works).key("checks").begin_array();
  for (const auto& finding : findings) {
    json.begin_object().field("check", finding.check);
    json.field("result", health_name(finding.health)).field("found", finding.what);
    json.field("cure", finding.cure).end_object();
  }
  json.end_array().end_object();
  return out + "\n";
}

Result<int> run(Context& context, const Arguments& arguments) {
  auto findings = examine(context);
  bool works = std::ranges::none_of(
      findings, [](const Finding& finding) { return finding.health == Health::kMissing; });
  TRY(print(arguments.flag("json") ? findings_json(findings, works)
                                   : findings_text(findings, works)));
  return works ? 0 : 1;
}

}  // namespace

const Command kDoctorCommand{
    .name = "doctor",
    .group = "Understanding",
    .operands = "[options]",
    .summary = "Check whether this machine has what containers need",
    .details =
        "Exit status 0 when containers can run here, though perhaps with limits; 1 when not.",
    .examples =
        "caisson doctor\n"
        "caisson doctor --json",
    .options = {},
    .shared_options = kJsonOption,
    .max_operands = 0,
    .run = run,
};

}  // namespace caisson::cli
