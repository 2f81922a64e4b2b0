"""`caisson run` of an ordinary user without subordinate ids: one id, a user namespace of his own."""

import json
import os
import signal
import subprocess

import harness

USER = 61234  # no entry in passwd, subuid or subgid


class Rootless(harness.TestCase):
    def run_as_user(self, *words, user=USER, **options):
        return self.caisson("run", "--quiet", *words, user=user, **options)

    def shell(self, script, *options, **more):
        return self.run_as_user(*options, "--", "sh", "-c", script, **more)

    def home(self):
        self.as_user(["true"], USER)
        return os.path.join(self.dir, f"home-{USER}")

    def test_the_user_is_himself_or_root_by_choice(self):
        self.assertEqual(self.shell("id -u; id -g", "-w", "/").out, f"{USER}\n{USER}\n")
        self.assertEqual(self.shell("id -u; id -g; cat /proc/self/uid_map", "-w", "/", "-u", "root").out.split(),
                         ["0", "0", "0", str(USER), "1"])
        done = self.shell("id", "-u", "33", "-w", "/")
        self.assert_status(done, 125)
        self.assertEqual(done.err, "caisson: --user 33: an ordinary user's container has one user and one group: its own\n"
                                   "  cure: leave --user out, use --user root (your own id, shown as root), or run caisson as root\n")

    def test_it_is_in_a_user_namespace_of_its_own(self):
        kinds = ("user", "pid", "mnt", "ipc", "uts", "net")
        done = self.run_as_user("-w", "/", "--", "readlink", *[f"/proc/self/ns/{kind}" for kind in kinds])
        for kind, inside in zip(kinds, done.out.split()):
            self.assertNotEqual(inside, os.readlink(f"/proc/self/ns/{kind}"), kind)

    def test_his_files_are_seen_and_not_written(self):
        home = self.home()
        path = os.path.join(home, "file")
        with open(path, "w", encoding="utf-8") as file:
            file.write("mine\n")
        os.chown(path, USER, USER)
        done = self.shell("pwd; cat file; echo new > file; echo x > other; cat file; ls; mkdir d; rm file", cwd=home)
        self.assertEqual(done.out, f"{home}\nmine\nnew\nfile\nother\n", str(done))
        self.assertEqual(os.listdir(home), ["file"])

    def test_what_he_may_not_read_stays_closed(self):
        path = os.path.join(self.dir, "secret")
        with open(path, "w", encoding="utf-8") as file:
            file.write("secret\n")
        os.chmod(path, 0o600)
        for options in ([], ["-u", "root"]):
            done = self.shell(f"cat {path} /etc/shadow", "-w", "/", *options)
            self.assertNotEqual(done.status, 0)
            self.assertEqual(done.out, "", "files of others must stay closed inside, too")

    def test_the_machine_s_directories_can_be_written_in_the_view_by_its_root(self):
        done = self.shell(f"echo x > /{self.name} && cat /{self.name}", "-w", "/", "-u", "root")
        self.assertEqual((done.status, done.out), (0, "x\n"), str(done))
        self.assertFalse(os.path.exists(f"/{self.name}"))

    def test_a_volume_is_written_as_the_user(self):
        home = self.home()
        for options in ([], ["-u", "root"]):
            self.assert_ok(self.shell("echo x > /data/file", "-v", f"{home}:/data", "-w", "/", *options))
            self.assertEqual(os.stat(os.path.join(home, "file")).st_uid, USER)

    def test_status_signals_and_output(self):
        done = self.shell("echo out; echo err >&2; exit 9", "-w", "/")
        self.assertEqual((done.status, done.out, done.err), (9, "out\n", "err\n"))
        self.assert_status(self.run_as_user("-w", "/", "--", "no-such-command"), 127)

    def test_a_rootfs_of_his_own(self):
        rootfs = self.busybox_rootfs(os.path.join(self.home(), "rootfs"))
        subprocess.run(["chown", "-R", f"{USER}:{USER}", rootfs], check=True)
        done = self.shell("id -u; echo x > /written; ls -l /written | cut -d' ' -f1", "--rootfs", rootfs)
        self.assertEqual((done.status, done.out.split()[0]), (0, "0"), str(done))
        self.assertEqual(os.stat(os.path.join(rootfs, "written")).st_uid, USER)

    def test_detached_and_all_verbs(self):
        # The supervisor lives in the user's own runtime directory.
        def caisson(*words):
            return self.caisson(*words, user=USER)
        done = caisson("run", "-d", "--name", self.name, "-w", "/", "--", "sh", "-c",
                       "trap 'echo bye; exit 5' TERM; echo hello; while :; do sleep 0.05; done")
        self.addCleanup(caisson, "rm", "-f", self.name)
        self.assert_ok(done)
        harness.wait_until(lambda: caisson("logs", self.name).out == "hello\n", "the log has the first line")
        self.assertEqual([c["status"] for c in json.loads(caisson("ps", "--json").out)], ["running"])
        self.assertEqual(caisson("exec", self.name, "sh", "-c", "id -u; exit 4").out, f"{USER}\n")
        self.assert_status(caisson("exec", self.name, "sh", "-c", "exit 4"), 4)
        self.assert_ok(caisson("stop", self.name))
        self.assertEqual(caisson("wait", self.name).out, "5\n")
        self.assertEqual(caisson("logs", self.name).out, "hello\nbye\n")
        self.assert_ok(caisson("rm", self.name))

    def test_what_is_limited_is_said(self):
        done = self.caisson("doctor", user=USER)
        self.assertIn(done.status, (0, 1), str(done))
        self.assertIn("privilege", done.out)
        self.assertRegex(done.out, r"ordinary user|user namespace")
        notes = self.caisson("run", "-w", "/", "--", "true", user=USER).err
        self.assertIn("caisson: note: one id is mapped", notes)
        for limit in (["--memory", "64m"], ["--pids", "5"], ["--cpus", "1"]):
            done = self.shell("true", "-w", "/", *limit)
            if done.status == 0:
                continue  # delegated here
            self.assert_status(done, 125)
            self.assertIn(limit[0], done.err, f"a limit that can't be had must be named: {done}")
            self.assertIn("cure:", done.err)

    def test_network_of_the_host_by_choice(self):
        own = os.readlink("/proc/self/ns/net")
        self.assertEqual(self.shell("readlink /proc/self/ns/net", "-w", "/", "--network", "host").out, own + "\n")

    def test_forty_starts_leave_nothing(self):
        for _ in range(40):
            self.assert_ok(self.shell("true", "-w", "/"))
        runtime = os.path.join(self.dir, f"runtime-{USER}", "state")
        self.assertEqual([name for name in os.listdir(runtime) if not name.startswith((".", "@"))], [])

    def test_an_end_of_caisson_ends_the_program(self):
        argv, env = self.as_user([harness.CAISSON, "--root", "x", "run", "-q", "-w", "/", "--", "sh", "-c", "echo ready; exec sleep 1000"], USER)
        process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self._background.add(process.pid)
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(harness.TIMEOUT), 143)
        process.stdout.close()
        self._background.discard(process.pid)


if __name__ == "__main__":
    if os.getuid() != 0:
        print("test_rootless: skipped, needs root to become an ordinary user")
    else:
        harness.main()
