"""Containers in the background: their supervisor, its log, its death and its successor."""

import json
import os
import re
import signal
import time
import unittest

import harness
from oci_case import OciCase


def memory_of(pid):
    """Kilobytes that a process costs, shared pages by their share (Pss)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE).group(1))


class Supervisor(OciCase):
    def setUp(self):
        super().setUp()
        self.rootfs = self.busybox_rootfs()

    def run_detached(self, script, *options):
        """A container self.name in the background that runs a shell script."""
        done = self.caisson("run", "-d", "--name", self.name, "--rootfs", self.rootfs, *options, "--",
                            "/bin/sh", "-c", script)
        self.assert_ok(done)

    def inspect(self):
        done = self.caisson("inspect", self.name)
        self.assert_ok(done)
        return json.loads(done.out)[0]

    def stored(self):
        return harness.stored_state(os.path.join(self.state, self.name))

    def supervisor(self):
        return self.stored()["supervisor"]["pid"]

    def kill_supervisor(self):
        pid = self.supervisor()
        os.kill(pid, signal.SIGKILL)
        harness.wait_until(lambda: self._reap() or not os.path.exists(f"/proc/{pid}"), "it dies", 5)
        return pid

    def logs(self, *options):
        done = self.caisson("logs", *options, self.name)
        self.assert_ok(done)
        return done.out

    def wait_for_log(self, text):
        harness.wait_until(lambda: text in self.logs(), f"{text!r} in the log")

    def wait_for_end(self):
        done = self.caisson("wait", self.name)
        self.assert_ok(done)
        return int(done.out)

    def remove(self):
        self.assert_ok(self.caisson("rm", "--force", self.name))

    def test_output_status_and_removal(self):
        self.run_detached("echo out; echo err >&2; exit 7")
        self.assertEqual(self.wait_for_end(), 7)
        done = self.caisson("logs", self.name)
        self.assertEqual((done.out, done.err), ("out\n", "err\n"))
        self.remove()

    def test_the_caller_s_pipes_are_closed_at_once(self):
        # run() reads to the end of file: it would wait for the sleep.
        begin = time.monotonic()
        self.run_detached("sleep 1000")
        self.assertLess(time.monotonic() - begin, 15)
        self.remove()

    # The death of the supervisor.

    def test_a_killed_supervisor_is_replaced_by_the_next_command_whichever_it_is(self):
        self.run_detached("sleep 1000")
        for command in (("ps",), ("inspect", self.name), ("logs", self.name), ("exec", self.name, "true"),
                        ("pause", self.name), ("resume", self.name), ("stats", self.name)):
            with self.subTest(command[0]):
                old = self.kill_supervisor()
                done = self.caisson(*command)
                self.assert_ok(done)
                new = self.supervisor()
                self.assertNotEqual(new, old)
                os.kill(new, 0)
                self.assertEqual(self.inspect()["status"] in ("running", "paused"), True)
        self.remove()

    def test_output_goes_on_after_a_supervisor_was_killed(self):
        self.run_detached("echo before; while [ ! -e /go ]; do sleep 0.05; done; echo after; "
                          "sleep 0.5; echo last >&2; exit 9")
        self.wait_for_log("before\n")
        self.kill_supervisor()
        # Nobody reads meanwhile: it is kept.
        with open(os.path.join(self.rootfs, "go"), "w", encoding="utf-8"):
            pass
        self.wait_for_log("after\n")
        self.assertEqual(self.wait_for_end(), 9)
        done = self.caisson("logs", self.name)
        self.assertEqual((done.out, done.err), ("before\nafter\n", "last\n"))
        self.remove()

    def test_a_container_outlives_its_supervisor_many_times_and_no_line_is_lost(self):
        self.run_detached("i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i + 1)); sleep 0.01; done; exit 3")
        for _ in range(8):
            time.sleep(0.3)
            if self.inspect()["status"] != "running":
                break
            self.kill_supervisor()
            self.inspect()
        self.assertEqual(self.wait_for_end(), 3)
        self.assertEqual(self.logs(), "".join(f"line {i}\n" for i in range(300)))
        self.remove()

    def test_the_exit_status_after_a_killed_supervisor_is_right(self):
        for script, status in (("exit 0", 0), ("exit 42", 42), ("kill -9 $$", None)):
            with self.subTest(script):
                self.run_detached(f"while [ ! -e /go ]; do sleep 0.05; done; {script}")
                self.kill_supervisor()
                self.inspect()
                with open(os.path.join(self.rootfs, "go"), "w", encoding="utf-8"):
                    pass
                got = self.wait_for_end()
                if status is not None:
                    self.assertEqual(got, status)
                os.unlink(os.path.join(self.rootfs, "go"))
                self.remove()

    def test_an_end_that_nobody_watched_is_lost_or_right_but_never_wrong(self):
        self.run_detached("while [ ! -e /go ]; do sleep 0.05; done; exit 42")
        pid = self.inspect()["pid"]
        self.kill_supervisor()
        with open(os.path.join(self.rootfs, "go"), "w", encoding="utf-8"):
            pass
        # This process is the parent of orphans: the zombie stays until it is looked at.
        harness.wait_until(lambda: self.is_over(pid), "init ends")
        state = self.inspect()
        self.assertEqual(state["status"], "stopped")
        exit_status = state["exit"]
        self.assertTrue(not exit_status.get("known", True) or exit_status.get("code") == 42, exit_status)
        self.assertIn(self.wait_for_end(), (42, 255))
        self.remove()

    @staticmethod
    def is_over(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                return file.read().rsplit(") ", 1)[1][0] == "Z"
        except OSError:
            return True

    def test_supervisor_and_init_both_killed_is_an_end_that_is_lost_or_a_kill(self):
        for reaped in (False, True):
            with self.subTest(reaped=reaped):
                self.run_detached("sleep 1000")
                pid = self.inspect()["pid"]
                self.kill_supervisor()
                os.kill(pid, signal.SIGKILL)
                harness.wait_until(lambda: self.is_over(pid), "init ends")
                if reaped:
                    harness.wait_until(lambda: self._reap() or not os.path.exists(f"/proc/{pid}"), "reaped")
                self.assertEqual(self.inspect()["status"], "stopped")
                self.assertIn(self.wait_for_end(), (255,) if reaped else (255, 137))
                self.remove()

    def test_waiters_survive_the_death_of_the_supervisor(self):
        self.run_detached("while [ ! -e /go ]; do sleep 0.05; done; exit 5")
        waiters = [self.caisson_in_background("wait", self.name) for _ in range(4)]
        time.sleep(0.5)
        self.kill_supervisor()
        time.sleep(0.5)
        with open(os.path.join(self.rootfs, "go"), "w", encoding="utf-8"):
            pass
        for waiter in waiters:
            self.assertEqual(waiter.wait(harness.TIMEOUT), 0)
            self.assertEqual(waiter.stdout.read(), "5\n")
        self.remove()

    def test_a_container_that_removes_itself_is_removed_without_its_supervisor_too(self):
        done = self.caisson("run", "-d", "--rm", "--name", self.name, "--rootfs", self.rootfs, "--",
                            "/bin/sh", "-c", "sleep 1000")
        self.assert_ok(done)
        pid = self.inspect()["pid"]
        self.kill_supervisor()
        os.kill(pid, signal.SIGKILL)
        harness.wait_until(lambda: self.is_over(pid), "init ends")
        self.assert_ok(self.caisson("ps", "--all"))
        self.assertFalse(os.path.exists(os.path.join(self.state, self.name)))

    # The log.

    def test_a_hundred_thousand_lines_arrive_whole_and_in_order(self):
        self.run_detached('awk "BEGIN { for (i = 0; i < 100000; i++) print \\"line\\", i }"')
        self.assertEqual(self.wait_for_end(), 0)
        lines = self.logs().splitlines()
        self.assertEqual(len(lines), 100000)
        self.assertTrue(all(line == f"line {i}" for i, line in enumerate(lines)))
        self.remove()

    def test_streams_stay_apart_and_bytes_unchanged(self):
        self.run_detached("printf 'no end'; printf 'err\\n' >&2; printf ' of line\\n\\n\\ttab \\377\\n'")
        self.wait_for_end()
        done = self.caisson("logs", self.name)
        self.assertEqual(done.out, "no end of line\n\n\ttab �\n")
        self.assertEqual(done.err, "err\n")
        self.assertEqual(self.logs("--stream", "stderr"), "")
        self.assertEqual(self.logs("--stream", "stdout", "--tail", "2"), "\n\ttab �\n")
        self.remove()

    def test_following_ends_with_the_container(self):
        self.run_detached("echo one; while [ ! -e /go ]; do sleep 0.05; done; echo two")
        follower = self.caisson_in_background("logs", "-f", self.name)
        self.assertEqual(follower.stdout.readline(), "one\n")
        with open(os.path.join(self.rootfs, "go"), "w", encoding="utf-8"):
            pass
        self.assertEqual(follower.wait(harness.TIMEOUT), 0)
        self.assertEqual(follower.stdout.read(), "two\n")
        self.remove()

    def test_following_goes_on_over_the_death_of_the_supervisor(self):
        # It looks after the supervisor twice a second.
        self.run_detached("echo one; while [ ! -e /go ]; do sleep 0.05; done; echo two; sleep 3")
        follower = self.caisson_in_background("logs", "-f", self.name)
        self.assertEqual(follower.stdout.readline(), "one\n")
        self.kill_supervisor()
        with open(os.path.join(self.rootfs, "go"), "w", encoding="utf-8"):
            pass
        self.assertEqual(follower.wait(harness.TIMEOUT), 0)
        self.assertEqual(follower.stdout.read(), "two\n")
        self.remove()

    # Waiting and stopping.

    def test_several_waiters_hear_the_same(self):
        self.run_detached("while [ ! -e /go ]; do sleep 0.05; done; exit 33")
        waiters = [self.caisson_in_background("wait", self.name) for _ in range(6)]
        time.sleep(0.3)
        with open(os.path.join(self.rootfs, "go"), "w", encoding="utf-8"):
            pass
        for waiter in waiters:
            self.assertEqual(waiter.wait(harness.TIMEOUT), 0)
            self.assertEqual(waiter.stdout.read(), "33\n")
        self.assertEqual(self.wait_for_end(), 33)
        self.remove()

    def test_stop_is_a_signal_and_then_a_kill(self):
        self.run_detached('trap "exit 12" TERM; echo ready; while :; do sleep 0.05; done')
        self.wait_for_log("ready")
        self.assert_ok(self.caisson("stop", self.name))
        self.assertEqual(self.wait_for_end(), 12)
        self.remove()
        self.run_detached('trap "" TERM; echo ready; while :; do sleep 0.05; done')
        self.wait_for_log("ready")
        begin = time.monotonic()
        self.assert_ok(self.caisson("stop", "--time", "1", self.name))
        self.assertGreaterEqual(time.monotonic() - begin, 0.9)
        self.assertEqual(self.wait_for_end(), 128 + signal.SIGKILL)
        self.remove()

    def test_stop_works_without_a_supervisor_and_on_a_paused_container(self):
        self.run_detached('trap "exit 12" TERM; echo ready; while :; do sleep 0.05; done')
        self.wait_for_log("ready")
        self.kill_supervisor()
        self.assert_ok(self.caisson("stop", self.name))
        self.assertEqual(self.wait_for_end(), 12)
        self.remove()
        self.run_detached('trap "exit 13" TERM; echo ready; while :; do sleep 0.05; done')
        self.wait_for_log("ready")
        self.assert_ok(self.caisson("pause", self.name))
        self.assert_ok(self.caisson("stop", self.name))
        self.assertEqual(self.wait_for_end(), 13)
        self.remove()

    # Its cost.

    @unittest.skipIf(harness.SANITIZED, "the sanitizer's own memory")
    def test_an_idle_supervisor_costs_less_than_a_megabyte(self):
        self.run_detached("sleep 1000")
        pid = self.supervisor()
        harness.wait_until(lambda: memory_of(pid) < 1024, f"Pss below 1 MB (is {memory_of(pid)} kB)", 5)
        self.remove()

    def test_a_supervisor_holds_nothing_of_its_caller(self):
        path = os.path.join(self.dir, "held")
        with open(path, "w", encoding="utf-8") as file:
            os.set_inheritable(file.fileno(), True)
            done = self.caisson("run", "-d", "--name", self.name, "--rootfs", self.rootfs, "--", "sleep", "1000",
                                close_fds=False, cwd=self.rootfs)
            self.assert_ok(done)
        pid = self.supervisor()
        held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        self.assertNotIn(path, held)
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        self.assertEqual([os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3)
        self.remove()


if __name__ == "__main__":
    harness.main()
