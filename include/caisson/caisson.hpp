// libcaisson for C++23: owners and std::expected over the functions of caisson.h, which says what
// they do, what they need and how they fail. Header-only; nothing here throws but for want of memory.
#ifndef CAISSON_CAISSON_HPP
#define CAISSON_CAISSON_HPP

#include <unistd.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "caisson.h"

// Inline, so that the names differ from those inside of libcaisson.a.
namespace caisson::inline abi_v0 {

// What failed, on what, why, and what to do about it: see caisson_error_code() for the parts.
class [[nodiscard]] Error {
 public:
  // Takes over.
  explicit Error(caisson_error* error) : error_(error, &caisson_error_free) {}
  int errno_value() const { return caisson_error_errno(error_.get()); }
  std::string_view code() const { return caisson_error_code(error_.get()); }
  std::string_view step() const { return caisson_error_step(error_.get()); }
  std::string_view object() const { return caisson_error_object(error_.get()); }
  std::string_view where() const { return caisson_error_where(error_.get()); }
  std::string_view cause() const { return caisson_error_cause(error_.get()); }
  std::string_view cure() const { return caisson_error_cure(error_.get()); }
  std::string_view message() const { return caisson_error_message(error_.get()); }

 private:
  std::unique_ptr<caisson_error, void (*)(caisson_error*)> error_;
};

template <typename T = void>
using Result = std::expected<T, Error>;

// How a process ended.
struct Exit {
  bool known = false;
  int code = 0, signal = 0;
  bool oom = false;
  std::int64_t at_ns = 0;
};

enum class Status : std::int32_t {
  kCreating = CAISSON_CREATING,
  kCreated = CAISSON_CREATED,
  kRunning = CAISSON_RUNNING,
  kPaused = CAISSON_PAUSED,
  kStopped = CAISSON_STOPPED,
  kBroken = CAISSON_BROKEN,
};

struct State {
  std::string id;
  Status status = Status::kStopped;
  int pid = 0;
  std::string bundle, rootfs;
  std::int64_t created_ns = 0;
  std::uint32_t owner = 0;
  std::optional<Exit> exit;
  std::string problem;
};

namespace detail {

inline Exit exit_of(const caisson_exit& exit) {
  return {exit.known != 0, exit.code, exit.signal, exit.oom != 0, exit.at_ns};
}

inline State state_of(const caisson_state& state) {
  State out{state.id,     static_cast<Status>(state.status),
            state.pid,    state.bundle,
            state.rootfs, state.created_ns,
            state.owner,  std::nullopt,
            state.problem};
  if (state.has_exit != 0) out.exit = exit_of(state.exit);
  return out;
}

// `call` is given where the error goes.
template <typename Call>
Result<> checked(Call&& call) {
  caisson_error* error = nullptr;
  if (std::forward<Call>(call)(&error) == 0) return {};
  return std::unexpected(Error(error));
}

template <typename Call>
Result<Exit> exit_from(Call&& call) {
  caisson_exit exit = CAISSON_EXIT_INIT;
  auto done = checked([&](caisson_error** error) { return call(&exit, error); });
  if (!done) return std::unexpected(std::move(done).error());
  return exit_of(exit);
}

template <typename Call>
Result<std::string> text_from(Call&& call) {
  char* text = nullptr;
  auto done = checked([&](caisson_error** error) { return call(&text, error); });
  std::unique_ptr<char, void (*)(void*)> owner(text, &caisson_free);
  if (!done) return std::unexpected(std::move(done).error());
  return std::string(text);
}

}  // namespace detail

// A process that was started: a child of ours. Destroyed, it goes on, and is not collected.
class Process {
 public:
  explicit Process(const caisson_process& process) : process_(process) {}
  Process(Process&& other) noexcept : process_(other.process_) { other.process_.pidfd = -1; }
  Process& operator=(Process&& other) noexcept {
    std::swap(process_, other.process_);
    return *this;
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (process_.pidfd >= 0) (void)::close(process_.pidfd);
  }
  int pid() const { return process_.pid; }
  int pidfd() const { return process_.pidfd; }
  Result<Exit> wait(int timeout_ms = -1) const {
    return detail::exit_from([&](caisson_exit* exit, caisson_error** error) {
      return caisson_wait_process(&process_, timeout_ms, exit, error);
    });
  }

 private:
  caisson_process process_;
};

// The options of C with their defaults, to be changed.
inline caisson_runtime_options runtime_options() { return CAISSON_RUNTIME_OPTIONS_INIT; }
inline caisson_create_options create_options() { return CAISSON_CREATE_OPTIONS_INIT; }
inline caisson_exec_options exec_options() { return CAISSON_EXEC_OPTIONS_INIT; }

struct WatchOptions {
  std::int64_t interval_ms = 5000;
  // False ends the watch (with ECANCELED). The text is a line of JSON.
  std::function<bool(std::string_view)> on_usage;
  std::function<bool()> on_out_of_memory;
};

// A state directory; see caisson_runtime. May be used by several threads at once.
class Runtime {
 public:
  static Result<Runtime> open(const caisson_runtime_options& options) {
    caisson_runtime* runtime = nullptr;
    auto opened = detail::checked([&](caisson_error** error) {
      return caisson_runtime_open(&options, &runtime, error);
    });
    if (!opened) return std::unexpected(std::move(opened).error());
    return Runtime(runtime);
  }

