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

std::string version_text(std::string_view program, std::string_view root) {
  // Callers read the first line: go-runc and dockerd want "runc version", crun's users its own; the
  // lines below it are matched by their beginnings.
  bool runc = program == "runc", crun = program == "crun", engine = runc || crun;
  std::string out = cat(engine ? program : "caisson", " version ", CAISSON_VERSION, "\n");
  if (engine || program == "caisson-oci") {
    append(out, "commit: caisson-", CAISSON_VERSION, "\n");
  }
  if (crun) append(out, "rundir: ", root, "\n");
  append(out, "spec: ", kSpecVersion, "\n");
  if (crun) out += "+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF +CRIU\n";
  return out;
}

// As command-line programs in Go lay it out, which is what callers of runc read; the others get the
// form that is common elsewhere, crun's among them.
bool has_sections(Face face, std::string_view program) {
  return face == Face::kEngine && dialect_of(program) == Dialect::kRunc;
}

std::string help_overview(Face face, std::string_view program) {
  std::string out;
  if (has_sections(face, program)) {
    out = cat("NAME:\n   ", program, " - Open Container Initiative runtime (runtime-spec ",
              kSpecVersion, ")\n\nUSAGE:\n   ", program,
              " [global options] COMMAND [options] [arguments]\n\nVERSION:\n   ", CAISSON_VERSION,
              "\n\nCOMMANDS:\n");
  } else if (face == Face::kEngine) {
    out = cat("Usage: ", program, " [OPTION...] COMMAND [OPTION...]\n\nCOMMANDS:\n");
  } else {
    out = cat("Usage: ", program, " [global options] COMMAND [options] [arguments]\n\n",
              "Runs programs in containers: no image, no daemon and no set-up needed.\n");
  }
  for_each_group(
      face,
      [&](std::string_view group) {
        if (face == Face::kPeople) append(out, "\n", group, ":\n");
      },
      [&](const Command& command) { append_entry(out, command.name, command.summary); });
  out += has_sections(face, program) ? "\nGLOBAL OPTIONS:\n" : "\nGlobal options:\n";
  append_options(out, global_options(face));
  append(out, "\n\"", program, " COMMAND --help\" tells more about a command.\n");
  return out;
}

std::string help_command(Face face, std::string_view program, const Command& command) {
  bool sections = has_sections(face, program);
  std::string usage = cat(program, " ", command.name);
  if (!command.operands.empty()) append(usage, " ", command.operands);
  std::string out;
  if (sections) {
    out = cat("NAME:\n   ", program, " ", command.name, " - ", command.summary, "\n\nUSAGE:\n   ",
              usage, "\n");
    if (!command.details.empty()) {
      out += "\nDESCRIPTION:\n";
      append_indented(out, command.details, "   ");
    }
  } else {
    out = cat("Usage: ", usage, "\n\n", command.summary, ".\n");
    if (!command.details.empty()) append(out, "\n", command.details, "\n");
  }
  out += sections ? "\nOPTIONS:\n" : "\nOptions:\n";
  append_options(out, command.options);
  append_options(out, command.shared_options);
  append_entry(out, "-h, --help", "show this text");
  if (face == Face::kPeople) {
    append(out, "\nGlobal options (--root, --log, --log-format, --debug) may stand here too.\n");
  }
  if (!command.examples.empty()) {
    out += sections ? "\nEXAMPLES:\n" : "\nExamples:\n";
    append_indented(out, command.examples, sections ? "   " : "  ");
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
