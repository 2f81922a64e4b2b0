// caisson inspect, diff.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "spec/oci_writer.h"

namespace caisson::cli {
namespace {

Result<std::string> inspect_json(Session& session, const std::string& name) {
  auto& containers = session.containers();
  auto snapshot = TRY(container::query(containers, name));
  std::string out;
  formats::JsonWriter json(out);
  json.begin_object();
  write_snapshot(json, snapshot);
  json.field("folder", container::folder_path(containers, name));
  json.key("annotations").begin_object();
  for (const auto& [key, value] : snapshot.state.annotations) json.field(key, value);
  json.end_object().key("cgroups").begin_array();
  for (const auto& group : snapshot.state.cgroups) {
    json.begin_object().field("controllers", group.controllers);
    json.field("directory", group.directory).end_object();
  }
  json.end_array();
  auto config = container::config_text(containers, name);
  if (config) json.key("config").raw(trim(*config));
  // Those of the configuration, or what they were changed to.
  auto resources = container::present_resources(containers, name);
  if (resources) json.key("resources").raw(trim(spec::write_oci_resources(*resources)));
  json.end_object();
  return out;
}

Result<int> run_inspect(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  std::string out;
  int status = TRY(for_each_name(context, arguments, [&](const std::string& name) -> Result<> {
    append(out, out.empty() ? "[" : ",\n", TRY(inspect_json(session, name)));
    return {};
  }));
  TRY(print(out.empty() ? "[]\n" : out + "]\n"));
  return status;
}

std::string_view kind_name(container::Change::Kind kind) {
  switch (kind) {
    case container::Change::Kind::kAdded: return "added";
    case container::Change::Kind::kChanged: return "changed";
    case container::Change::Kind::kDeleted: return "deleted";
  }
  return "";
}

Result<int> run_diff(Context& context, const Arguments& arguments) {
  Session session = TRY(Session::open(context));
  auto changes = TRY(container::diff(session.containers(), arguments.operands()[0]));
  std::string text, out;
  formats::JsonWriter json(out, "  ");
  json.begin_array();
  for (const auto& change : changes) {
    auto name = kind_name(change.kind);
    append(text, static_cast<char>(name[0] - 'a' + 'A'), " ", printable(change.path), "\n");
    json.begin_object().field("change", name).field("path", change.path).end_object();
  }
  json.end_array();
  TRY(print(arguments.flag("json") ? out + "\n" : text));
  return 0;
}

}  // namespace

const Command kInspectCommand{
    .name = "inspect",
    .group = "Looking",
    .operands = "NAME...",
    .summary = "Print everything known of containers, as JSON",
    .details = {},
    .examples = "caisson inspect web",
    .options = {},
    .shared_options = kJsonOption,
    .min_operands = 1,
    .run = run_inspect,
};

const Command kDiffCommand{
    .name = "diff",
    .group = "Looking",
    .operands = "[options] NAME",
    .summary = "List what a container changed in its view of this machine",
    .details =
        "A: added, C: changed, D: deleted. The changes are there as long as the container runs.",
    .examples =
        "caisson diff build\n"
        "caisson diff --json build",
    .options = {},
    .shared_options = kJsonOption,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_diff,
};

}  // namespace caisson::cli
