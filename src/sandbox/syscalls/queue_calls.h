// mq_overview(7): entries of ipc_calls().
#pragma once

#include "sandbox/syscalls/table.h"

namespace caisson::sandbox::syscalls {

Value call_mq_open(Task& task, const Arguments& arguments);
Value call_mq_unlink(Task& task, const Arguments& arguments);
Value call_mq_timedsend(Task& task, const Arguments& arguments);
Value call_mq_timedreceive(Task& task, const Arguments& arguments);
Value call_mq_notify(Task& task, const Arguments& arguments);
Value call_mq_getsetattr(Task& task, const Arguments& arguments);

}  // namespace caisson::sandbox::syscalls
