// caisson stats: what containers use.
#include <poll.h>

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "library/events_json.h"
#include "sys/process.h"

namespace caisson::cli {
namespace {

constexpr int kSampleMs = 200;
constexpr int kDefaultIntervalMs = 1000;

constexpr OptionSpec kOptions[] = {
    {"follow", 'f', "", "again and again, until interrupted"},
    {"interval", 0, "SECONDS", "time between two looks with --follow (default 1)"},
};

struct Sample {
  std::string name;
  plan::Stats stats;
  std::int64_t at_ns = 0;
};

Result<std::vector<Sample>> take_samples(Session& session, const std::vector<std::string>& names) {
  std::vector<Sample> out;
  for (const auto& name : names) {
    auto stats = container::stats(session.containers(), name);
    if (!stats && names.size() == 1) return std::unexpected(std::move(stats).error());
    // One of several that has ended meanwhile is no longer shown.
    if (stats) out.push_back({name, std::move(*stats), monotonic_ns()});
  }
  return out;
}

Result<std::vector<std::string>> chosen_names(Session& session, const Arguments& arguments) {
  std::vector<std::string> names(arguments.operands().begin(), arguments.operands().end());
  if (!names.empty()) return names;
  for (const auto& entry : TRY(container::list(session.containers()))) {
    if (entry.snapshot && entry.snapshot->status != container::Status::kStopped) {
      names.push_back(entry.id);
    }
  }
  return names;
}

template <typename Value>
void optional_field(formats::JsonWriter& json, std::string_view name,
                    const std::optional<Value>& value) {
  if (value) json.field(name, *value);
}

std::string samples_json(const std::vector<Sample>& samples) {
  std::string out;
  formats::JsonWriter json(out);
  json.begin_array();
  for (const auto& sample : samples) {
    const auto& stats = sample.stats;
    json.begin_object().field("id", sample.name);
    optional_field(json, "cpu_usage_ns", stats.cpu_usage_ns);
    optional_field(json, "cpu_user_ns", stats.cpu_user_ns);
    optional_field(json, "cpu_system_ns", stats.cpu_system_ns);
    optional_field(json, "cpu_periods", stats.cpu_periods);
    optional_field(json, "cpu_throttled_periods", stats.cpu_throttled_periods);
    optional_field(json, "cpu_throttled_ns", stats.cpu_throttled_ns);
    optional_field(json, "memory_bytes", stats.memory_bytes);
    optional_field(json, "memory_limit_bytes", stats.memory_limit_bytes);
    optional_field(json, "memory_peak_bytes", stats.memory_peak_bytes);
    optional_field(json, "memory_cache_bytes", stats.memory_cache_bytes);
    optional_field(json, "memory_failures", stats.memory_failures);
    optional_field(json, "oom_kills", stats.oom_kills);
    optional_field(json, "swap_bytes", stats.swap_bytes);
    optional_field(json, "pids", stats.pids);
    optional_field(json, "pids_limit", stats.pids_limit);
    optional_field(json, "read_bytes", stats.read_bytes);
    optional_field(json, "written_bytes", stats.written_bytes);
    optional_field(json, "read_ops", stats.read_ops);
    optional_field(json, "write_ops", stats.write_ops);
    for (const auto& [name, pressure] : {std::pair{"cpu_pressure", &stats.cpu_pressure},
                                         std::pair{"memory_pressure", &stats.memory_pressure},
                                         std::pair{"io_pressure", &stats.io_pressure}}) {
      if (*pressure) library::write_pressure(json.key(name), **pressure);
    }
    json.end_object();
  }
  json.end_array();
  return out + "\n";
}

// "12.5%" of one CPU between two samples of the same container.
std::string cpu_percent(const std::vector<Sample>& before, const Sample& now) {
  auto old = std::ranges::find(before, now.name, &Sample::name);
  if (old == before.end() || !old->stats.cpu_usage_ns || !now.stats.cpu_usage_ns) return "-";
  std::int64_t elapsed = now.at_ns - old->at_ns;
  if (elapsed <= 0 || *now.stats.cpu_usage_ns < *old->stats.cpu_usage_ns) return "-";
  auto used = static_cast<std::int64_t>(*now.stats.cpu_usage_ns - *old->stats.cpu_usage_ns);
  std::int64_t tenths = used * 1000 / elapsed;
  return cat(tenths / 10, ".", tenths % 10, "%");
}

std::string size_or_dash(const std::optional<std::uint64_t>& bytes) {
  return bytes ? human_size(*bytes) : "-";
}

std::string cpu_time(const std::optional<std::uint64_t>& ns) {
  if (!ns) return "-";
  std::string fraction = cat(*ns / 1'000'000 % 1000);
  return cat(*ns / 1'000'000'000, ".", std::string(3 - fraction.size(), '0'), fraction, " s");
}

std::string samples_table(const std::vector<Sample>& before, const std::vector<Sample>& now) {
  Table table({"NAME", "CPU", "CPU TIME", "MEMORY", "LIMIT", "PIDS", "READ", "WRITTEN", "OOM"});
  for (const auto& sample : now) {
    const auto& stats = sample.stats;
    table.add({sample.name, cpu_percent(before, sample), cpu_time(stats.cpu_usage_ns),
               size_or_dash(stats.memory_bytes), size_or_dash(stats.memory_limit_bytes),
               stats.pids ? cat(*stats.pids) : "-", size_or_dash(stats.read_bytes),
               size_or_dash(stats.written_bytes), stats.oom_kills ? cat(*stats.oom_kills) : "-"});
  }
  return table.text();
}

void sleep_ms(int ms) { (void)sys::poll({}, ms); }

Result<int> interval(const Arguments& arguments) {
  auto text = arguments.value("interval");
  if (!text) return kDefaultIntervalMs;
  auto seconds = parse_number<int>(*text);
  if (seconds && *seconds > 0 && *seconds < 100'000) return *seconds * 1000;
  return std::unexpected(Error::invalid(cat(quoted(*text), " is not a number of seconds"))
                             .where("--interval")
                             .code("option.value"));
}

Result<int> run(Context& context, const Arguments& arguments) {
  int interval_ms = TRY(interval(arguments));
  Session session = TRY(Session::open(context));
  bool follow = arguments.flag("follow");
  auto names = TRY(chosen_names(session, arguments));
  auto before = TRY(take_samples(session, names));
  if (arguments.flag("json") && !follow) {
    TRY(print(samples_json(before)));
    return 0;
  }
  for (int pause_ms = kSampleMs;; pause_ms = interval_ms) {
    if (!before.empty()) sleep_ms(pause_ms);
    names = TRY(chosen_names(session, arguments));
    auto now = TRY(take_samples(session, names));
    TRY(print(arguments.flag("json") ? samples_json(now) : samples_table(before, now)));
    if (!follow || now.empty()) return 0;
    before = std::move(now);
  }
}

}  // namespace

const Command kStatsCommand{
    .name = "stats",
    .group = "Looking",
    .operands = "[options] [NAME...]",
    .summary = "Show what running containers use",
    .details =
        "CPU is the share of one CPU since the last look. What this machine does not account for\n"
        "is shown as -.",
    .examples =
        "caisson stats\n"
        "caisson stats --follow web\n"
        "caisson stats --json",
    .options = kOptions,
    .shared_options = kJsonOption,
    .run = run,
};

}  // namespace caisson::cli
