/*
 * A host with threads: each takes containers of its own through their lives, beside one that lists
 * all of them and one that allocates, so that a child that would allocate could hang. Afterwards the
 * process is as it was.
 *
 * Arguments: state directory, bundle (its program sleeps), prefix of ids, threads, rounds.
 */
#define _GNU_SOURCE
#include <caisson/caisson.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);  \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

/* Every call of the library goes through here: its error is shown. */
#define DO(call)                                                                             \
  do {                                                                                       \
    caisson_error *error = NULL;                                                             \
    int done = (call);                                                                       \
    if (done != 0) {                                                                         \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call,                          \
              caisson_error_message(error));                                                 \
      exit(1);                                                                               \
    }                                                                                        \
    CHECK(error == NULL);                                                                    \
  } while (0)

static const char *bundle, *prefix;
static int rounds;
static caisson_runtime *runtime;
static atomic_int working;
static atomic_int child_signals;

static void on_child(int signal) {
  (void)signal;
  child_signals++;
}

static int status_of(const char *id) {
  caisson_state *state = NULL;
  DO(caisson_state_get(runtime, id, &state, &error));
  CHECK(strcmp(state->id, id) == 0);
  int status = state->status;
  caisson_state_free(state);
  return status;
}

static void check_exec(const char *id, const char *script, int code) {
  const char *args[] = {"/bin/sh", "-c", script, NULL};
  caisson_exec_options options = CAISSON_EXEC_OPTIONS_INIT;
  caisson_process process = CAISSON_PROCESS_INIT;
  caisson_exit end = CAISSON_EXIT_INIT;
  options.args = args;
  DO(caisson_exec(runtime, id, &options, &process, &error));
  CHECK(process.pid > 0 && process.pidfd >= 0);
  DO(caisson_wait_process(&process, 30000, &end, &error));
  CHECK(end.known && end.code == code && end.signal == 0);
  CHECK(close(process.pidfd) == 0);
}

static void check_errors(const char *id) {
  caisson_error *error = NULL;
  caisson_create_options options = CAISSON_CREATE_OPTIONS_INIT;
  options.id = id;
  options.bundle = bundle;
  CHECK(caisson_create(runtime, &options, NULL, &error) == EEXIST);
  CHECK(caisson_error_errno(error) == EEXIST);
  CHECK(strcmp(caisson_error_code(error), "container.exists") == 0);
  CHECK(caisson_error_cure(error)[0] != '\0' && caisson_error_cause(error)[0] != '\0');
  caisson_error_free(error);
  CHECK(caisson_start(runtime, id, NULL, NULL) == EBUSY);
  CHECK(caisson_wait(runtime, id, 0, NULL, NULL) == ETIMEDOUT);
  const char *args[] = {"/no/such/program", NULL};
  caisson_exec_options exec = CAISSON_EXEC_OPTIONS_INIT;
  exec.args = args;
  CHECK(caisson_exec(runtime, id, &exec, NULL, &error) == ENOENT);
  CHECK(strcmp(caisson_error_step(error), "exec") == 0);
  caisson_error_free(error);
}

static void live(const char *id) {
  caisson_create_options options = CAISSON_CREATE_OPTIONS_INIT;
  caisson_process init = CAISSON_PROCESS_INIT;
  caisson_exit end = CAISSON_EXIT_INIT;
  options.id = id;
  options.bundle = bundle;
  DO(caisson_create(runtime, &options, &init, &error));
  CHECK(status_of(id) == CAISSON_CREATED);
  DO(caisson_start(runtime, id, NULL, &error));
  CHECK(status_of(id) == CAISSON_RUNNING);
  check_exec(id, "exit 7", 7);
  check_errors(id);
  int32_t *pids = NULL;
  size_t count = 0;
  DO(caisson_ps(runtime, id, &pids, &count, &error));
  CHECK(count == 1 && pids[0] == init.pid);
  caisson_free(pids);
  DO(caisson_kill(runtime, id, SIGKILL, 0, &error));
  DO(caisson_wait(runtime, id, 30000, &end, &error));
  CHECK(end.known && end.signal == SIGKILL && end.code == 0);
  /* Collected, and known for good. */
  CHECK(waitid(P_PIDFD, (id_t)init.pidfd, NULL, WEXITED | WNOHANG) == -1 && errno == ECHILD);
  end.known = 0;
  DO(caisson_wait(runtime, id, 0, &end, &error));
  CHECK(end.known && end.signal == SIGKILL);
  CHECK(status_of(id) == CAISSON_STOPPED);
  DO(caisson_delete(runtime, id, 0, &error));
  CHECK(caisson_delete(runtime, id, 0, NULL) == ENOENT);
  CHECK(close(init.pidfd) == 0);
}

