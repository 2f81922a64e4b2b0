"""Seccomp filters whose calls are notified to an agent, and filters that must not stand in the way of
the runtime itself."""

import array
import errno
import fcntl
import json
import os
import select
import socket
import struct
import threading

import harness
from oci_case import OciCase

NOTIF_RECV = 0xC0502100
NOTIF_SEND = 0xC0182101
CONTINUE = 1
CALLS = {"read": 0, "write": 1, "close": 3, "getcwd": 79, "mkdir": 83, "execve": 59, "sendmsg": 46,
         "sendto": 44, "futex": 202, "openat": 257, "exit_group": 231, "rt_sigprocmask": 14}


class Agent:
    """Listens on a socket; answers what is notified: an errno for the calls in `refused`, "continue"
    for all others. `messages` are the states that it got, `calls` the names of the notified calls."""

    def __init__(self, path, refused=None):
        self.path = path
        self.refused = refused or {}
        self.messages, self.fd_counts, self.calls, self.threads = [], [], [], []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(4)
        self._start(self._accept)

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        self.threads.append(thread)

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            fds = array.array("i")
            text, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_LEN(64))
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(payload[:len(payload) - len(payload) % fds.itemsize])
            while more := connection.recv(65536):  # to the end: one message is all there is
                text += more
            connection.close()
            self.messages.append(json.loads(text))
            self.fd_counts.append(len(fds))
            for fd in fds:
                self._start(self._answer, fd)

    def _answer(self, fd):
        names = {number: name for name, number in CALLS.items()}
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            events = poll.poll(100)
            if any(event & select.POLLHUP for _, event in events):
                os.close(fd)
                return
            if not events:
                continue
            notice = bytearray(80)
            try:
                fcntl.ioctl(fd, NOTIF_RECV, notice)
            except OSError:
                continue  # the caller is gone
            (ident,), (number,) = struct.unpack_from("Q", notice), struct.unpack_from("i", notice, 16)
            name = names.get(number, str(number))
            self.calls.append(name)
            error = self.refused.get(name, 0)
            answer = struct.pack("QqiI", ident, 0, -error, 0 if error else CONTINUE)
            try:
                fcntl.ioctl(fd, NOTIF_SEND, answer)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(harness.TIMEOUT)


def notifying(path, *names, metadata="meta", **more):
    return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "listenerPath": path, "listenerMetadata": metadata,
            "syscalls": [{"names": list(names), "action": "SCMP_ACT_NOTIFY"}], **more}


