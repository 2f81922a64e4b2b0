#include "cli/help.h"

#include <algorithm>

#include "base/text.h"

namespace caisson::cli {
namespace {

constexpr std::size_t kHelpColumn = 32;
constexpr std::string_view kSpecVersion = "1.3.0";

std::string option_form(const OptionSpec& option) {
  std::string out = option.letter != 0 ? cat('-', option.letter, ", ") : "    ";
  append(out, "--", option.name);
  if (option.value_optional) {
    append(out, "[=", option.value, "]");
  } else if (!option.is_switch()) {
    append(out, " ", option.value);
  }
  return out;
}

void append_entry(std::string& out, std::string_view left, std::string_view right) {
  append(out, "  ", left);
  std::size_t used = left.size() + 2;
  if (used + 2 > kHelpColumn) {
    out += '\n';
    used = 0;
  }
  out.append(kHelpColumn - used, ' ');
  append(out, right, "\n");
}

void append_options(std::string& out, OptionTable table) {
  for (const auto& option : table) {
    if (!option.help.empty()) append_entry(out, option_form(option), option.help);
  }
}

// Calls `visit` with every heading and then its commands, in the order of the table.
template <typename Heading, typename Row>
void for_each_group(Face face, Heading heading, Row row) {
  std::vector<std::string_view> seen;
  for (const Command* first : commands(face)) {
    if (first->group.empty() || std::ranges::find(seen, first->group) != seen.end()) continue;
    seen.push_back(first->group);
    heading(first->group);
    for (const Command* command : commands(face)) {
      if (command->group == first->group) row(*command);
    }
  }
}

void append_indented(std::string& out, std::string_view lines, std::string_view indent) {
  for (auto line : split(lines, '\n')) append(out, line.empty() ? "" : indent, line, "\n");
}

}  // namespace

std::string version_text(std::string_view program) {
  // Callers read the first line: go-runc and dockerd want "runc version", crun's users its own.
  std::string_view name = program == "runc" || program == "crun" ? program : "caisson";
  std::string out = cat(name, " version ", CAISSON_VERSION, "\n");
  if (name != "caisson") append(out, "commit: caisson-", CAISSON_VERSION, "\n");
  append(out, "spec: ", kSpecVersion, "\n");
  return out;
}

std::string help_overview(Face face, std::string_view program) {
  std::string out =
      cat("Usage: ", program, " [global options] COMMAND [options] [arguments]\n\n",
          face == Face::kPeople
              ? "Runs programs in containers: no image, no daemon and no set-up needed.\n"
              : "An OCI runtime (runtime-spec 1.3) for container engines.\n");
  for_each_group(
      face, [&](std::string_view group) { append(out, "\n", group, ":\n"); },
      [&](const Command& command) { append_entry(out, command.name, command.summary); });
  out += "\nGlobal options:\n";
  append_options(out, global_options(face));
  append(out, "\n\"", program, " COMMAND --help\" tells more about a command.\n");
  return out;
}

std::string help_command(Face face, std::string_view program, const Command& command) {
  std::string out = cat("Usage: ", program, " ", command.name);
  if (!command.operands.empty()) append(out, " ", command.operands);
  append(out, "\n\n", command.summary, ".\n");
  if (!command.details.empty()) append(out, "\n", command.details, "\n");
  out += "\nOptions:\n";
  append_options(out, command.options);
  append_options(out, command.shared_options);
  append_entry(out, "-h, --help", "show this text");
  if (face == Face::kPeople) {
    append(out, "\nGlobal options (--root, --log, --log-format, --debug) may stand here too.\n");
  }
  if (!command.examples.empty()) {
    out += "\nExamples:\n";
    append_indented(out, command.examples, "  ");
  }
  return out;
}

std::string help_markdown() {
  std::string out =
      "# Commands\n\n"
      "This page is printed by `caisson help --markdown` from the command table of the program; a "
      "test holds the two together.\n";
  for (Face face : {Face::kPeople, Face::kEngine}) {
    std::string_view program = face_program(face);
    append(out, "\n## ", program, "\n\n```\n", help_overview(face, program), "```\n");
    for (const Command* command : commands(face)) {
      if (command->group.empty()) continue;
      append(out, "\n### ", program, " ", command->name, "\n\n```\n",
             help_command(face, program, *command), "```\n");
    }
  }
  return out;
}

}  // namespace caisson::cli
