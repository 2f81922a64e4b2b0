// What goes beside the data of local sockets: descriptors and credentials.
#include "unix_sockets.h"

using namespace local_sockets;

namespace {

long send_fds(int fd, std::initializer_list<int> fds, const char* text = "x") {
  alignas(cmsghdr) char control[1024] = {};
  iovec vector = {const_cast<char*>(text), strlen(text)};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  memcpy(CMSG_DATA(header), fds.begin(), fds.size() * sizeof(int));
  return sendmsg(fd, &message, 0);
}

}  // namespace

CASE(descriptors_are_passed) {
  int ends[2];
  pair(ends);
  int file = frame::made("x");
  write(file, "content", 7);
  CALL(send_fds(ends[0], {file}));
  close(file);
  int got = receive_message(ends[1]);
  CALL(fcntl(got, F_GETFD));
  CALL(lseek(got, 0, SEEK_CUR));
  char data[8] = {};
  CALL(pread(got, data, 7, 0));
  frame::text("data", data);
}

CASE(several_descriptors_are_passed) {
  int ends[2];
  pair(ends);
  CALL(send_fds(ends[0], {0, 1, 2}, "three"));
  receive_message(ends[1], MSG_CMSG_CLOEXEC);
  CALL(fcntl(5, F_GETFD));
  CALL(fcntl(7, F_GETFD));
}

CASE(descriptors_to_another_process) {
  int ends[2];
  pair(ends);
  pid_t pid = frame::child([&] {
    int got = receive_message(ends[1]);
    CALL(write(got, "from the child", 14));
  });
  send_fds(ends[0], {frame::made("x")});
  frame::join(pid);
  frame::cat("x");
}

CASE(descriptors_without_room) {
  int ends[2];
  pair(ends);
  CALL(send_fds(ends[0], {0, 1, 2}));
  receive_message(ends[1], 0, CMSG_LEN(2 * sizeof(int)));
  CALL(send_fds(ends[0], {0}));
  receive_message(ends[1], 0, 0);
  CALL(send_fds(ends[0], {0}));
  receive(ends[1]);
  CALL(dup(0));
}

CASE(descriptors_keep_messages_apart) {
  int ends[2];
  pair(ends);
  CALL(write(ends[0], "before", 6));
  CALL(send_fds(ends[0], {0}, "with"));
  CALL(write(ends[0], "after", 5));
  receive_message(ends[1]);
  receive_message(ends[1]);
}

CASE(descriptors_are_looked_at) {
  int ends[2];
  pair(ends);
  CALL(send_fds(ends[0], {0}));
  receive_message(ends[1], MSG_PEEK);
  receive_message(ends[1]);
}

CASE(descriptors_refused) {
  int ends[2];
  pair(ends);
  CALL(send_fds(ends[0], {99}));
  CALL(send_fds(ends[0], {0, -1}));
  CALL(send_fds(ends[0], {open("/", O_PATH)}));
  receive_message(ends[1]);
}

CASE(descriptors_of_sockets_that_are_lost) {
  int ends[2];
  pair(ends);
  int other[2];
  pair(other);
  CALL(send_fds(ends[0], {other[0]}));
  close(other[0]);
  show_poll(other[1]);
  close(ends[0]);
  close(ends[1]);  // with the message, and so the last descriptor of other[0]
  YES(frame::until([&] {
    pollfd one = {other[1], POLLIN, 0};
    return poll(&one, 1, 0) == 1;
  }));
  receive(other[1]);
}

CASE(credentials_of_the_peer) {
  int server = listener("socket");
  chmod("socket", 0777);
  pid_t pid = frame::child([] {
    setresgid(1001, 1001, 1001);
    setresuid(1000, 1000, 1000);
    int client = local(SOCK_STREAM);
    connect_to(client, "socket");
    char byte;
    read(client, &byte, 1);
  });
  int peer = accept(server, nullptr, nullptr);
  ucred credentials;
  socklen_t size = sizeof(credentials);
  CALL(getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &credentials, &size));
  line("%s %u %u", credentials.pid == pid ? "right" : "wrong", credentials.uid, credentials.gid);
  close(peer);
  frame::join(pid);
  int ends[2];
  pair(ends);
  CALL(getsockopt(ends[0], SOL_SOCKET, SO_PEERCRED, &credentials, &size));
  line("%s %u %u", credentials.pid == getpid() ? "own" : "wrong", credentials.uid, credentials.gid);
  CALL(getsockopt(local(SOCK_STREAM), SOL_SOCKET, SO_PEERCRED, &credentials, &size));
  line("%d %d %d", credentials.pid, static_cast<int>(credentials.uid),
       static_cast<int>(credentials.gid));
}

CASE(credentials_with_messages) {
  int ends[2], on = 1;
  pair(ends);
  CALL(write(ends[0], "before", 6));
  CALL(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
  show_option("SO_PASSCRED", ends[1], SO_PASSCRED);
  receive_message(ends[1]);
  CALL(write(ends[0], "after", 5));
  receive_message(ends[1]);
}

CASE(credentials_that_are_claimed) {
  int ends[2], on = 1;
  pair(ends, SOCK_DGRAM);
  setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
  auto claim = [&](ucred credentials) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))] = {};
    char text[] = "claim";
    iovec vector = {text, 5};
    msghdr message = {};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_CREDENTIALS;
    header->cmsg_len = CMSG_LEN(sizeof(ucred));
    memcpy(CMSG_DATA(header), &credentials, sizeof(credentials));
    CALL(sendmsg(ends[0], &message, 0));
  };
  claim({getpid(), 5, 6});
  receive_message(ends[1]);
  frame::in_child([&] {
    setresuid(1000, 1000, 1000);
    claim({getpid(), 1000, 0});
    claim({getpid(), 5, 0});
    claim({1, 1000, 0});
  });
  receive_message(ends[1], MSG_DONTWAIT);
}