static void *live_often(void *argument) {
  char id[128];
  for (int round = 0; round < rounds; ++round) {
    snprintf(id, sizeof id, "%s-%d-%d", prefix, *(int *)argument, round);
    live(id);
  }
  working--;
  return NULL;
}

static void *list_often(void *argument) {
  (void)argument;
  while (working > 0) {
    caisson_list *list = NULL;
    DO(caisson_list_get(runtime, &list, &error));
    for (size_t i = 0; i < list->count; ++i) CHECK(list->states[i]->status != CAISSON_BROKEN);
    caisson_list_free(list);
  }
  return NULL;
}

static void *allocate_often(void *argument) {
  (void)argument;
  while (working > 0) {
    void *memory[64];
    for (size_t i = 0; i < 64; ++i) memory[i] = malloc(i * 97 + 1);
    for (size_t i = 0; i < 64; ++i) free(memory[i]);
  }
  return NULL;
}

struct looks {
  char cwd[4096];
  mode_t umask_value;
  sigset_t mask;
  int descriptors, mappings;
};

static int count_of(const char *directory) {
  int count = 0;
  DIR *dir = opendir(directory);
  CHECK(dir != NULL);
  while (readdir(dir) != NULL) count++;
  closedir(dir);
  return count;
}

static int count_mappings(void) {
  int count = 0, c;
  FILE *maps = fopen("/proc/self/maps", "re");
  CHECK(maps != NULL);
  while ((c = getc(maps)) != EOF) count += c == '\n';
  fclose(maps);
  return count;
}

static struct looks look(void) {
  struct looks looks;
  memset(&looks, 0, sizeof looks);
  CHECK(getcwd(looks.cwd, sizeof looks.cwd) != NULL);
  looks.umask_value = umask(077);
  umask(looks.umask_value);
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &looks.mask) == 0);
  looks.descriptors = count_of("/proc/self/fd");
  looks.mappings = count_mappings();
  return looks;
}

static void run_threads(int threads) {
  pthread_t ids[64], lister, allocator;
  int numbers[64];
  pthread_attr_t attributes;
  CHECK(threads > 0 && threads <= 64);
  CHECK(pthread_attr_init(&attributes) == 0);
#ifndef __SANITIZE_ADDRESS__
  /* What the header promises to do with, and what starting a thread takes of it. */
  CHECK(pthread_attr_setstacksize(&attributes, 128 * 1024) == 0);
#endif
  working = threads;
  for (int i = 0; i < threads; ++i) {
    numbers[i] = i;
    CHECK(pthread_create(&ids[i], &attributes, live_often, &numbers[i]) == 0);
  }
  CHECK(pthread_create(&lister, &attributes, list_often, NULL) == 0);
  CHECK(pthread_create(&allocator, NULL, allocate_often, NULL) == 0);
  for (int i = 0; i < threads; ++i) CHECK(pthread_join(ids[i], NULL) == 0);
  CHECK(pthread_join(lister, NULL) == 0);
  CHECK(pthread_join(allocator, NULL) == 0);
  CHECK(pthread_attr_destroy(&attributes) == 0);
}

int main(int argc, char **argv) {
  CHECK(argc == 6);
  caisson_runtime_options options = CAISSON_RUNTIME_OPTIONS_INIT;
  bundle = argv[2];
  prefix = argv[3];
  rounds = atoi(argv[5]);
  options.root = argv[1];
  if (getenv("SHARE_MEMORY") != NULL) options.flags = CAISSON_SHARE_MEMORY;
  CHECK(caisson_abi_version() == CAISSON_ABI_VERSION);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_child;
  action.sa_flags = SA_RESTART;
  CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
  DO(caisson_runtime_open(&options, &runtime, &error));
  run_threads(atoi(argv[4])); /* what libc and the allocator keep is there from now on */
  struct looks before = look();
  run_threads(atoi(argv[4]));
  struct looks after = look();
  caisson_runtime_close(runtime);
  CHECK(strcmp(before.cwd, after.cwd) == 0 && before.umask_value == after.umask_value);
  CHECK(memcmp(&before.mask, &after.mask, sizeof before.mask) == 0);
  CHECK(before.descriptors == after.descriptors);
  /* Stacks of children would show; arenas of the allocator may come. */
  CHECK(after.mappings <= before.mappings + 8);
  CHECK(child_signals > 0);
  struct sigaction now;
  CHECK(sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == on_child);
  CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
  puts("as before");
  return 0;
}
