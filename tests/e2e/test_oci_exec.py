"""caisson-oci exec: one more process in a running container."""

import json
import os
import subprocess

import harness
from oci_case import OciCase, oci_program


class Exec(OciCase):
    def setUp(self):
        super().setUp()
        bundle = self.bundle("/bin/sleep", "1000", changes={
            "process": {"env": ["PATH=/bin", "FROM=config", "TWICE=config"], "cwd": "/tmp", "noNewPrivileges": False}})
        with open(os.path.join(bundle, "rootfs/etc/passwd"), "a", encoding="ascii") as file:
            file.write("dev:x:1000:1001::/home/dev:/bin/sh\n")
        self.pid = self.start_new(bundle)

    def exec(self, *words, **options):
        return self.oci("exec", *words, **options)

    def out(self, *words, **options):
        done = self.exec(*words, **options)
        self.assert_ok(done)
        return done.out

    def test_streams_and_status(self):
        done = self.exec(self.name, "sh", "-c", "cat; echo err >&2; exit 7", input="in\n")
        self.assertEqual((done.status, done.out, done.err), (7, "in\n", "err\n"))
        self.assert_status(self.exec(self.name, "sh", "-c", "kill -9 $$"), 137)
        # Options end at the id.
        self.assertEqual(self.out(self.name, "echo", "-n", "--cwd"), "--cwd")

    def test_environment_and_directory(self):
        out = self.out("--env", "TWICE=exec", "-e", "NEW=a b", "--cwd", "/etc", self.name, "sh", "-c",
                       "pwd; echo $FROM $TWICE $NEW", env={"LEAK": "1"})
        self.assertEqual(out, "/etc\nconfig exec a b\n")
        self.assertEqual(self.out(self.name, "pwd"), "/tmp\n")
        self.assertNotIn("LEAK", self.out(self.name, "env", env={"LEAK": "1"}))

    def test_user(self):
        for user, expected in (("1000", "1000 0"), ("1000:2000", "1000 2000"), ("dev", "1000 1001"), ("0", "0 0")):
            with self.subTest(user):
                out = self.out("--user", user, self.name, "sh", "-c", "echo $(id -u) $(id -g)")
                self.assertEqual(out.strip(), expected)
        self.assertIn("4321", self.out("-u", "1000", "--additional-gids", "4321", self.name, "id", "-G").split())
        self.assertNotEqual(self.exec("--user", "nosuchuser", self.name, "true").status, 0)

    def test_capabilities_and_privileges(self):
        script = "grep -E 'CapEff|NoNewPrivs' /proc/self/status"
        before = int(self.out(self.name, "sh", "-c", script).split()[1], 16)
        out = self.out("--cap", "CAP_SYS_TIME", "--no-new-privs", self.name, "sh", "-c", script).split()
        self.assertEqual(int(out[1], 16), before | 1 << 25)
        self.assertEqual(out[3], "1")

    def test_process_file_and_pid_file(self):
        path, pid_file = (os.path.join(self.dir, name) for name in ("process.json", "pid"))
        process = {"args": ["sh", "-c", "pwd; id -u; echo $A; exec sleep 1000"], "cwd": "/etc", "env": ["A=b", "PATH=/bin"],
                   "user": {"uid": 5, "gid": 6}, "terminal": False}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(process, file)
        self.assert_ok(self.kept_oci("exec", "--process", path, "--detach", "--pid-file", pid_file, self.name))
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read())
        harness.wait_until(lambda: self.kept_output() == "/etc\n5\nb\n", "its output is there")
        self.assertEqual(os.readlink(f"/proc/{pid}/ns/mnt"), os.readlink(f"/proc/{self.pid}/ns/mnt"))
        self.assertIn(pid, json.loads(self.oci("ps", "-f", "json", self.name).out))
        os.kill(pid, 9)

    def test_it_is_in_every_cgroup_and_namespace_of_the_container(self):
        with open(f"/proc/{self.pid}/cgroup", encoding="ascii") as file:
            expected = file.read()
        pid_file = os.path.join(self.dir, "pid")
        self.assert_ok(self.kept_oci("exec", "--detach", "--pid-file", pid_file, self.name, "sleep", "1000"))
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            self.assertEqual(file.read(), expected)
        for kind in ("pid", "net", "ipc", "uts", "mnt", "cgroup", "user"):
            self.assertEqual(os.readlink(f"/proc/{pid}/ns/{kind}"), os.readlink(f"/proc/{self.pid}/ns/{kind}"))
        os.kill(pid, 9)

    def test_a_terminal(self):
        with self.console_socket() as (path, receive):
            pid_file = os.path.join(self.dir, "pid")
            self.assert_ok(self.kept_oci("exec", "--tty", "--detach", "--console-socket", path, "--pid-file", pid_file,
                                         self.name, "sh", "-c", "tty; read x; echo got:$x"))
            _, (master,) = receive()
            os.write(master, b"hello\n")
            text = b""
            while b"got:hello" not in text:
                text += os.read(master, 4096)
            self.assertIn(b"/dev/pts/0", text)
        done = self.exec("--tty", "--detach", self.name, "true")
        self.assertIn("cannot allocate tty if runc will detach without setting console socket", done.err)

    def test_programs_that_cannot_be_run(self):
        for program, text in (("missing", 'exec: "missing": executable file not found in $PATH'),
                              ("/missing", "no such file or directory"), ("/etc/passwd", "permission denied"),
                              ("/etc/passwd/x", "not a directory")):
            with self.subTest(program):
                done = self.exec(self.name, program)
                self.assert_status(done, 255)
                self.assertIn(text, done.err)
                self.assertTrue(done.err.startswith("exec failed: "), done.err)

    def test_many_at_once(self):
        processes = [self.background(self.name, "sh", "-c", f"sleep 0.2; exit {status}") for status in range(1, 9)]
        self.assertEqual([process.wait(harness.TIMEOUT) for process in processes], list(range(1, 9)))

    def background(self, *words):
        process = subprocess.Popen([oci_program(), "--root", self.state, "exec", *words],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._background.add(process.pid)
        return process

    def test_a_paused_container(self):
        self.assert_ok(self.oci("pause", self.name))
        self.assertIn("cannot exec in a paused container (use --ignore-paused to override)",
                      self.exec(self.name, "true").err)
        process = self.background("--ignore-paused", self.name, "true")
        self.assert_ok(self.oci("resume", self.name))
        self.assertEqual(process.wait(harness.TIMEOUT), 0)


if __name__ == "__main__":
    harness.main()
