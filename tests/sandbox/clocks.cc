// Clocks, sleeps, interval timers, POSIX timers, timers by descriptor.
#include <poll.h>
#include <pthread.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>

#include "frame.h"

namespace {

volatile sig_atomic_t count;
siginfo_t last;

void note(int, siginfo_t* info, void*) {
  count = count + 1;
  last = *info;
}

int64_t ns(const timespec& time) { return time.tv_sec * 1000000000L + time.tv_nsec; }

int64_t now(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return ns(time);
}

timespec in(clockid_t clock, int64_t milliseconds) {
  int64_t at = now(clock) + milliseconds * 1000000;
  return {at / 1000000000, at % 1000000000};
}

void spin(int64_t milliseconds) {
  int64_t end = now(CLOCK_PROCESS_CPUTIME_ID) + milliseconds * 1000000;
  while (now(CLOCK_PROCESS_CPUTIME_ID) < end) continue;
}

itimerspec every(long first_ms, long then_ms) {
  return {{then_ms / 1000, then_ms % 1000 * 1000000}, {first_ms / 1000, first_ms % 1000 * 1000000}};
}

}  // namespace

CASE(clocks_exist) {
  timespec time;
  for (int clock = 0; clock < 12; clock++) {
    line("clock %d", clock);
    CALL(clock_gettime(clock, &time));
  }
  CALL(clock_gettime(99, &time));
  CALL(clock_gettime(-1, &time));
  CALL(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 1));
}

CASE(clocks_move_on) {
  for (clockid_t clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW}) {
    int64_t first = now(clock);
    bool back = false;
    for (int index = 0; index < 10000; index++) {
      int64_t second = now(clock);
      back = back || second < first;
      first = second;
    }
    YES(!back);
  }
}

CASE(clocks_agree) {
  timeval day;
  CALL(gettimeofday(&day, nullptr));
  int64_t real = now(CLOCK_REALTIME);
  YES(real - (day.tv_sec * 1000000000L + day.tv_usec * 1000L) < 1000000000L);
  YES(real / 1000000000 - time(nullptr) <= 1);
  YES(now(CLOCK_BOOTTIME) - now(CLOCK_MONOTONIC) > -1000000);
  YES(real - now(CLOCK_REALTIME_COARSE) < 1000000000L);
  YES(real / 1000000000 > 1700000000);
  timespec by_call;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &by_call);
  YES(ns(by_call) <= now(CLOCK_MONOTONIC));
}

CASE(resolutions) {
  timespec time;
  for (clockid_t clock :
       {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID}) {
    CALL(clock_getres(clock, &time));
    SHOW(ns(time));
  }
  CALL(clock_getres(99, &time));
  CALL(clock_getres(CLOCK_MONOTONIC, nullptr));
}

CASE(clocks_are_not_set_by_users) {
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    timespec time = {1, 0};
    CALL(clock_settime(CLOCK_REALTIME, &time));
    CALL(clock_settime(CLOCK_MONOTONIC, &time));
    timeval day = {1, 0};
    CALL(settimeofday(&day, nullptr));
  });
}

CASE(cpu_clocks_count_work) {
  int64_t begin = now(CLOCK_PROCESS_CPUTIME_ID);
  usleep(50000);
  YES(now(CLOCK_PROCESS_CPUTIME_ID) - begin < 40000000);
  int64_t thread = now(CLOCK_THREAD_CPUTIME_ID);
  spin(20);
  YES(now(CLOCK_PROCESS_CPUTIME_ID) - begin >= 20000000);
  YES(now(CLOCK_THREAD_CPUTIME_ID) - thread >= 15000000);
}

CASE(cpu_clocks_of_others) {
  clockid_t clock;
  FAILS(clock_getcpuclockid(getppid(), &clock));
  timespec time;
  CALL(clock_gettime(clock, &time));
  FAILS(clock_getcpuclockid(0x3fffff, &clock));
  FAILS(pthread_getcpuclockid(pthread_self(), &clock));
  CALL(clock_gettime(clock, &time));
}

CASE(process_times) {
  tms spent;
  YES(times(&spent) > 0);
  spin(50);
  times(&spent);
  YES(spent.tms_utime + spent.tms_stime >= 3);
  SHOW(spent.tms_cutime);
  frame::child([] { spin(50); });
  wait(nullptr);
  times(&spent);
  YES(spent.tms_cutime + spent.tms_cstime >= 3);
}

