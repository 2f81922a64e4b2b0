// caisson logs: what a container in the background wrote.
#include <unistd.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/log_reader.h"
#include "cli/session.h"
#include "cli/verbs.h"
#include "sys/file.h"

namespace caisson::cli {
namespace {

constexpr OptionSpec kOptions[] = {
    {"follow", 'f', "", "go on until the container ends"},
    {"tail", 'n', "COUNT", "the last COUNT lines only"},
    {"timestamps", 't', "", "put the time in front of every line"},
    {"stream", 0, "stdout|stderr", "one of the two streams only"},
};

struct Format {
  bool json = false;
  bool timestamps = false;
  std::string_view stream;  // empty: both
};

// A partial line goes on in the next one: no newline, and no second time, between the two.
class Printer {
 public:
  explicit Printer(Format format) : format_(format) {}

  Result<> print(const container::LogLine& line) {
    if (!format_.stream.empty() && line.stream != format_.stream) return {};
    std::string out;
    bool is_stderr = line.stream == "stderr";
    bool& inside = inside_[is_stderr ? 1 : 0];
    if (format_.json) {
      formats::JsonWriter json(out);
      json.begin_object().field("time", line.time).field("stream", line.stream);
      json.field("text", line.text).field("partial", line.partial).end_object();
      out += '\n';
      return cli::print(out);
    }
    if (format_.timestamps && !inside) append(out, line.time, " ");
    append(out, line.text, line.partial ? "" : "\n");
    inside = line.partial;
    int fd = is_stderr ? STDERR_FILENO : STDOUT_FILENO;
    TRY_CTX(sys::write_all(FdRef(fd), out), "write the log");
    return {};
  }

 private:
  Format format_;
  bool inside_[2] = {false, false};
};

Result<long> read_tail(const Arguments& arguments) {
  auto text = arguments.value("tail");
  if (!text || *text == "all") return -1;
  auto count = parse_number<long>(*text);
  if (count && *count >= 0) return *count;
  return std::unexpected(Error::invalid(cat(quoted(*text), " is not a number of lines"))
                             .where("--tail")
                             .code("option.value"));
}

Result<int> run(Context& context, const Arguments& arguments) {
  long tail = TRY(read_tail(arguments));
  Format format{arguments.flag("json"), arguments.flag("timestamps"),
                arguments.value_or("stream", "")};
  Session session = TRY(Session::open(context));
  std::string name(arguments.operands()[0]);
  auto snapshot = TRY(container::query(session.containers(), name));
  if (!snapshot.state.logged) {
    return std::unexpected(
        Error::with_cause(ENODATA, "its output went where it was started, not to a log")
            .doing("read the log of ", quoted(name))
            .code("logs.none")
            .cure("start it with \"caisson run --detach\""));
  }
  auto follower = TRY(LogFollower::open(container::folder_path(session.containers(), name)));
  Printer printer(format);
  auto visit = [&](const container::LogLine& line) { return printer.print(line); };
  TRY(follower.read_past(tail, format.stream, visit));
  if (arguments.flag("follow")) TRY(follower.follow(session.containers(), name, visit));
  return 0;
}

}  // namespace

const Command kLogsCommand{
    .name = "logs",
    .group = "Looking",
    .operands = "[options] NAME",
    .summary = "Print what a container in the background wrote",
    .details = "Standard output and standard error of the container go to those of this command.",
    .examples =
        "caisson logs web\n"
        "caisson logs -f --tail 20 web\n"
        "caisson logs --stream stderr -t web",
    .options = kOptions,
    .shared_options = kJsonOption,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

}  // namespace caisson::cli
