"""Tests of the harness and of leak_check themselves; they need no caisson."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


def load_leak_check():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "leak_check")
    loader = importlib.machinery.SourceFileLoader("leak_check", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("leak_check", loader))
    loader.exec_module(module)
    return module


leak_check = load_leak_check()


class Scratch(harness.TestCase):
    """A harness test case that needs no program and is driven by hand."""

    @classmethod
    def setUpClass(cls):
        pass

    def runTest(self):
        pass


class HarnessTest(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.scratch.setUp()
        self.addCleanup(self.scratch.doCleanups)

    def test_run_gives_status_output_and_signals_as_a_shell_does(self):
        done = harness.run(["sh", "-c", "cat; echo e >&2; exit 3"], input="in")
        self.assertEqual((done.status, done.out, done.err), (3, "in", "e\n"))
        self.assertEqual(harness.run(["sh", "-c", "kill -9 $$"]).status, 137)

    def test_run_ends_a_whole_group_when_the_time_is_up(self):
        with self.assertRaisesRegex(AssertionError, "no end after 0.2 s"):
            harness.run(["sh", "-c", "sleep 50 & sleep 50"], timeout=0.2)
        harness.wait_until(lambda: self.scratch._reap() or not harness.children(), "all gone", 5)

    def test_an_orphan_is_a_leak_until_it_ends(self):
        subprocess.run(["sh", "-c", "setsid sleep 60 >/dev/null 2>&1 &"], check=True)
        orphan, = harness.children()
        self.assertIn("sleep 60", self.scratch._leaks()[0])
        os.kill(orphan, 9)
        self.scratch.assert_no_leaks()

    def test_state_left_behind_is_a_leak(self):
        os.makedirs(os.path.join(self.scratch.state, "web"))
        self.assertIn("web", self.scratch._leaks()[0])
        os.rmdir(os.path.join(self.scratch.state, "web"))
        self.scratch.assert_no_leaks()

    def test_deep_update_merges_objects_and_removes_by_none(self):
        config = {"a": {"b": 1, "c": 2}, "d": [1]}
        harness.deep_update(config, {"a": {"b": 5, "c": None}, "d": [2]})
        self.assertEqual(config, {"a": {"b": 5}, "d": [2]})

    def test_default_config_is_a_copy_each_time(self):
        harness.default_config()["process"]["args"].append("x")
        self.assertEqual(harness.default_config()["process"]["args"], ["/bin/true"])

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_v2_view_shows_cgroup2_to_the_program_only(self):
        def cgroup_mounts():
            return [line for line in harness.mountinfo() if " - cgroup" in line]

        before = cgroup_mounts()
        argv = self.scratch.v2_view(["stat", "-f", "-c", "%T", "/sys/fs/cgroup"])
        self.assertEqual(harness.run(argv).out, "cgroup2fs\n")
        self.assertEqual(cgroup_mounts(), before)

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_as_user_has_a_home_and_a_runtime_folder_of_its_own(self):
        script = "id -u; id -G; touch $HOME/x $XDG_RUNTIME_DIR/x"
        argv, env = self.scratch.as_user(["sh", "-c", script], 54321)
        self.assertEqual(harness.run(argv, env=env).out, "54321\n54321\n")

    def test_busybox_rootfs_runs(self):
        root = self.scratch.busybox_rootfs()
        self.assertEqual(harness.run([os.path.join(root, "bin/busybox"), "echo", "hi"]).out, "hi\n")
        self.assertEqual(os.readlink(os.path.join(root, "bin/sh")), "busybox")


class LeakCheckTest(unittest.TestCase):
    def test_reports_what_came_and_not_what_was_there(self):
        before = {"mount": {"1 /": "old"}}
        after = {"mount": {"1 /": "old", "2 /x": "new"}}
        self.assertEqual(leak_check.leaks(before, after), ["leaked mount: new"])

    def test_an_unchanged_host_has_no_leaks_and_a_left_folder_is_one(self):
        before = leak_check.folders()
        with tempfile.TemporaryDirectory(prefix="ct-1-1-") as folder:
            self.assertIn(folder, set(leak_check.folders()) - set(before))

    def test_finds_a_process_by_its_argument(self):
        command = [sys.executable, "-c", "import time; time.sleep(60)", "/tmp/ct-1-2"]
        with subprocess.Popen(command) as process:
            self.addCleanup(process.kill)
            found = harness.wait_until(
                lambda: [text for key, text in leak_check.processes().items()
                         if key.startswith(f"{process.pid} ") and "has an argument" in text],
                "the process is seen", 5)
            process.kill()
        self.assertIn("/tmp/ct-1-2", found[0])


if __name__ == "__main__":
    unittest.main()