CASE(sleeps_last) {
  timespec time = {0, 30000000};
  int64_t begin = now(CLOCK_MONOTONIC);
  CALL(nanosleep(&time, nullptr));
  YES(now(CLOCK_MONOTONIC) - begin >= 30000000);
  begin = now(CLOCK_MONOTONIC);
  CALL(usleep(30000));
  YES(now(CLOCK_MONOTONIC) - begin >= 30000000);
  time = {0, 0};
  CALL(nanosleep(&time, nullptr));
}

CASE(sleeps_refused) {
  timespec bad = {0, 1000000000}, negative = {-1, 0};
  CALL(nanosleep(&bad, nullptr));
  CALL(nanosleep(&negative, nullptr));
  CALL(syscall(SYS_nanosleep, 1, nullptr));
  timespec good = {0, 1};
  FAILS(clock_nanosleep(99, 0, &good, nullptr));
  FAILS(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &good, nullptr));
  FAILS(clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, nullptr));
  FAILS(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &good, nullptr));
}

CASE(sleeps_until) {
  for (clockid_t clock : {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME}) {
    timespec time = in(clock, 30);
    FAILS(clock_nanosleep(clock, TIMER_ABSTIME, &time, nullptr));
    YES(now(clock) >= ns(time));
    time = {1, 0};
    FAILS(clock_nanosleep(clock, TIMER_ABSTIME, &time, nullptr));
  }
}

CASE(rest_of_a_sleep) {
  frame::handle(SIGALRM, frame::ignore_in_handler);
  frame::ticks_start(20);
  timespec time = {10, 0}, rest = {};
  CALL(nanosleep(&time, &rest));
  frame::ticks_stop();
  YES(rest.tv_sec >= 5 && rest.tv_sec < 10);
  rest = {77, 7};
  frame::ticks_start(20);
  time = in(CLOCK_MONOTONIC, 10000);
  FAILS(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, &rest));
  frame::ticks_stop();
  SHOW(rest.tv_sec);
}

CASE(alarms) {
  frame::handle_info(SIGALRM, note);
  CALL(alarm(0));
  CALL(alarm(100));
  CALL(alarm(200));
  CALL(alarm(1));
  frame::until([] { return count == 1; });
  SHOW(count);
  SHOW(last.si_code);
  CALL(alarm(0));
}

CASE(interval_timer_of_real_time) {
  frame::handle_info(SIGALRM, note);
  itimerval timer = {{0, 10000}, {0, 10000}};
  CALL(setitimer(ITIMER_REAL, &timer, nullptr));
  YES(frame::until([] { return count >= 5; }));
  itimerval old, none = {};
  CALL(getitimer(ITIMER_REAL, &old));
  SHOW(old.it_interval.tv_usec);
  YES(old.it_value.tv_sec == 0 && old.it_value.tv_usec <= 10000);
  CALL(setitimer(ITIMER_REAL, &none, &old));
  SHOW(old.it_interval.tv_usec);
  CALL(getitimer(ITIMER_REAL, &old));
  SHOW(old.it_value.tv_usec);
}

CASE(interval_timers_of_work) {
  frame::handle_info(SIGVTALRM, note);
  itimerval timer = {{0, 0}, {0, 20000}};
  CALL(setitimer(ITIMER_VIRTUAL, &timer, nullptr));
  int64_t deadline = frame::now_ms() + 8000;
  while (count == 0 && frame::now_ms() < deadline) continue;
  SHOW(count);
  frame::handle_info(SIGPROF, note);
  CALL(setitimer(ITIMER_PROF, &timer, nullptr));
  while (count == 1 && frame::now_ms() < deadline) continue;
  SHOW(count);
}

CASE(interval_timers_refused) {
  itimerval bad = {{0, 0}, {0, 1000000}}, negative = {{0, 0}, {-1, 0}}, good = {};
  CALL(setitimer(ITIMER_REAL, &bad, nullptr));
  CALL(setitimer(ITIMER_REAL, &negative, nullptr));
  CALL(setitimer(static_cast<__itimer_which_t>(9), &good, nullptr));
  CALL(getitimer(static_cast<__itimer_which_t>(9), &good));
  CALL(syscall(SYS_setitimer, ITIMER_REAL, 1, nullptr));
  CALL(syscall(SYS_getitimer, ITIMER_REAL, 1));
}

CASE(interval_timers_are_not_inherited) {
  itimerval timer = {{0, 0}, {100, 0}}, found;
  CALL(setitimer(ITIMER_REAL, &timer, nullptr));
  frame::in_child([&] {
    CALL(getitimer(ITIMER_REAL, &found));
    SHOW(found.it_value.tv_sec);
  });
  CALL(getitimer(ITIMER_REAL, &found));
  YES(found.it_value.tv_sec > 50);
}