class SeccompNotify(OciCase):
    def agent(self, refused=None):
        agent = Agent(os.path.join(self.dir, f"agent-{len(os.listdir(self.dir))}"), refused)
        self.addCleanup(agent.close)
        return agent

    def config(self, seccomp, **changes):
        return harness.deep_update({"linux": {"seccomp": seccomp}}, changes)

    def test_an_agent_answers_with_and_without_no_new_privs(self):
        for privs in (True, False):
            agent = self.agent({"mkdir": errno.ENOMEDIUM})
            done = self.run_in("mkdir /dev/shm/x; pwd", self.config(
                notifying(agent.path, "mkdir", "getcwd"), process={"noNewPrivileges": privs}))
            self.assert_ok(done)
            self.assertIn("medium", done.err)
            self.assertEqual(done.out, "/\n")
            self.assertIn("mkdir", agent.calls)
            self.assertEqual(agent.fd_counts, [1])
            message = agent.messages[0]
            self.assertEqual(sorted(message), ["fds", "metadata", "ociVersion", "pid", "state"])
            self.assertEqual((message["fds"], message["metadata"]), (["seccompFd"], "meta"))
            self.assertEqual(message["state"]["id"], self.name)
            self.assertEqual(message["state"]["pid"], message["pid"])
            self.assertEqual(message["state"]["status"], "creating")
            self.assertEqual(message["ociVersion"], "1.0.2")

    def test_the_calls_of_a_hand_over_may_be_notified_too(self):
        calls = ["sendmsg", "sendto", "write", "read", "close", "execve", "openat", "futex",
                 "exit_group", "rt_sigprocmask"]
        for privs in (True, False):
            agent = self.agent()
            done = self.run_in("echo fine", self.config(
                notifying(agent.path, *calls), process={"noNewPrivileges": privs}))
            self.assert_ok(done)
            self.assertEqual(done.out, "fine\n")
            self.assertEqual(agent.calls[0], "execve", "the first call after the filter")

    def test_create_and_start_and_exec(self):
        agent = self.agent({"mkdir": errno.ENOMEDIUM})
        bundle = self.bundle("/bin/sh", "-c", "mkdir /dev/shm/x; sleep 60",
                             changes=self.config(notifying(agent.path, "mkdir")))
        self.assert_ok(self.create(bundle))
        self.assertEqual(agent.messages, [])
        self.assert_ok(self.oci("start", self.name))
        harness.wait_until(lambda: agent.calls == ["mkdir"], "mkdir is notified")
        self.assertEqual(agent.messages[0]["state"]["status"], "created")
        init = self.state_of()["pid"]
        self.assertEqual(agent.messages[0]["pid"], init)
        done = self.oci("exec", self.name, "mkdir", "/dev/shm/y")
        self.assert_status(done, 1)
        self.assertIn("medium", done.err)
        self.assertEqual(len(agent.messages), 2)
        self.assertNotEqual(agent.messages[1]["pid"], init)
        self.assertEqual(agent.messages[1]["state"]["pid"], init)
        self.assertEqual(agent.messages[1]["state"]["status"], "running")
        self.delete("--force")

    def test_flags_that_need_a_listener(self):
        agent = self.agent()
        flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC",
                 "SECCOMP_FILTER_FLAG_LOG"]
        self.assertEqual(self.output_of("pwd", self.config(
            notifying(agent.path, "getcwd", flags=flags))), "/\n")

    def test_the_annotation_and_the_environment_name_an_agent(self):
        seccomp = notifying("", "mkdir", metadata="")
        by_annotation, by_environment = self.agent(), self.agent()
        annotations = {"run.oci.seccomp.receiver": by_annotation.path}
        environment = {"RUN_OCI_SECCOMP_RECEIVER": by_environment.path}
        for changes in ({}, {"annotations": annotations}):
            bundle = self.bundle("/bin/mkdir", "/dev/shm/x", changes=self.config(seccomp, **changes))
            self.assert_ok(self.oci("run", "--bundle", bundle, self.name, env=environment))
        self.assertEqual(len(by_environment.messages), 1)
        self.assertEqual(len(by_annotation.messages), 1)
        done = self.run_in("true", self.config(
            seccomp, annotations={"run.oci.seccomp.receiver": "relative"}))
        self.assert_status(done, 1)
        self.assertIn("not an absolute path", done.err)

    def test_without_an_agent_nothing_starts(self):
        path = os.path.join(self.dir, "nobody")
        for seccomp in (notifying(path, "mkdir"), notifying("@abstract", "mkdir")):
            done = self.run_in("true", self.config(seccomp))
            self.assert_status(done, 1)
            self.assertIn("failed to connect with seccomp agent", done.err)
        bundle = self.bundle("/bin/true", changes=self.config(notifying(path, "mkdir")))
        self.assert_status(self.create(bundle), 1)
        done = self.run_in("true", self.config(notifying("", "mkdir", metadata="")))
        self.assert_status(done, 1)
        self.assertIn("listenerPath", done.err)

    def test_an_agent_that_went_between_create_and_start(self):
        agent = self.agent()
        bundle = self.bundle("/bin/true", changes=self.config(notifying(agent.path, "mkdir")))
        self.assert_ok(self.create(bundle))
        os.rename(agent.path, agent.path + "-away")
        self.assertIn("failed to connect with seccomp agent", self.oci("start", self.name).err)
        self.assertEqual(self.state_of()["status"], "created")
        os.rename(agent.path + "-away", agent.path)
        self.assert_ok(self.oci("start", self.name))
        self.wait_stopped()
        self.delete()

    def test_no_agent_is_needed_when_nothing_is_notified(self):
        seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nobody",
                   "listenerMetadata": "bar"}
        self.assertEqual(self.output_of("echo fine", self.config(seccomp)), "fine\n")

    def test_a_machine_view_keeps_its_layers(self):
        agent = self.agent({"mkdir": errno.ENOMEDIUM})
        profile = os.path.join(self.dir, "profile.json")
        with open(profile, "w", encoding="utf-8") as file:
            json.dump(notifying(agent.path, "mkdir"), file)
        self.assert_ok(self.caisson("run", "--detach", "--name", self.name, "--seccomp", profile, "--",
                                    "sh", "-c", "mkdir /opt/x; echo >/opt/y; exec sleep 60"))
        self.addCleanup(lambda: self.caisson("rm", "--force", self.name))
        harness.wait_until(lambda: "/opt/y" in self.caisson("diff", self.name).out, "the change")
        self.assertIn("mkdir", agent.calls)
        self.assertNotIn("/opt/x", self.caisson("diff", self.name).out)

    def test_a_hook_gets_no_further_descriptor(self):
        agent = self.agent()
        hook = {"path": "/bin/sh", "args": ["sh", "-c", "ls /proc/self/fd | wc -l; "
                                                        "grep Cap /proc/self/status"]}
        for privs in (True, False):
            output = os.path.join(self.dir, f"hook-{privs}")
            self.assert_ok(self.run_in("true", self.config(
                notifying(agent.path, "mkdir"), process={"noNewPrivileges": privs},
                hooks={"startContainer": [hook]}, annotations={"run.oci.hooks.stdout": output})))
            with open(output, encoding="utf-8") as file:
                lines = file.read().split()
            self.assertEqual(lines[0], "4")
            values = dict(zip(lines[1::2], lines[2::2]))
            self.assertEqual(int(values["CapPrm:"], 16) & 1 << 21, 0, "no CAP_SYS_ADMIN")
            self.assertEqual((values["CapInh:"], values["CapAmb:"]), ("0" * 16, "0" * 16))


