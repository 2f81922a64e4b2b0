// Calls that make files to be waited for, and epoll's: entries of poll_calls().
#pragma once

#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

Value call_epoll_create(Task& task, const Arguments& arguments);
Value call_epoll_create1(Task& task, const Arguments& arguments);
Value call_epoll_ctl(Task& task, const Arguments& arguments);
Value call_epoll_wait(Task& task, const Arguments& arguments);
Value call_epoll_pwait(Task& task, const Arguments& arguments);
Value call_epoll_pwait2(Task& task, const Arguments& arguments);
Value call_eventfd(Task& task, const Arguments& arguments);
Value call_eventfd2(Task& task, const Arguments& arguments);
Value call_pipe(Task& task, const Arguments& arguments);
Value call_pipe2(Task& task, const Arguments& arguments);
Value call_timerfd_create(Task& task, const Arguments& arguments);
Value call_timerfd_settime(Task& task, const Arguments& arguments);
Value call_timerfd_gettime(Task& task, const Arguments& arguments);
Value call_signalfd(Task& task, const Arguments& arguments);
Value call_signalfd4(Task& task, const Arguments& arguments);
Value call_inotify_init(Task& task, const Arguments& arguments);
Value call_inotify_init1(Task& task, const Arguments& arguments);
Value call_inotify_add_watch(Task& task, const Arguments& arguments);
Value call_inotify_rm_watch(Task& task, const Arguments& arguments);

}  // namespace caisson::sandbox::syscalls