HELPER(show_alarm) {
  itimerval found;
  getitimer(ITIMER_REAL, &found);
  YES(found.it_value.tv_sec > 50);
  timer_t timer = nullptr;
  CALL(timer_delete(timer));
  return 0;
}

CASE(interval_timers_survive_exec) {
  frame::in_child([] {
    itimerval timer = {{0, 0}, {100, 0}};
    setitimer(ITIMER_REAL, &timer, nullptr);
    frame::execute("@show_alarm");
  });
}

CASE(posix_timer_signals) {
  frame::handle_info(SIGUSR1, note);
  timer_t timer;
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  event.sigev_value.sival_int = 42;
  CALL(timer_create(CLOCK_MONOTONIC, &event, &timer));
  itimerspec once = every(20, 0);
  CALL(timer_settime(timer, 0, &once, nullptr));
  YES(frame::until([] { return count == 1; }));
  line("code %d value %d overrun %d", last.si_code, last.si_value.sival_int, last.si_overrun);
  itimerspec left;
  CALL(timer_gettime(timer, &left));
  SHOW(ns(left.it_value));
  CALL(timer_delete(timer));
  CALL(timer_delete(timer));
}

CASE(posix_timer_repeats) {
  frame::handle_info(SIGALRM, note);
  timer_t timer;
  CALL(timer_create(CLOCK_REALTIME, nullptr, &timer));
  itimerspec often = every(10, 10), old;
  CALL(timer_settime(timer, 0, &often, nullptr));
  YES(frame::until([] { return count >= 4; }));
  itimerspec none = {};
  CALL(timer_settime(timer, 0, &none, &old));
  SHOW(ns(old.it_interval));
}

CASE(posix_timer_counts_overruns) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  timer_t timer;
  CALL(timer_create(CLOCK_MONOTONIC, nullptr, &timer));
  itimerspec often = every(5, 5);
  CALL(timer_settime(timer, 0, &often, nullptr));
  usleep(100000);
  siginfo_t info;
  timespec none = {};
  CALL(sigtimedwait(&set, &info, &none));
  YES(info.si_overrun >= 10);
  YES(timer_getoverrun(timer) == info.si_overrun);
}

CASE(posix_timer_at_a_time) {
  frame::handle_info(SIGALRM, note);
  timer_t timer;
  CALL(timer_create(CLOCK_MONOTONIC, nullptr, &timer));
  itimerspec at = {{0, 0}, in(CLOCK_MONOTONIC, 30)};
  CALL(timer_settime(timer, TIMER_ABSTIME, &at, nullptr));
  YES(frame::until([] { return count == 1; }));
  YES(now(CLOCK_MONOTONIC) >= ns(at.it_value));
  at.it_value = {1, 0};
  CALL(timer_settime(timer, TIMER_ABSTIME, &at, nullptr));
  YES(frame::until([] { return count == 2; }));
}

CASE(posix_timer_without_a_signal) {
  timer_t timer;
  sigevent event = {};
  event.sigev_notify = SIGEV_NONE;
  CALL(timer_create(CLOCK_MONOTONIC, &event, &timer));
  itimerspec long_time = every(100000, 0), left;
  CALL(timer_settime(timer, 0, &long_time, nullptr));
  CALL(timer_gettime(timer, &left));
  YES(left.it_value.tv_sec > 50);
  SHOW(timer_getoverrun(timer));
}

CASE(posix_timer_to_a_thread) {
  frame::handle_info(SIGUSR1, note);
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGUSR1;
  event._sigev_un._tid = gettid();
  timer_t timer;
  CALL(timer_create(CLOCK_MONOTONIC, &event, &timer));
  itimerspec once = every(10, 0);
  CALL(timer_settime(timer, 0, &once, nullptr));
  YES(frame::until([] { return count == 1; }));
  event._sigev_un._tid = getppid();
  CALL(timer_create(CLOCK_MONOTONIC, &event, &timer));
}

CASE(posix_timers_refused) {
  timer_t timer;
  sigevent event = {};
  event.sigev_notify = 99;
  CALL(timer_create(99, nullptr, &timer));
  CALL(timer_create(CLOCK_MONOTONIC, &event, &timer));
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = 99;
  CALL(timer_create(CLOCK_MONOTONIC, &event, &timer));
  CALL(timer_create(CLOCK_MONOTONIC_RAW, nullptr, &timer));
  CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, 1, &timer));
  itimerspec bad = {{0, 0}, {0, 1000000000}}, good = every(1000, 0);
  CALL(timer_create(CLOCK_MONOTONIC, nullptr, &timer));
  CALL(timer_settime(timer, 0, &bad, nullptr));
  CALL(syscall(SYS_timer_settime, 12345, 0, &good, nullptr));
  CALL(syscall(SYS_timer_gettime, 12345, &good));
  CALL(syscall(SYS_timer_getoverrun, 12345));
}

