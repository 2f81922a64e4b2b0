/*
 * libcaisson: OCI containers for programs that would rather link than execute. The same verbs as
 * `caisson-oci`, on the same state: what one of them makes, the other sees.
 *
 * Results. Every function that can fail returns 0, or a positive errno(3) value. `error`, where it
 * is not NULL, then receives what failed, on what, why and what to do about it, for the caller to
 * free with caisson_error_free(); on success it is set to NULL. errno itself means nothing here.
 * Running out of memory ends the process, as in most of C++.
 *
 * Structures. The caller says by `size` which version of a structure it means: set it to sizeof, or
 * begin with the structure's _INIT macro, which also gives every member its default. Members are
 * only ever added at the end. A structure that is larger than this library's is refused (E2BIG)
 * when what the library does not know is not zero. Strings are UTF-8, owned by the caller, read
 * during the call. Strings and structures that a function returns belong to the caller, who gives
 * them to the function that is named there.
 *
 * Threads. Every function may be called from any thread at any time, also on the same runtime and
 * the same container: calls that change one container take turns (up to `lock_timeout_ms`, then
 * EBUSY), also with other processes. Only caisson_runtime_close() needs that no other call on its
 * runtime is under way. A call needs some 100 KiB of stack.
 *
 * The process around it. The library keeps no state between calls, and leaves alone: signal
 * handlers, signal masks, the working directory, the umask, the environment, resource limits,
 * standard streams, locales. It starts no threads and never ends the process. Descriptors that it
 * opens are close-on-exec. It reads the environment (XDG_RUNTIME_DIR and DBUS_*_BUS_ADDRESS, to
 * reach systemd), which must not change meanwhile.
 *
 * Children. The init of a container and what caisson_exec() starts are children of the calling
 * process, hooks and helpers are while they run; SIGCHLD comes as for any child. The library
 * collects by pidfd what it made, and nothing else. Please do likewise: a loop over waitpid(-1), or
 * ignored SIGCHLD, takes exit statuses away; they are then only known where the kernel tells them
 * afterwards (Linux 6.15). When the process ends, its containers go on.
 *
 * Forks. While a call that starts something is under way, a fork of another thread has copies of
 * its descriptors until it executes a program; one that never does may hold the call up for a
 * minute.
 *
 * Paths are those of the calling process; "absolute" means beginning with a slash. Ids of
 * containers are "[A-Za-z0-9_+.-]+", at most 255 bytes. Times are in the unit that the name ends
 * in; "since the epoch" is CLOCK_REALTIME. Process ids are those of the caller's pid namespace.
 *
 * Errors that any function on a container can give: EINVAL (bad id or options), ENOENT (no such
 * container), EBUSY (another call is at work on it, or its status does not fit), EIO (its state
 * cannot be read), and those of the system calls underneath. What is listed with a function comes
 * on top.
 */
#ifndef CAISSON_CAISSON_H
#define CAISSON_CAISSON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/* The version of this interface: it changes with the number behind libcaisson.so. */
#define CAISSON_ABI_VERSION 0

/* The same of the library that runs; a program that loads it by name compares the two. */
int caisson_abi_version(void);
/* "0.1.0". Static storage. */
const char* caisson_version(void);

/* ---------------------------------------------------------------------------------- errors -- */

typedef struct caisson_error caisson_error;

/* A positive errno value, the one that the function returned. */
int caisson_error_errno(const caisson_error* error);
/*
 * Its parts; "" where there is nothing to say. They live as long as the error.
 *   code    stable name of the kind of failure: "container.missing", "spec.invalid"
 *   step    the step of a sequence that failed: "mounts", "cgroups"
 *   object  what was being done, with its object: "mount tmpfs on /dev/shm"
 *   where   place in the input: "process.args[0]"
 *   cause   why; never empty
 *   cure    what to do about it, an imperative sentence
 */
const char* caisson_error_code(const caisson_error* error);
const char* caisson_error_step(const caisson_error* error);
const char* caisson_error_object(const caisson_error* error);
const char* caisson_error_where(const caisson_error* error);
const char* caisson_error_cause(const caisson_error* error);
const char* caisson_error_cure(const caisson_error* error);
/* One line with all but the code and the cure. */
const char* caisson_error_message(const caisson_error* error);
/* NULL is allowed. */
void caisson_error_free(caisson_error* error);

/* Frees strings and arrays that functions returned. NULL is allowed. */
void caisson_free(void* memory);

/* --------------------------------------------------------------------------------- runtime -- */

/* A state directory and how its containers are treated. Never changes once it is open. */
typedef struct caisson_runtime caisson_runtime;