  Result<Process> create(const caisson_create_options& options) const {
    caisson_process init = CAISSON_PROCESS_INIT;
    auto created = detail::checked([&](caisson_error** error) {
      return caisson_create(get(), &options, &init, error);
    });
    if (!created) return std::unexpected(std::move(created).error());
    return Process(init);
  }
  Result<> start(const std::string& id, const char* notify_socket = nullptr) const {
    return detail::checked([&](caisson_error** error) {
      return caisson_start(get(), id.c_str(), notify_socket, error);
    });
  }
  Result<Exit> run(const caisson_create_options& options) const {
    return detail::exit_from([&](caisson_exit* exit, caisson_error** error) {
      return caisson_run(get(), &options, exit, error);
    });
  }
  Result<Exit> wait(const std::string& id, int timeout_ms = -1) const {
    return detail::exit_from([&](caisson_exit* exit, caisson_error** error) {
      return caisson_wait(get(), id.c_str(), timeout_ms, exit, error);
    });
  }
  Result<> kill(const std::string& id, int signal, std::uint32_t flags = 0) const {
    return detail::checked([&](caisson_error** error) {
      return caisson_kill(get(), id.c_str(), signal, flags, error);
    });
  }
  Result<Exit> stop(const std::string& id, int signal, int grace_ms) const {
    return detail::exit_from([&](caisson_exit* exit, caisson_error** error) {
      return caisson_stop(get(), id.c_str(), signal, grace_ms, exit, error);
    });
  }
  Result<> remove(const std::string& id, std::uint32_t flags = 0) const {
    return detail::checked([&](caisson_error** error) {
      return caisson_delete(get(), id.c_str(), flags, error);
    });
  }
  Result<> pause(const std::string& id) const {
    return detail::checked(
        [&](caisson_error** error) { return caisson_pause(get(), id.c_str(), error); });
  }
  Result<> resume(const std::string& id) const {
    return detail::checked(
        [&](caisson_error** error) { return caisson_resume(get(), id.c_str(), error); });
  }
  Result<> update(const std::string& id, const std::string& resources) const {
    return detail::checked([&](caisson_error** error) {
      return caisson_update(get(), id.c_str(), resources.c_str(), error);
    });
  }
  Result<> resize(const std::string& id, int rows, int columns) const {
    return detail::checked([&](caisson_error** error) {
      return caisson_resize(get(), id.c_str(), rows, columns, error);
    });
  }
  Result<Process> exec(const std::string& id, const caisson_exec_options& options) const {
    caisson_process process = CAISSON_PROCESS_INIT;
    auto started = detail::checked([&](caisson_error** error) {
      return caisson_exec(get(), id.c_str(), &options, &process, error);
    });
    if (!started) return std::unexpected(std::move(started).error());
    return Process(process);
  }

  Result<State> state(const std::string& id) const {
    caisson_state* state = nullptr;
    auto done = detail::checked([&](caisson_error** error) {
      return caisson_state_get(get(), id.c_str(), &state, error);
    });
    if (!done) return std::unexpected(std::move(done).error());
    State out = detail::state_of(*state);
    caisson_state_free(state);
    return out;
  }
  Result<std::vector<State>> list() const {
    caisson_list* list = nullptr;
    auto done = detail::checked(
        [&](caisson_error** error) { return caisson_list_get(get(), &list, error); });
    if (!done) return std::unexpected(std::move(done).error());
    std::vector<State> out;
    for (std::size_t i = 0; i < list->count; ++i) {
      out.push_back(detail::state_of(*list->states[i]));
    }
    caisson_list_free(list);
    return out;
  }
  Result<std::vector<int>> processes(const std::string& id) const {
    std::int32_t* pids = nullptr;
    std::size_t count = 0;
    auto done = detail::checked([&](caisson_error** error) {
      return caisson_ps(get(), id.c_str(), &pids, &count, error);
    });
    if (!done) return std::unexpected(std::move(done).error());
    std::vector<int> out(pids, pids + count);
    caisson_free(pids);
    return out;
  }
  Result<caisson_stats> stats(const std::string& id) const {
    caisson_stats stats{};
    stats.size = sizeof stats;
    auto done = detail::checked([&](caisson_error** error) {
      return caisson_stats_get(get(), id.c_str(), &stats, error);
    });
    if (!done) return std::unexpected(std::move(done).error());
    return stats;
  }
  // Documents in JSON.
  Result<std::string> state_json(const std::string& id) const {
    return text(caisson_state_json, id);
  }
  Result<std::string> config(const std::string& id) const { return text(caisson_config, id); }
  Result<std::string> resources(const std::string& id) const {
    return text(caisson_resources, id);
  }
  Result<std::string> usage_json(const std::string& id) const {
    return text(caisson_usage_json, id);
  }
  Result<> watch(const std::string& id, const WatchOptions& options) const {
    caisson_watch_options given = CAISSON_WATCH_OPTIONS_INIT;
    given.interval_ms = options.interval_ms;
    given.user = const_cast<WatchOptions*>(&options);
    if (options.on_usage) {
      given.on_usage = [](const char* json, void* user) {
        return static_cast<WatchOptions*>(user)->on_usage(json) ? 0 : 1;
      };
    }
    if (options.on_out_of_memory) {
      given.on_out_of_memory = [](void* user) {
        return static_cast<WatchOptions*>(user)->on_out_of_memory() ? 0 : 1;
      };
    }
    return detail::checked([&](caisson_error** error) {
      return caisson_watch(get(), id.c_str(), &given, error);
    });
  }
  const caisson_runtime* get() const { return runtime_.get(); }

 private:
  explicit Runtime(caisson_runtime* runtime) : runtime_(runtime, &caisson_runtime_close) {}
  template <typename Function>
  Result<std::string> text(Function function, const std::string& id) const {
    return detail::text_from([&](char** out, caisson_error** error) {
      return function(get(), id.c_str(), out, error);
    });
  }
  std::unique_ptr<caisson_runtime, void (*)(caisson_runtime*)> runtime_;
};

inline Result<std::string> features() { return detail::text_from(caisson_features); }

}  // namespace caisson::inline abi_v0

#endif
