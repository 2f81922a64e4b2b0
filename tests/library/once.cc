// The C++ side of the library: a container's life, in the words of caisson.hpp.
//
// Arguments: state directory, bundle (its program sleeps), id.
#include <caisson/caisson.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace {

template <typename T>
T must(caisson::Result<T> result, const char* what) {
  if (!result) {
    std::fprintf(stderr, "%s: %s\n", what, std::string(result.error().message()).c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

void check(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::exit(1);
}

void look(const caisson::Runtime& runtime, const std::string& id, int pid) {
  auto state = must(runtime.state(id), "state");
  check(state.status == caisson::Status::kRunning && state.pid == pid, "it runs");
  check(!state.exit, "it has not ended");
  check(must(runtime.processes(id), "processes") == std::vector<int>{pid}, "one process");
  check(must(runtime.list(), "list").size() == 1, "one container");
  check(must(runtime.state_json(id), "state_json").contains("\"ociVersion\""), "a document");
  check(must(runtime.config(id), "config").contains("\"process\""), "its configuration");
  check(must(runtime.usage_json(id), "usage").contains("\"type\":\"stats\""), "its usage");
  check(must(caisson::features(), "features").contains("mountOptions"), "features");
  auto stats = must(runtime.stats(id), "stats");
  check(stats.pids == CAISSON_ABSENT || stats.pids >= 1, "counted");
}

void limit(const caisson::Runtime& runtime, const std::string& id) {
  auto stats = must(runtime.stats(id), "stats");
  if (stats.pids == CAISSON_ABSENT) return;
  must(runtime.update(id, R"({"pids": {"limit": 77}})"), "update");
  check(must(runtime.stats(id), "stats").pids_limit == 77, "the limit is there");
  check(must(runtime.resources(id), "resources").contains("77"), "and known");
  auto wrong = runtime.update(id, R"({"pids": {"limit": "many"}})");
  check(!wrong && wrong.error().errno_value() == EINVAL, "a wrong type is refused");
  check(wrong.error().message().contains("pids.limit"), "by its name");
}

void watch(const caisson::Runtime& runtime, const std::string& id) {
  int count = 0;
  caisson::WatchOptions options;
  options.interval_ms = 1;
  options.on_usage = [&](std::string_view line) {
    check(line.ends_with("\n"), "a line");
    return ++count < 3;
  };
  auto ended = runtime.watch(id, options);
  check(!ended && ended.error().errno_value() == ECANCELED && count == 3, "three events");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  auto options = caisson::runtime_options();
  options.root = argv[1];
  auto runtime = must(caisson::Runtime::open(options), "open");
  std::string id = argv[3];
  auto create = caisson::create_options();
  create.id = argv[3];
  create.bundle = argv[2];
  auto init = must(runtime.create(create), "create");
  must(runtime.start(id), "start");
  look(runtime, id, init.pid());
  limit(runtime, id);
  watch(runtime, id);
  const char* args[] = {"/bin/sh", "-c", "kill -9 $$", nullptr};
  auto exec = caisson::exec_options();
  exec.args = args;
  auto process = must(runtime.exec(id, exec), "exec");
  check(must(process.wait(), "wait for it").signal == SIGKILL, "killed");
  must(runtime.pause(id), "pause");
  check(must(runtime.state(id), "state").status == caisson::Status::kPaused, "it is paused");
  must(runtime.resume(id), "resume");
  must(runtime.kill(id, SIGKILL), "kill");
  check(must(runtime.wait(id), "wait").signal == SIGKILL, "it was killed");
  check(must(runtime.state(id), "state").exit.has_value(), "how it ended is known");
  must(runtime.remove(id), "remove");
  auto missing = runtime.state(id);
  check(!missing && missing.error().errno_value() == ENOENT, "gone");
  check(missing.error().code() == "container.missing", "by its code");
  std::puts("well");
  return 0;
}