/* cgroupsPath names a unit of systemd ("slice:prefix:name"), as `--systemd-cgroup` does. */
#define CAISSON_SYSTEMD_CGROUP 1u
/* No cgroups are made. */
#define CAISSON_NO_CGROUPS 2u
/*
 * A new process runs in the caller's memory until it executes its program, which spares large
 * programs the copy of their page tables. It stands in the container's cgroups by then: when the
 * kernel kills it there for want of memory, it kills the caller, too. Without the flag the new
 * process has a copy, as after fork(2).
 */
#define CAISSON_SHARE_MEMORY 4u

typedef struct caisson_runtime_options {
  size_t size;
  /* Absolute path of the state directory, as of `--root`: made when it is missing, mode 0700. The
   * commands' own are /run/caisson-oci and /run/caisson. Required. */
  const char* root;
  uint32_t flags;
  /* How long a call waits for another one on the same container. Default 10000. */
  int32_t lock_timeout_ms;
  /* Is told what is worth knowing and no error: a limit that this kernel lacks, a poststop hook
   * that failed. Called during calls, in their thread; `text` is only valid meanwhile. May be NULL.
   */
  void (*on_warning)(const char* text, void* user);
  void* user;
} caisson_runtime_options;
#define CAISSON_RUNTIME_OPTIONS_INIT {sizeof(caisson_runtime_options), NULL, 0, 10000, NULL, NULL}

/* EPERM: the directory cannot be made. To be closed with caisson_runtime_close(). */
int caisson_runtime_open(const caisson_runtime_options* options, caisson_runtime** runtime,
                         caisson_error** error);
/* Containers stay as they are. NULL is allowed. */
void caisson_runtime_close(caisson_runtime* runtime);

/* ------------------------------------------------------------------------- create and start -- */

/* A process that was started: `pidfd` (pidfd_open(2), close-on-exec) belongs to the caller, who
 * closes it; it is readable once the process has ended. */
typedef struct caisson_process {
  size_t size;
  int32_t pid;
  int32_t pidfd;
} caisson_process;
#define CAISSON_PROCESS_INIT {sizeof(caisson_process), 0, -1}

/* How a process ended. */
typedef struct caisson_exit {
  size_t size;
  int32_t known;  /* 0: it ended while nobody watched, and the kernel cannot tell any more */
  int32_t code;   /* 0 to 255, when `signal` is 0 */
  int32_t signal; /* that killed it, or 0 */
  int32_t oom;    /* 1: the kernel's OOM killer was at work in its cgroup */
  int64_t at_ns;  /* when it was noticed, since the epoch */
} caisson_exit;
#define CAISSON_EXIT_INIT {sizeof(caisson_exit), 0, 0, 0, 0, 0}

/* The root is changed by chroot, for roots on a ramdisk. */
#define CAISSON_NO_PIVOT 1u
/* The session keyring is kept. */
#define CAISSON_NO_NEW_KEYRING 2u
/* caisson_run() leaves the container when its program has ended. */
#define CAISSON_KEEP 4u

typedef struct caisson_create_options {
  size_t size;
  const char* id;       /* required */
  const char* bundle;   /* directory of config.json; relative paths in it start here. Required */
  const char* config;   /* text of a config.json, instead of the bundle's file. May be NULL */
  const char* pid_file; /* gets the process id of init, complete or not at all. May be NULL */
  const char* console_socket;   /* listening unix socket that takes the master of the terminal;
                                   required   when process.terminal is set, else NULL */
  const char* pidfd_socket;     /* listening unix socket that takes a pidfd of init. May be NULL */
  const char* notify_socket;    /* of the service manager: sd_notify(3). May be NULL */
  const char* seccomp_receiver; /* unix socket of an agent for SCMP_ACT_NOTIFY. May be NULL */
  const char* const* env; /* "NAME=value" for the program besides process.env, ending in NULL. May
                             be NULL */
  int32_t stdin_fd, stdout_fd, stderr_fd; /* of the program; they stay the caller's. -1: the
                                             caller's own of that number */
  int32_t preserve_fds;                   /* descriptors 3 to 2+n of the caller are passed on */
  uint32_t flags;                         /* CAISSON_NO_PIVOT ... */
} caisson_create_options;
#define CAISSON_CREATE_OPTIONS_INIT \
  {sizeof(caisson_create_options),  \
   NULL,                            \
   NULL,                            \
   NULL,                            \
   NULL,                            \
   NULL,                            \
   NULL,                            \
   NULL,                            \
   NULL,                            \
   NULL,                            \
   -1,                              \
   -1,                              \
   -1,                              \
   0,                               \
   0}

/*
 * Makes a container, whose program waits for caisson_start(). `init` (may be NULL) receives the
 * process. On failure nothing remains. EEXIST: the id is taken; ENOTSUP: the configuration asks for
 * what this host lacks; ECANCELED, ETIME: a hook failed or took too long.
 */
