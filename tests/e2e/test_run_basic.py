"""`caisson run -- CMD`: a command on a throw-away view of this machine."""

import os
import re
import signal
import sys
import unittest

import harness


def sleepers(seconds):
    """Pids of the processes that run exactly `sleep SECONDS`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if file.read() == f"sleep\0{seconds}\0".encode():
                    found.append(int(pid))
        except OSError:
            pass
    return found


class RunBasic(harness.TestCase):
    def run_command(self, *command, **options):
        return self.caisson("run", "--", *command, **options)

    def test_exit_status_is_the_command_s(self):
        self.assert_ok(self.run_command("true"))
        self.assert_status(self.run_command("false"), 1)
        self.assert_status(self.run_command("sh", "-c", "exit 42"), 42)
        self.assert_status(self.run_command("sh", "-c", "exit 255"), 255)

    def test_output_and_errors_stay_apart_and_nothing_is_added(self):
        done = self.run_command("sh", "-c", "echo out; echo err >&2")
        self.assert_ok(done)
        self.assertEqual((done.out, done.err), ("out\n", "err\n"))

    def test_input_reaches_the_command_and_its_end_too(self):
        text = "line\n" * 20000
        done = self.run_command("cat", input=text)
        self.assert_ok(done)
        self.assertEqual(done.out, text)

    def test_arguments_arrive_unchanged(self):
        words = ["", "a b", "--help", "-x", "$HOME", "*", "ü", "'\"\\"]
        done = self.run_command("printf", "<%s>", *words)
        self.assertEqual(done.out, "".join(f"<{word}>" for word in words), str(done))

    def test_a_signal_that_ends_the_command_gives_128_plus_n(self):
        crash = "import ctypes; ctypes.string_at(0)"
        self.assert_status(self.run_command(sys.executable, "-c", crash), 128 + signal.SIGSEGV)

    def test_a_kill_from_outside_gives_137(self):
        seconds = f"1000.{os.getpid()}"
        process = self.caisson_in_background("run", "--", "sleep", seconds)
        pid, = harness.wait_until(lambda: sleepers(seconds), "sleep runs")
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(harness.shell_status(process.wait(harness.TIMEOUT)), 128 + signal.SIGKILL)

    def test_signals_sent_to_caisson_reach_the_command(self):
        script = 'trap "echo bye; exit 42" TERM; echo ready; while :; do sleep 0.05; done'
        process = self.caisson_in_background("run", "--", "sh", "-c", script)
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.terminate()
        self.assertEqual(process.wait(harness.TIMEOUT), 42)
        self.assertEqual(process.stdout.read(), "bye\n")

    def test_an_end_of_caisson_by_kill_ends_the_command(self):
        seconds = f"2000.{os.getpid()}"
        process = self.caisson_in_background("run", "--", "sh", "-c", f"echo ready; exec sleep {seconds}")
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.kill()
        harness.wait_until(lambda: not sleepers(seconds), "sleep ends with caisson", 5)
        # What the killed one could not clean up, the next look at the containers starts to.
        harness.wait_until(lambda: self.caisson("ps", "--all", "--quiet").out == "", "the container is removed", 10)

    def test_current_directory_is_kept(self):
        folder = os.path.join(self.dir, "sub folder")
        os.mkdir(folder)
        done = self.run_command("pwd", cwd=folder)
        self.assertEqual(done.out, folder + "\n", str(done))

    def test_the_machine_s_files_are_there(self):
        path = os.path.join(self.dir, "kept")
        with open(path, "w", encoding="utf-8") as file:
            file.write("from outside\n")
        self.assertEqual(self.run_command("cat", path).out, "from outside\n")

    def test_nothing_is_written_to_the_machine(self):
        kept = os.path.join(self.dir, "kept")
        with open(kept, "w", encoding="utf-8") as file:
            file.write("before\n")
        os.chmod(kept, 0o644)
        # New files: beside it, and where a view has mounts of its own.
        new = [os.path.join(self.dir, "new"), f"/usr/{self.name}", f"/{self.name}"]
        for path in new:
            self.addCleanup(lambda path=path: os.path.lexists(path) and os.remove(path))
        script = (f"echo changed > {kept}; chmod 600 {kept}; for path in {' '.join(new)}; do echo x > $path; "
                  f"done; cat {kept} {' '.join(new)}; rm {kept}")
        done = self.run_command("sh", "-c", script)
        self.assert_ok(done)
        self.assertEqual(done.out, "changed\nx\nx\nx\n", str(done))
        for path in new:
            self.assertFalse(os.path.lexists(path), path)
        with open(kept, encoding="utf-8") as file:
            self.assertEqual(file.read(), "before\n")
        self.assertEqual(os.stat(kept).st_mode & 0o777, 0o644)

    def test_has_its_own_namespaces_and_no_network(self):
        kinds = ("pid", "mnt", "ipc", "uts", "net")
        done = self.run_command("readlink", *[f"/proc/self/ns/{kind}" for kind in kinds])
        self.assert_ok(done)
        for kind, inside in zip(kinds, done.out.split()):
            self.assertNotEqual(inside, os.readlink(f"/proc/self/ns/{kind}"), kind)
        devices = self.run_command("cat", "/proc/net/dev").out
        self.assertEqual(re.findall(r"^\s*(\w+):", devices, re.MULTILINE), ["lo"])

    def test_sees_only_its_own_processes(self):
        done = self.run_command("sh", "-c", "echo /proc/[0-9]*")
        self.assert_ok(done)
        self.assertLess(len(done.out.split()), 5, done.out)

    def test_leaves_no_background_process(self):
        seconds = f"3000.{os.getpid()}"
        self.assert_ok(self.run_command("sh", "-c", f"sleep {seconds} & exit 0"))
        self.assertEqual(sleepers(seconds), [])

    def test_a_missing_command_is_127_and_named(self):
        done = self.run_command("no-such-command-here", "x")
        self.assert_status(done, 127)
        self.assertEqual(done.out, "")
        self.assertIn("no-such-command-here", done.err)

    def test_a_command_that_cannot_be_executed_is_126_and_named(self):
        path = os.path.join(self.dir, "plain-file")
        with open(path, "w", encoding="utf-8") as file:
            file.write("data\n")
        done = self.run_command(path)
        self.assert_status(done, 126)
        self.assertIn(path, done.err)

    def test_no_command_is_refused_with_a_cure(self):
        done = self.caisson("run", "--")
        self.assertNotIn(done.status, (0, 126, 127), str(done))
        self.assertIn("caisson run", done.err)

    def test_several_at_once(self):
        processes = [self.caisson_in_background("run", "--", "sh", "-c", f"sleep 0.1; exit {status}")
                     for status in range(1, 9)]
        self.assertEqual([process.wait(harness.TIMEOUT) for process in processes], list(range(1, 9)))

    def test_works_for_an_ordinary_user(self):
        done = self.caisson("run", "-q", "--", "sh", "-c", "id -u; echo err >&2; exit 3",
                            user=harness.NOBODY)
        self.assert_status(done, 3)
        self.assertEqual(done.err, "err\n")
        self.assertIn(done.out, ("0\n", f"{harness.NOBODY}\n"))

    def test_works_where_only_cgroup_v2_is(self):
        argv = self.v2_view([harness.CAISSON, "--root", self.state, "run", "--", "sh", "-c", "exit 5"])
        self.assert_status(harness.run(argv), 5)

    @unittest.skipIf(harness.SANITIZED, "a sanitized program is slow to start")
    def test_starts_within_a_tenth_of_a_second(self):
        fastest = min(self.run_command("true").seconds for _ in range(10))
        self.assertLess(fastest, 0.1)


if __name__ == "__main__":
    harness.main()
