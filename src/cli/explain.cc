// caisson explain: the plan of a start, without starting anything.
#include "base/text.h"
#include "cli/caller.h"
#include "cli/commands.h"
#include "cli/run_options.h"
#include "cli/verbs.h"
#include "library/bundle.h"
#include "library/state_root.h"
#include "plan/compile.h"
#include "plan/dump.h"
#include "spec/validate.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {"bundle", 'b', "DIR", "explain the config.json of an OCI bundle, not a command"},
    {"json", 0, "", "print JSON"},
};

void write_node(formats::JsonWriter& json, const plan::DumpNode& node) {
  using Kind = plan::DumpNode::Kind;
  switch (node.kind) {
    case Kind::kText: json.value(node.text); return;
    case Kind::kNumber:
    case Kind::kBool: json.raw(node.text); return;
    case Kind::kList:
      json.begin_array();
      for (const auto& child : node.children) write_node(json, child);
      json.end_array();
      return;
    case Kind::kMap:
      json.begin_object();
      for (const auto& child : node.children) write_node(json.key(child.name), child);
      json.end_object();
      return;
  }
}

struct Explained {
  std::string id;
  spec::ContainerSpec spec;
};

Result<Explained> what_to_explain(const Context& context, const Arguments& arguments) {
  if (auto bundle = arguments.value("bundle")) {
    library::Bundle read = TRY(library::read_bundle(std::string(*bundle)));
    return Explained{"explained", std::move(read.spec)};
  }
  Described described = TRY(describe_run(context, arguments));
  return Explained{std::move(described.options.id), std::move(described.spec)};
}

Result<int> run(Context& context, const Arguments& arguments) {
  Explained explained = TRY(what_to_explain(context, arguments));
  TRY(spec::validate(explained.spec, arguments.has("bundle") ? "config.json" : ""));
  bool view = explained.spec.root_source == spec::RootSource::kMachineView;
  auto executor = context.make_executor();
  auto host = TRY(executor->host_facts(view));
  plan::Options options;
  options.id = explained.id;
  options.rootless = !library::is_privileged();
  options.cgroup_parent = "/caisson";
  options.default_cgroup_name = explained.id;
  auto plan = TRY(plan::compile(explained.spec, host, options));
  plan::DumpNode tree = plan::dump(plan);
  if (!arguments.flag("json")) {
    TRY(print(plan::dump_text(tree)));
    return 0;
  }
  std::string out;
  formats::JsonWriter json(out, "  ");
  write_node(json, tree);
  TRY(print(out + "\n"));
  return 0;
}

}  // namespace

const Command kExplainCommand{
    .name = "explain",
    .group = "Understanding",
    .operands = "[options] [--bundle DIR | [--] COMMAND [ARGUMENT...]]",
    .summary = "Print what a start would do, step by step, and do nothing",
    .details =
        "Takes all options of \"run\". What is wrong with them, or not possible on this machine,\n"
        "is said as a start would say it.",
    .examples =
        "caisson explain -- make test\n"
        "caisson explain --memory 64m --network host --json -- true\n"
        "caisson explain -b ./bundle",
    .options = kOptions,
    .shared_options = run_option_table(),
    .raw_after = 0,
    .run = run,
};

}  // namespace caisson::cli