int caisson_create(const caisson_runtime* runtime, const caisson_create_options* options,
                   caisson_process* init, caisson_error** error);
/* Runs the program of a created container, and its poststart hooks. `notify_socket` as at create:
 * if it is not NULL there and here, returns when the program says that it is ready. ENOENT also: no
 * such program. */
int caisson_start(const caisson_runtime* runtime, const char* id, const char* notify_socket,
                  caisson_error** error);
/*
 * Creates, starts, waits for the end and deletes (but see CAISSON_KEEP). Signals to the caller are
 * not passed on. `exit` may be NULL. Errors as of caisson_create().
 */
int caisson_run(const caisson_runtime* runtime, const caisson_create_options* options,
                caisson_exit* exit, caisson_error** error);
/* Waits until init has ended; -1: without a bound. ETIMEDOUT: it still runs. It may be asked again,
 * and by several threads. `exit` may be NULL. */
int caisson_wait(const caisson_runtime* runtime, const char* id, int timeout_ms, caisson_exit* exit,
                 caisson_error** error);

/* ----------------------------------------------------------------------------- life and end -- */

/* Every process of the container; a stopped one is no error. */
#define CAISSON_ALL 1u
/* Sends a signal (its number) to init. ESRCH: the container is not running. */
int caisson_kill(const caisson_runtime* runtime, const char* id, int signal, uint32_t flags,
                 caisson_error** error);
/* Sends `signal`, then SIGKILL to a program that did not end within `grace_ms`. Returns when it has
 * ended. `exit` may be NULL. ESRCH: the container is not running. */
int caisson_stop(const caisson_runtime* runtime, const char* id, int signal, int grace_ms,
                 caisson_exit* exit, caisson_error** error);

/* Kills a running container first; a missing one is no error. */
#define CAISSON_FORCE 1u
/* Removes a container that has stopped or was never started, and collects its init. */
int caisson_delete(const caisson_runtime* runtime, const char* id, uint32_t flags,
                   caisson_error** error);

/* Freezes and thaws all processes. ENOTSUP: there is no freezer. */
int caisson_pause(const caisson_runtime* runtime, const char* id, caisson_error** error);
int caisson_resume(const caisson_runtime* runtime, const char* id, caisson_error** error);
/* Changes limits: `resources` is the text of a linux.resources object; what it does not name stays.
 * Either everything is changed, or nothing. ESRCH: the container is not running. */
int caisson_update(const caisson_runtime* runtime, const char* id, const char* resources,
                   caisson_error** error);
/* Sets the window size of the terminal that a supervisor of `caisson run --detach` holds. */
int caisson_resize(const caisson_runtime* runtime, const char* id, int rows, int columns,
                   caisson_error** error);

/* ------------------------------------------------------------------------------------- exec -- */

/* The new process may not gain privileges. */
#define CAISSON_NO_NEW_PRIVILEGES 8u
/* With a terminal, whose master `console_socket` takes. */
#define CAISSON_TERMINAL 16u
/* A paused container is not refused; the process runs once it is resumed. */
#define CAISSON_IGNORE_PAUSED 32u

typedef struct caisson_exec_options {
  size_t size;
  const char* const* args; /* ending in NULL; NULL with `process` */
  const char* process; /* text of a whole `process` object of a config.json. May be NULL: then that
                          of the container, with what follows changed */
  const char* const* env; /* "NAME=value", ending in NULL. May be NULL */
  const char* cwd;        /* may be NULL */
  const char* user;       /* "uid", "uid:gid", or names that the container knows. May be NULL */
  const char *pid_file, *console_socket, *pidfd_socket, *seccomp_receiver; /* as at create */
  int32_t stdin_fd, stdout_fd, stderr_fd;
  int32_t preserve_fds;
  uint32_t flags; /* CAISSON_NO_NEW_PRIVILEGES, CAISSON_NO_NEW_KEYRING ... */
} caisson_exec_options;
#define CAISSON_EXEC_OPTIONS_INIT \
  {sizeof(caisson_exec_options),  \
   NULL,                          \
   NULL,                          \
   NULL,                          \
   NULL,                          \
   NULL,                          \
   NULL,                          \
   NULL,                          \
   NULL,                          \
   NULL,                          \
   -1,                            \
   -1,                            \
   -1,                            \
   0,                             \
   0}

/* Starts one more process in a running container. It is the caller's child: caisson_wait_process(),
 * or waitid(P_PIDFD), collects it. ENOENT, EACCES: the program cannot be executed. */
int caisson_exec(const caisson_runtime* runtime, const char* id,
                 const caisson_exec_options* options, caisson_process* process,
                 caisson_error** error);
/* Waits for the end of a process by its pidfd and collects it; -1: without a bound. The pidfd stays
 * open. ETIMEDOUT: it still runs. `exit` may be NULL. */
