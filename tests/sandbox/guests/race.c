// Changes the arguments of calls while they are made: paths, addresses of sockets, vectors, messages.
// Each is to be read once; what comes out must be one of the values that were there, never a mixture
// that was checked as one and used as the other.
//
//   race SECONDS
#include "guest.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static volatile int stop;
static char shared_path[64];
static struct iovec vector[2];
static char plain[64], secret[64];
static struct sockaddr_un address;
static struct msghdr message;
static union {
  struct cmsghdr head;
  char bytes[64];
} control;
static int violations;

static void violated(const char* what) {
  if (violations++ < 5) printf("violated: %s\n", what);
}

static void* flip(void* unused) {
  (void)unused;
  for (unsigned i = 0; !stop; i++) {
    memcpy(shared_path, i & 1 ? "/tmp/race/allowed" : "/tmp/race/hidden/", 18);
    vector[0].iov_base = i & 1 ? plain : (void*)(uintptr_t)(i & 2 ? 0xffff800000000000ULL : 0x7ff000010000ULL);
    vector[0].iov_len = i & 4 ? sizeof plain : (size_t)1 << 62;
    address.sun_family = i & 1 ? AF_UNIX : (sa_family_t)0xffff;
    memset(address.sun_path, i & 2 ? 0 : 'a', sizeof address.sun_path);
    message.msg_iovlen = i & 1 ? 2 : (size_t)~0ULL >> 8;
    message.msg_controllen = i & 2 ? sizeof control : (size_t)1 << 40;
    control.head.cmsg_len = i & 1 ? CMSG_LEN(sizeof(int)) : (size_t)~0ULL;
    control.head.cmsg_type = i & 4 ? SCM_RIGHTS : SCM_CREDENTIALS;
  }
  return NULL;
}

// Only root may look into the second; which one is opened is decided by one look at the path.
static void race_path(void) {
  char bytes[16] = "";
  int fd = open(shared_path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  struct stat info;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && read(fd, bytes, 15) > 0 && strcmp(bytes, "allowed") != 0)
    violated("a path that nobody wrote was opened");
  close(fd);
}

static void race_vector(int ends[2]) {
  char bytes[65536];
  ssize_t size = writev(ends[1], vector, 2);
  if (size > 65536) violated("more was written than the pipe takes");
  while (size > 0) {
    ssize_t got = read(ends[0], bytes, sizeof bytes);
    if (got <= 0) break;
    size -= got;
  }
}

static void race_message(int pair[2]) {
  char bytes[64];
  struct iovec part = {bytes, sizeof bytes};
  char space[256];
  struct msghdr answer = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  if (sendmsg(pair[0], &message, MSG_DONTWAIT) < 0) return;
  if (recvmsg(pair[1], &answer, MSG_DONTWAIT) < 0) return;
  for (struct cmsghdr* one = CMSG_FIRSTHDR(&answer); one; one = CMSG_NXTHDR(&answer, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    for (size_t i = 0; i < (one->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(one) + i * sizeof fd, sizeof fd);
      close(fd);
    }
  }
}

static void race_address(void) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  if (bind(fd, (struct sockaddr*)&address, sizeof address) == 0) {
    struct sockaddr_un bound = {0};
    socklen_t size = sizeof bound;
    getsockname(fd, (struct sockaddr*)&bound, &size);
    if (bound.sun_family != AF_UNIX) violated("an address of another family was bound");
    if (bound.sun_path[0]) unlink(bound.sun_path);
  }
  close(fd);
}

int main(int count, char** values) {
  if (count != 2) return 2;
  int ends[2], pair[2];
  pthread_t flipper;
  mkdir("/tmp/race", 0755);
  mkdir("/tmp/race/hidden", 0700);
  FILE* file = fopen("/tmp/race/allowed", "w");
  if (!file || fputs("allowed", file) < 0 || fclose(file) != 0) return 1;
  if (pipe2(ends, O_NONBLOCK) != 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) return 1;
  vector[1] = (struct iovec){secret, sizeof secret};
  message = (struct msghdr){.msg_iov = vector, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control};
  control.head.cmsg_level = SOL_SOCKET;
  *(int*)CMSG_DATA(&control.head) = ends[0];
  (void)!chdir("/tmp/race");
  if (pthread_create(&flipper, NULL, flip, NULL) != 0) return 1;
  double end = now() + atof(values[1]);
  long rounds = 0;
  for (; now() < end; rounds++) {
    race_path();
    race_vector(ends);
    race_message(pair);
    race_address();
  }
  stop = 1;
  pthread_join(flipper, NULL);
  printf("raced %s\n", rounds > 100 ? "often" : "seldom");
  return still_works() | (violations != 0);
}
