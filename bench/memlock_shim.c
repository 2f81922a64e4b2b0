// crun 1.8 insists on raising RLIMIT_MEMLOCK before it loads a device program and gives up where
// that is not allowed (no CAP_SYS_RESOURCE), although kernels since 5.11 do not count the program
// against it. This makes it go on. It is preloaded for crun only, and only where crun fails without
// it.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int setrlimit(__rlimit_resource_t resource, const struct rlimit* limit) {
  if (resource == RLIMIT_MEMLOCK) return 0;
  return (int)syscall(SYS_prlimit64, 0, (int)resource, limit, 0);
}