int caisson_wait_process(const caisson_process* process, int timeout_ms, caisson_exit* exit,
                         caisson_error** error);

/* ---------------------------------------------------------------------------------- looking -- */

enum caisson_status {
  CAISSON_CREATING = 0, /* a create is under way */
  CAISSON_CREATED = 1,
  CAISSON_RUNNING = 2,
  CAISSON_PAUSED = 3,
  CAISSON_STOPPED = 4,
  CAISSON_BROKEN = 5 /* of caisson_list(): it cannot be read, `problem` says why */
};

/* All members, strings included, live until caisson_state_free() or caisson_list_free(). */
typedef struct caisson_state {
  size_t size;
  const char* id;
  int32_t status; /* enum caisson_status */
  int32_t pid;    /* of init; 0 when stopped */
  const char* bundle;
  const char* rootfs;
  int64_t created_ns; /* since the epoch */
  uint32_t owner;     /* user id */
  int32_t has_exit;   /* 1: `exit` says how init ended */
  caisson_exit exit;
  const char* problem; /* "" but for CAISSON_BROKEN */
} caisson_state;

/* Status and facts of a container, as they are now. To be freed with caisson_state_free(). */
int caisson_state_get(const caisson_runtime* runtime, const char* id, caisson_state** state,
                      caisson_error** error);
void caisson_state_free(caisson_state* state);
/* The same as the state document of the runtime specification. To be freed with caisson_free(). */
int caisson_state_json(const caisson_runtime* runtime, const char* id, char** json,
                       caisson_error** error);

typedef struct caisson_list {
  size_t size;
  size_t count;
  const caisson_state* const* states; /* sorted by id */
} caisson_list;
/* All containers of the state directory. To be freed with caisson_list_free(). */
int caisson_list_get(const caisson_runtime* runtime, caisson_list** list, caisson_error** error);
void caisson_list_free(caisson_list* list);

/* Ids of all processes of a container, none of a stopped one. To be freed with caisson_free(). */
int caisson_ps(const caisson_runtime* runtime, const char* id, int32_t** pids, size_t* count,
               caisson_error** error);
/* The configuration, verbatim as it was at create, and the linux.resources object as it is now. To
 * be freed with caisson_free(). */
int caisson_config(const caisson_runtime* runtime, const char* id, char** json,
                   caisson_error** error);
int caisson_resources(const caisson_runtime* runtime, const char* id, char** json,
                      caisson_error** error);

/* The value of a figure that this host does not count. */
#define CAISSON_ABSENT UINT64_MAX

/* From the container's cgroups. Times and counters are sums since its creation. */
typedef struct caisson_stats {
  size_t size;
  uint64_t cpu_usage_ns, cpu_user_ns, cpu_system_ns;
  uint64_t cpu_periods, cpu_throttled_periods, cpu_throttled_ns;
  uint64_t memory_bytes, memory_limit_bytes, memory_peak_bytes;
  uint64_t memory_cache_bytes; /* of memory_bytes: pages of files */
  uint64_t memory_failures;    /* how often the limit was met */
  uint64_t oom_kills, swap_bytes;
  uint64_t pids, pids_limit;
  uint64_t read_bytes, written_bytes, read_ops, write_ops; /* of block devices */
} caisson_stats;
/* `stats->size` is to be set. ESRCH: the container is not running. */
int caisson_stats_get(const caisson_runtime* runtime, const char* id, caisson_stats* stats,
                      caisson_error** error);
/* One "stats" event as a line of JSON, in the form of `runc events`. To be freed with
 * caisson_free(). ESRCH: the container is not running. */
int caisson_usage_json(const caisson_runtime* runtime, const char* id, char** json,
                       caisson_error** error);

typedef struct caisson_watch_options {
  size_t size;
  int64_t interval_ms; /* between two usages; default 5000 */
  /* Called during the call, in its thread; a value other than 0 ends it, with ECANCELED. May be
   * NULL. */
  int (*on_usage)(const char* json, void* user);
  /* For each process that the kernel killed for want of memory. May be NULL. */
  int (*on_out_of_memory)(void* user);
  void* user;
} caisson_watch_options;
#define CAISSON_WATCH_OPTIONS_INIT {sizeof(caisson_watch_options), 5000, NULL, NULL, NULL}
/* Reports until the container ends. ESRCH: it is not running. */
int caisson_watch(const caisson_runtime* runtime, const char* id,
                  const caisson_watch_options* options, caisson_error** error);

/* The features document of the runtime specification. To be freed with caisson_free(). */
int caisson_features(char** json, caisson_error** error);
/* "TERM", "sigterm", "15", "RTMIN+3" to a number. */
int caisson_parse_signal(const char* text, int* signal, caisson_error** error);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
