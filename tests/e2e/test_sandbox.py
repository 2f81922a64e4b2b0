# ctest: RELEASE_ONLY
# ctest: TIMEOUT 300
"""`caisson run --wall sandbox`: real programs on the kernel in user space, on each platform, from outside and inside."""

import json
import os
import shutil
import signal
import subprocess
import unittest

import harness

PLATFORMS = ("systrap", "ptrace")

THREADS = """
import subprocess, threading
seen = []
threads = [threading.Thread(target=seen.append, args=(i,)) for i in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(seen) == list(range(16)), subprocess.run(["echo", "sub"], capture_output=True).stdout)
"""

BUILD = """
cd /tmp && git init -q project && cd project && git config user.email nobody && git config user.name Nobody
printf 'int puts(const char*);\\nint main(void) { puts("built"); return 0; }\\n' > main.c
printf 'program: main.c\\n\\tgcc -O1 -o program main.c\\n' > Makefile
git add . && git commit -qm first && make -s && ./program && git log --oneline | wc -l
"""


class Sandbox(harness.TestCase):
    def sandbox(self, *arguments, platform="systrap", options=(), **more):
        return self.caisson("run", "--wall", "sandbox", "--platform", platform, *options, "--", *arguments, **more)

    def on_each(self, *arguments, **more):
        return [self.sandbox(*arguments, platform=platform, **more) for platform in PLATFORMS]

    # --- programs

    def test_exit_statuses_are_the_program_s(self):
        for done in self.on_each("sh", "-c", "exit 42"):
            self.assert_status(done, 42)
        for done in self.on_each("sh", "-c", "sh -c 'kill -SEGV $$'; exit $?"):
            self.assert_status(done, 128 + signal.SIGSEGV)
        for done in self.on_each("/no/such/program"):
            self.assert_status(done, 127)
            self.assertIn("/no/such/program", done.err)

    def test_input_output_and_errors_pass(self):
        text = "line\n" * 20000
        for done in self.on_each("sh", "-c", "cat; echo err >&2", input=text):
            self.assert_ok(done)
            self.assertEqual((done.out, done.err), (text, "err\n"))

    def test_shells_with_pipes_and_coreutils(self):
        script = "seq 1000 | sort -rn | head -3 | tr '\\n' ' '; find /etc/apt -type d | wc -l; tar cf - /etc/apt | tar tf - | wc -l"
        expected = harness.run(["bash", "-c", script]).out
        for done in self.on_each("bash", "-c", script):
            self.assert_ok(done)
            self.assertEqual(done.out, expected)

    @unittest.skipUnless(shutil.which("python3", path="/usr/bin"), "needs python3")
    def test_python_with_threads_and_a_child(self):
        for done in self.on_each("/usr/bin/python3", "-c", THREADS):
            self.assertEqual(done.out, "True b'sub\\n'\n", str(done))

    @unittest.skipUnless(shutil.which("python3", path="/usr/bin"), "needs python3")
    def test_hot_call_sites_are_patched_unless_that_is_off(self):
        script = ("import os\nfor i in range(3000): os.stat('/'), os.getppid()\n"
                  "print(open('/proc/self/maps').read().count('[calls]') > 0, os.getppid())")
        for platform, patched in (("systrap", True), ("systrap,nopatch", False), ("ptrace", False)):
            done = self.sandbox("/usr/bin/python3", "-c", script, platform=platform)
            self.assertEqual(done.out, f"{patched} 0\n", str(done))

    @unittest.skipUnless(all(map(shutil.which, ("git", "gcc", "make"))), "needs git, gcc and make")
    def test_git_gcc_and_make(self):
        for done in self.on_each("bash", "-c", BUILD):
            self.assertEqual(done.out.split(), ["built", "1"], str(done))

    # --- files

    def test_the_machine_is_seen_and_not_written(self):
        marker = os.path.join(self.dir, "written")
        for done in self.on_each("sh", "-c", f"echo x > {marker} && cat {marker} && rm /etc/hostname && ls /etc/hostname"):
            self.assertEqual(done.out, "x\n", str(done))
        self.assertFalse(os.path.exists(marker))
        self.assertTrue(os.path.exists("/etc/passwd"))

    def test_volumes_are_written_and_read_only_ones_are_not(self):
        data = os.path.join(self.dir, "data")
        os.mkdir(data)
        for done in self.on_each("sh", "-c", "echo new > /v/file; cat /v/file", options=("-v", f"{data}:/v")):
            self.assertEqual(done.out, "new\n", str(done))
        with open(os.path.join(data, "file"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "new\n")
        for done in self.on_each("sh", "-c", "echo no > /v/file", options=("-v", f"{data}:/v:ro")):
            self.assertNotEqual(done.status, 0)
            self.assertIn("Read-only file system", done.err)

    def test_files_of_other_users_are_read_and_given_away(self):
        data = os.path.join(self.dir, "data")
        os.mkdir(data)
        secret = os.path.join(data, "secret")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("kept\n")
        os.chown(secret, 1234, 1234)
        os.chmod(secret, 0o600)
        script = "cat /v/secret; touch /v/new; chown 77:88 /v/new; stat -c %u:%g /v/new"
        for done in self.on_each("sh", "-c", script, options=("-v", f"{data}:/v")):
            self.assertEqual(done.out, "kept\n77:88\n", str(done))
        info = os.stat(os.path.join(data, "new"))
        self.assertEqual((info.st_uid, info.st_gid), (77, 88))

    def test_a_root_of_its_own_gets_its_mount_points_in_memory(self):
        rootfs = self.busybox_rootfs()
        before = sorted(os.listdir(rootfs))
        for done in self.on_each("sh", "-c", "ls -d /proc/self /sys/kernel /dev/pts /not/there; cat /proc/1/comm; true",
                                 options=("--rootfs", rootfs, "--tmpfs", "/not/there")):
            self.assertEqual(done.out.split(), ["/dev/pts", "/not/there", "/proc/self", "/sys/kernel", "sh"], str(done))
        self.assertFalse(os.path.exists(os.path.join(rootfs, "not")))
        self.assertEqual(sorted(set(os.listdir(rootfs)) - set(before)), [])

    # --- what is around it

    def test_no_call_of_the_guest_s_reaches_the_host(self):
        release = os.uname().release
        for done in self.on_each("uname", "-r"):
            self.assertNotEqual(done.out.strip(), release)
        for done in self.on_each("sh", "-c", "echo $$; ls /proc | grep -c '^[0-9]'"):
            self.assertEqual(done.out.split()[0], "1", str(done))

    def test_calls_are_logged(self):
        log = os.path.join(self.dir, "calls")
        self.assert_ok(self.sandbox("cat", "/etc/hostname", options=("--strace", log)))
        with open(log, encoding="utf-8") as file:
            text = file.read()
        self.assertIn('"/etc/hostname", O_RDONLY', text)
        self.assertIn("execve(", text) if "execve(" in text else self.assertIn("exit_group(0)", text)
        os.remove(log)
        self.assert_ok(self.sandbox("cat", "/etc/hostname", options=("--strace", log, "--strace-calls", "close")))
        with open(log, encoding="utf-8") as file:
            self.assertEqual({line.split()[2].split("(")[0] for line in file}, {"close"})

    def test_values_that_nobody_knows_are_refused(self):
        done = self.caisson("run", "--wall", "glass", "--", "true")
        self.assert_status(done, 125)
        self.assertIn("--wall", done.err)
        self.assert_status(self.caisson("run", "--wall", "sandbox", "--platform", "kvm", "--", "true"), 125)

    # --- life

    def test_life_in_the_background(self):
        for platform in PLATFORMS:
            with self.subTest(platform=platform):
                self.life_in_the_background(f"{self.name}-{platform}", platform)

    def life_in_the_background(self, name, platform):
        script = "trap 'echo term; exit 9' TERM; echo out; echo err >&2; while :; do sleep 0.1; done"
        self.assert_ok(self.caisson("run", "-d", "--name", name, "--wall", "sandbox", "--platform", platform, "--",
                                    "bash", "-c", script))
        harness.wait_until(lambda: "out" in self.caisson("logs", name).out, "it writes")
        done = self.caisson("exec", name, "--", "sh", "-c", "cat /proc/1/comm; cat; exit 4", input="in\n")
        self.assertEqual((done.status, done.out), (4, "bash\nin\n"), str(done))
        self.assert_status(self.caisson("exec", name, "--", "/no/such/program"), 127)
        self.assertIn("bash", self.caisson("sandbox", "processes", name).out)
        self.assertIn(" /proc ", self.caisson("sandbox", "mounts", name).out)
        self.assertIn("1 -> ", self.caisson("sandbox", "fds", name).out)
        self.assertIn("[stack]", self.caisson("sandbox", "maps", name).out)
        self.assert_ok(self.caisson("stop", name))
        self.assertIn("term", self.caisson("logs", name).out)
        self.assertIn("exited (9)", self.caisson("ps", "-a").out)
        self.assert_ok(self.caisson("rm", name))

    @unittest.skipUnless(shutil.which("python3", path="/usr/bin"), "needs python3")
    def test_calls_that_it_lacks_are_named(self):
        call = "import ctypes; [ctypes.CDLL(None).syscall(999) for _ in range(3)]"
        script = f"/usr/bin/python3 -c '{call}'; while [ ! -e /tmp/end ]; do sleep 0.1; done"
        self.assert_ok(self.caisson("run", "-d", "--name", self.name, "--wall", "sandbox", "--", "sh", "-c", script))
        harness.wait_until(lambda: "call 999: asked for 3 times" in self.caisson("sandbox", "syscalls", self.name).out,
                           "they are counted")
        self.assertIn("call 999: asked for 3 times", self.caisson("why", self.name).out)
        self.assert_ok(self.caisson("exec", self.name, "--", "touch", "/tmp/end"))
        harness.wait_until(lambda: "exited (0)" in self.caisson("ps", "-a").out, "it ends")
        self.assertIn("call 999: asked for 3 times", self.caisson("why", self.name).out)
        self.assertIn("call 999", json.loads(self.caisson("why", "--json", self.name).out)["missing_calls"][0])
        self.assert_ok(self.caisson("rm", self.name))

    def test_the_list_of_calls(self):
        done = self.caisson("sandbox", "--markdown", "syscalls")
        self.assertIn("| 0 | read | full |  |\n", done.out)
        self.assert_status(self.caisson("sandbox", "--markdown", "maps"), 1)
        self.assert_status(self.caisson("sandbox", "maps"), 1)
        self.assertIn("sandbox ", self.caisson("doctor").out)

    def test_engines_ask_by_an_annotation(self):
        bundle = self.bundle("sh", "-c", "echo pid $$", changes={"annotations": {"org.caisson.wall": "sandbox"}})
        self.assertEqual(self.oci("run", "--bundle", bundle, self.name).out, "pid 1\n")
        # What is created keeps the streams that it was given until it ends.
        create = [harness.CAISSON + "-oci", "--root", self.state, "create",
                  "--bundle", bundle, self.name]
        subprocess.run(create, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=True, timeout=harness.TIMEOUT)
        self.assertIn('"created"', self.oci("state", self.name).out)
        self.assert_ok(self.oci("start", self.name))
        harness.wait_until(lambda: '"stopped"' in self.oci("state", self.name).out, "it ends")
        self.assert_ok(self.oci("delete", self.name))

    def test_a_kill_leaves_nothing_behind(self):
        for platform in PLATFORMS:
            name = f"{self.name}-{platform}"
            self.assert_ok(self.caisson("run", "-d", "--name", name, "--wall", "sandbox", "--platform", platform, "--",
                                        "bash", "-c", "for i in 1 2 3; do sleep 1000 & done; wait"))
            self.assert_ok(self.caisson("kill", name))
            harness.wait_until(lambda name=name: "killed (9)" in self.caisson("ps", "-a").out, "it ends")
            self.assert_ok(self.caisson("rm", name))

    def test_a_terminal_of_its_own(self):
        for platform in PLATFORMS:
            command = f"{harness.CAISSON} run -t --wall sandbox --platform {platform} -- sh -c 'tty; stty -a | grep -c icanon'"
            done = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=harness.TIMEOUT, check=False)
            self.assertIn("/dev/pts/0", done.stdout)
            self.assertIn("1", done.stdout)


if __name__ == "__main__":
    harness.main()
