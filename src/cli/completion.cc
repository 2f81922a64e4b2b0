// The completion script: constant shell code around tables of every command's options.
#include "base/text.h"
#include "cli/help.h"

namespace caisson::cli {
namespace {

void append_words(std::string& out, OptionTable table) {
  for (const auto& option : table) {
    if (option.help.empty()) continue;
    append(out, " --", option.name);
    if (option.letter != 0) append(out, " -", option.letter);
  }
}

// Options that take the next word, for finding the command among the words.
void append_valued(std::string& out, OptionTable table) {
  for (const auto& option : table) {
    if (option.is_switch() || option.value_optional || option.help.empty()) continue;
    append(out, out.empty() ? "" : "|", "--", option.name);
    if (option.letter != 0) append(out, "|-", option.letter);
  }
}

void append_face_cases(std::string& out, Face face) {
  std::string names;
  for (const Command* command : commands(face)) {
    if (!command->group.empty()) append(names, names.empty() ? "" : " ", command->name);
  }
  std::string_view program = face_program(face);
  std::string global_words, global_valued;
  append_words(global_words, global_options(face));
  append_valued(global_valued, global_options(face));
  append(out, "    ", program, ":)\n      verbs=\"", names, "\"\n      options=\"",
         global_words.substr(1), " --help\"\n      valued=\"", global_valued, "\"\n      ;;\n");
  for (const Command* command : commands(face)) {
    if (command->group.empty()) continue;
    std::string words, valued;
    append_words(words, command->options);
    append_words(words, command->shared_options);
    append_valued(valued, command->options);
    append_valued(valued, command->shared_options);
    append(out, "    ", program, ":", command->name, ")\n      options=\"",
           words.empty() ? "" : words.substr(1), words.empty() ? "" : " ", "--help\"\n");
    if (!valued.empty()) append(out, "      valued=\"", valued, "\"\n");
    if (command->operands.find("NAME") != std::string_view::npos ||
        command->operands.find("ID") != std::string_view::npos) {
      out += "      names=yes\n";
    }
    if (command->operands.find("ARGUMENT") != std::string_view::npos) out += "      program=yes\n";
    out += "      ;;\n";
  }
}

constexpr std::string_view kCompletionHead =
    R"bash(# bash completion for caisson; printed by "caisson completion bash".

_caisson_table() {
  verbs= options= valued= names= program=
  case $1 in
)bash";

constexpr std::string_view kCompletionTail = R"bash(  esac
}

_caisson() {
  local cur=${COMP_WORDS[COMP_CWORD]} face=caisson verb= operands=0 i word
  local verbs options valued names program root=()
  case ${COMP_WORDS[0]##*/} in
    caisson-oci | runc | crun) face=caisson-oci ;;
  esac
  COMPREPLY=()
  _caisson_table "$face:"
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --)
        [[ $program ]] && { _caisson_program $((i + 1)); return; } ;;
      -*)
        [[ $word == --root ]] && root=(--root "${COMP_WORDS[i + 1]}")
        [[ $valued && "|$valued|" == *"|$word|"* ]] && ((i++)) ;;
      =) ((i++)) ;;
      *)
        if [[ -z $verb && $face == caisson && $word == oci ]]; then
          face=caisson-oci
          _caisson_table "$face:"
        elif [[ -z $verb ]]; then
          verb=$word
          _caisson_table "$face:$verb"
        else
          ((operands++))
          [[ $program && ( -z $names || $operands -gt 1 ) ]] && { _caisson_program $i; return; }
        fi ;;
    esac
  done
  ((i > COMP_CWORD)) && { COMPREPLY=($(compgen -f -- "$cur")); return; }
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
  elif [[ -z $verb ]]; then
    COMPREPLY=($(compgen -W "$verbs" -- "$cur"))
  elif [[ $names && ( $operands -eq 0 || -z $program ) ]]; then
    COMPREPLY=($(compgen -W "$(_caisson_names "$face")" -- "$cur"))
  elif [[ $program ]]; then
    COMPREPLY=($(compgen -c -- "$cur"))
  elif [[ $verb == help ]]; then
    _caisson_table "$face:"
    COMPREPLY=($(compgen -W "$verbs" -- "$cur"))
  fi
}

_caisson_names() {
  if [[ $1 == caisson ]]; then
    "${COMP_WORDS[0]}" "${root[@]}" ps --all --quiet 2>/dev/null
  else
    "${COMP_WORDS[0]}" "${root[@]}" list --quiet 2>/dev/null
  fi
}

# Completes the program to run, whose words begin at $1, as the shell completes it elsewhere.
_caisson_program() {
  if (($1 >= COMP_CWORD)); then
    COMPREPLY=($(compgen -c -- "${COMP_WORDS[COMP_CWORD]}"))
  elif declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  else
    COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
  fi
}

complete -o default -F _caisson caisson caisson-oci
)bash";

}  // namespace

std::string bash_completion() {
  std::string out(kCompletionHead);
  append_face_cases(out, Face::kPeople);
  append_face_cases(out, Face::kEngine);
  out += kCompletionTail;
  return out;
}

}  // namespace caisson::cli