class SeccompAndTheRuntime(OciCase):
    """A filter judges the program's calls, never ours."""

    def test_a_filter_that_refuses_what_the_runtime_needs(self):
        # busybox calls prctl and setuid by itself.
        ours = ["setresuid", "setresgid", "setgroups", "capset", "close_range", "execveat", "chdir",
                "accept4", "sendto", "memfd_create", "umask", "pread64", "mount_setattr"]
        seccomp = {"defaultAction": "SCMP_ACT_ALLOW",
                   "syscalls": [{"names": ours, "action": "SCMP_ACT_KILL_PROCESS"}]}
        for privs in (True, False):
            for uid in (0, 1):
                bundle = self.bundle("/bin/cat", "/proc/self/status", changes={
                    "linux": {"seccomp": seccomp},
                    "process": {"noNewPrivileges": privs, "user": {"uid": uid, "gid": uid}}})
                done = self.oci("run", "--bundle", bundle, self.name)
                self.assert_ok(done)
                self.assertIn("Seccomp:\t2\n", done.out)
                self.assertIn(f"NoNewPrivs:\t{int(privs)}\n", done.out)

    def test_the_right_to_load_it_does_not_reach_the_program(self):
        seccomp = {"defaultAction": "SCMP_ACT_ALLOW",
                   "syscalls": [{"names": ["swapoff"], "action": "SCMP_ACT_ERRNO"}]}
        for uid in (0, 1000):
            for sets in ({}, {"capabilities": {kind: ["CAP_SYS_ADMIN", "CAP_KILL"] for kind in (
                    "bounding", "effective", "permitted", "inheritable", "ambient")}}):
                seen = []
                for filtered in (seccomp, None):
                    done = self.run_in("grep Cap /proc/self/status", {
                        "linux": {"seccomp": filtered},
                        "process": {"noNewPrivileges": False, "user": {"uid": uid, "gid": uid},
                                    **sets}})
                    self.assert_ok(done)
                    seen.append(done.out)
                self.assertEqual(*seen)


if __name__ == "__main__":
    harness.main()