CASE(posix_timers_are_not_inherited) {
  long id = -1;
  CALL(syscall(SYS_timer_create, CLOCK_MONOTONIC, nullptr, &id));
  itimerspec left;
  CALL(syscall(SYS_timer_gettime, static_cast<int>(id), &left));
  frame::in_child([=] {
    itimerspec other;
    CALL(syscall(SYS_timer_gettime, static_cast<int>(id), &other));
  });
}

CASE(posix_timer_of_work) {
  frame::handle_info(SIGALRM, note);
  timer_t timer;
  CALL(timer_create(CLOCK_PROCESS_CPUTIME_ID, nullptr, &timer));
  itimerspec once = every(20, 0);
  CALL(timer_settime(timer, 0, &once, nullptr));
  int64_t deadline = frame::now_ms() + 8000;
  while (count == 0 && frame::now_ms() < deadline) continue;
  SHOW(count);
}

CASE(timer_by_descriptor) {
  int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  SHOW(fd);
  itimerspec once = every(20, 0);
  CALL(timerfd_settime(fd, 0, &once, nullptr));
  uint64_t ticks = 0;
  CALL(read(fd, &ticks, 8));
  SHOW(ticks);
  CALL(timerfd_gettime(fd, &once));
  SHOW(ns(once.it_value));
  CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
  CALL(read(fd, &ticks, 8));
}

CASE(timer_by_descriptor_counts) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  itimerspec often = every(5, 5);
  CALL(timerfd_settime(fd, 0, &often, nullptr));
  usleep(60000);
  uint64_t ticks = 0;
  CALL(read(fd, &ticks, 8));
  YES(ticks >= 10);
  pollfd one = {fd, POLLIN, 0};
  CALL(poll(&one, 1, 5000));
  SHOW(one.revents);
  itimerspec none = {};
  CALL(timerfd_settime(fd, 0, &none, &often));
  SHOW(ns(often.it_interval));
  CALL(read(fd, &ticks, 8));
  CALL(poll(&one, 1, 0));
}

CASE(timer_by_descriptor_at_a_time) {
  int fd = timerfd_create(CLOCK_REALTIME, 0);
  itimerspec at = {{0, 0}, in(CLOCK_REALTIME, 20)};
  CALL(timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, nullptr));
  uint64_t ticks = 0;
  CALL(read(fd, &ticks, 8));
  YES(now(CLOCK_REALTIME) >= ns(at.it_value));
  at.it_value = {1, 0};
  CALL(timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, nullptr));
  CALL(read(fd, &ticks, 8));
  SHOW(ticks);
}

CASE(timer_by_descriptor_refused) {
  CALL(timerfd_create(99, 0));
  CALL(timerfd_create(CLOCK_MONOTONIC, 0x100));
  CALL(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  itimerspec bad = {{0, 0}, {0, 1000000000}}, good = every(1000, 0);
  CALL(timerfd_settime(fd, 0, &bad, nullptr));
  CALL(timerfd_settime(fd, 0x100, &good, nullptr));
  CALL(timerfd_settime(0, 0, &good, nullptr));
  CALL(timerfd_settime(99, 0, &good, nullptr));
  char small[4];
  CALL(read(fd, small, 4));
  CALL(write(fd, small, 4));
  uint64_t ticks;
  CALL(read(fd, &ticks, 8));
  CALL(lseek(fd, 0, SEEK_SET));
}

CASE(timer_by_descriptor_is_shared_at_fork) {
  int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  itimerspec once = every(20, 0);
  frame::in_child([&] { CALL(timerfd_settime(fd, 0, &once, nullptr)); });
  uint64_t ticks = 0;
  CALL(read(fd, &ticks, 8));
  SHOW(ticks);
}

CASE(timers_in_order) {
  int fds[3];
  for (int index = 0; index < 3; index++) {
    fds[index] = timerfd_create(CLOCK_MONOTONIC, 0);
    itimerspec once = every(90 - index * 30, 0);
    timerfd_settime(fds[index], 0, &once, nullptr);
  }
  pollfd polled[3] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}, {fds[2], POLLIN, 0}};
  CALL(poll(polled + 2, 1, 5000));
  CALL(poll(polled + 1, 1, 5000));
  CALL(poll(polled, 1, 5000));
  CALL(poll(polled, 3, 0));
}
