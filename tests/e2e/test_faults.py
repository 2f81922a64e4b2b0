"""Commands that are killed on their way, and commands that get into each other's way: afterwards
nothing is left, or a container that `delete` removes."""

import json
import os
import random
import signal
import subprocess
import time

import harness
from oci_case import KILLED, OciCase, hook, oci_program

MAKING_STEPS = ("check-id", "plan", "claim", "output", "console", "execute", "process", "hooks", "save")
MADE_STEPS = ("poststart", "pid-file", "pidfd-socket", "done")
CREATE_STEPS = MAKING_STEPS + MADE_STEPS
START_STEPS = ("note", "go", "save", "poststart")
EXEC_STEPS = ("plan", "execute", "pid-file", "done")
DELETE_STEPS = ("kill", "supervisor", "undo", "poststop", "folder", "done")


class Faults(OciCase):
    def setUp(self):
        super().setUp()
        self.notes = os.path.join(self.dir, "notes")
        self.container = self.bundle("/bin/sleep", "1000", changes={
            "hooks": {"createRuntime": [hook("cat >/dev/null")],
                      "poststop": [hook(f"cat >>{self.notes}; echo >>{self.notes}")]},
            "mounts": harness.default_config()["mounts"] + [
                {"destination": "/inside", "source": "/etc", "options": ["bind", "ro"]}],
            "linux": {"resources": {"pids": {"limit": 20}}}})
        self.pid_file = os.path.join(self.dir, "pid")

    def arguments(self, verb, *extra):
        """The words of a create or run."""
        return [verb, "--bundle", self.container, "--pid-file", self.pid_file, *extra, self.name]

    def create(self):
        return self.kept_oci(*self.arguments("create"))

    def faulty(self, step, *arguments):
        self.assert_status(self.kept_oci(*arguments, env={"CAISSON_FAULT": step}), KILLED)

    def ids(self):
        listed = self.oci("list", "--format", "json")
        self.assert_ok(listed)
        return {entry["id"]: entry["status"] for entry in json.loads(listed.out)}

    def assert_gone(self):
        """The next command finds nothing, and so does whoever looks at the host."""
        self.assertEqual(self.ids(), {})
        self.assert_no_leaks()

    def assert_usable(self):
        """The name is free: a whole life cycle under it works."""
        self.assert_ok(self.create())
        self.assert_ok(self.oci("start", self.name))
        self.assertEqual(self.ids(), {self.name: "running"})
        self.assert_ok(self.oci("delete", "--force", self.name))

    # A kill at each step.

    def test_create_killed_at_any_step_leaves_nothing_or_a_created_container(self):
        for step in CREATE_STEPS:
            with self.subTest(step):
                self.faulty(f"create:{step}", *self.arguments("create"))
                if step in MADE_STEPS:
                    self.assertEqual(self.ids(), {self.name: "created"})
                    self.assert_ok(self.oci("delete", self.name))
                self.assert_gone()
        self.assert_usable()

    def test_create_after_a_killed_create_needs_no_clean_up(self):
        for step in ("claim", "execute", "process", "hooks", "save"):
            with self.subTest(step):
                self.faulty(f"create:{step}", *self.arguments("create"))
                self.assert_usable()
                self.assert_no_leaks()

    def test_a_killed_create_is_missing_to_the_next_command_whichever_it_is(self):
        for command in (("state",), ("start",), ("kill",), ("delete",), ("exec",), ("pause",), ("ps",)):
            with self.subTest(command[0]):
                self.faulty("create:save", *self.arguments("create"))
                extra = ["true"] if command[0] == "exec" else []
                done = self.oci(*command, self.name, *extra)
                self.assertNotEqual(done.status, 0, str(done))
                self.assertIn("container does not exist", done.err)
                self.assert_no_leaks()

    def test_the_clean_up_after_a_killed_create_may_be_killed_too(self):
        for step in ("undo", "poststop", "folder", "done"):
            with self.subTest(step):
                self.faulty("create:save", *self.arguments("create"))
                self.faulty(f"delete:{step}", "state", self.name)
                self.assert_gone()

    def test_run_in_the_foreground_killed_at_any_step_leaves_nothing(self):
        for step in CREATE_STEPS:
            with self.subTest(step):
                self.faulty(f"create:{step}", *self.arguments("run"))
                if self.ids():  # the program may run on until somebody looks
                    self.assert_ok(self.oci("delete", "--force", self.name))
                self.assert_gone()

    def test_run_detached_killed_at_any_step_leaves_nothing_or_a_running_container(self):
        for step in CREATE_STEPS:
            with self.subTest(step):
                self.faulty(f"create:{step}", *self.arguments("run", "--detach"))
                if step in MADE_STEPS:
                    self.assertEqual(self.ids(), {self.name: "running"})
                    self.assert_ok(self.oci("delete", "--force", self.name))
                self.assert_gone()

    def test_a_supervisor_killed_at_any_step_of_the_start_is_reported_and_leaves_nothing(self):
        for step in CREATE_STEPS:
            if step == "hooks":
                continue  # there are none
            with self.subTest(step):
                done = self.kept([harness.CAISSON, "--root", self.state, "run", "-d", "--name", self.name,
                                  "--", "sleep", "1000"], env={"CAISSON_FAULT": f"create:{step}"})
                if step in MAKING_STEPS:
                    self.assertNotEqual(done.status, 0, str(done))
                    self.assertIn("killed", done.err)
                else:  # it runs, with another supervisor
                    self.assert_ok(done)
                    self.assertEqual(self.ids(), {self.name: "running"})
                    self.assert_ok(self.caisson("rm", "--force", self.name))
                self.assert_gone()

    def test_start_killed_at_any_step_leaves_a_container_that_can_be_used_and_deleted(self):
        for step in START_STEPS:
            with self.subTest(step):
                self.assert_ok(self.create())
                self.faulty(f"start:{step}", "start", self.name)
                status = self.ids()[self.name]
                if step in ("note", "go"):
                    self.assertEqual(status, "created")
                    self.assert_ok(self.oci("start", self.name))
                else:
                    self.assertEqual(status, "running")
                    again = self.oci("start", self.name)
                    self.assertIn("cannot start an already running container", again.err)
                self.assertEqual(self.ids()[self.name], "running")
                self.assert_ok(self.oci("exec", self.name, "true"))
                self.assert_ok(self.oci("kill", self.name, "KILL"))
                harness.wait_until(lambda: self.ids()[self.name] == "stopped", "it stops")
                self.assert_ok(self.oci("delete", self.name))
                self.assert_gone()

    def test_exec_killed_at_any_step_leaves_a_running_container(self):
        self.assert_ok(self.create())
        self.assert_ok(self.oci("start", self.name))
        for step in EXEC_STEPS:
            with self.subTest(step):
                self.faulty(f"exec:{step}", "exec", "--pid-file", self.pid_file, self.name, "sleep", "1000")
                self.assertEqual(self.ids(), {self.name: "running"})
                self.assert_ok(self.oci("exec", self.name, "true"))
        self.assert_ok(self.kept_oci("delete", "--force", self.name))
        self.assert_gone()

    def test_delete_killed_at_any_step_is_finished_by_the_next(self):
        for step in DELETE_STEPS:
            for second in ("delete", "list"):
                with self.subTest(step, second=second):
                    self.assert_ok(self.create())
                    self.assert_ok(self.oci("start", self.name))
                    self.faulty(f"delete:{step}", "delete", "--force", self.name)
                    if second == "delete" or self.ids():
                        self.assert_ok(self.oci("delete", "--force", self.name))
                    self.assert_gone()

    def test_delete_killed_twice_runs_the_hooks_of_the_end(self):
        self.assert_ok(self.create())
        self.faulty("delete:undo", "delete", self.name)
        self.faulty("delete:poststop", "delete", self.name)
        self.assertFalse(os.path.exists(self.notes))
        self.assert_ok(self.oci("delete", self.name))
        with open(self.notes, encoding="utf-8") as file:
            states = [json.loads(line) for line in file.read().split("\n") if line]
        self.assertEqual([(state["id"], state["status"]) for state in states], [(self.name, "stopped")])

    # A kill at any time.

    def killed_after(self, seconds, *arguments):
        """Whether the command was still at work when it was killed."""
        process = subprocess.Popen([oci_program(), "--root", self.state, *arguments],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self._background.add(process.pid)
        try:
            time.sleep(seconds)
            process.kill()
            return process.wait() == -signal.SIGKILL
        finally:
            self._background.discard(process.pid)

    def test_create_killed_at_random_times(self):
        begin = time.monotonic()
        self.assert_ok(self.create())
        took = time.monotonic() - begin
        self.assert_ok(self.oci("delete", self.name))
        for attempt in range(20):
            seconds = random.uniform(0, took * 1.1)
            with self.subTest(attempt, seconds=seconds):
                killed = self.killed_after(seconds, *self.arguments("create"))
                there = self.ids()
                if there:
                    self.assertEqual(there, {self.name: "created"})
                    self.assert_ok(self.oci("delete", self.name))
                else:
                    self.assertTrue(killed)
                self.assert_gone()
        self.assert_usable()

    def test_delete_killed_at_random_times(self):
        self.assert_ok(self.create())
        took = self.oci("delete", self.name).seconds
        for attempt in range(20):
            seconds = random.uniform(0, took * 1.1)
            with self.subTest(attempt, seconds=seconds):
                self.assert_ok(self.create())
                self.killed_after(seconds, "delete", self.name)
                there = self.ids()
                if there:
                    self.assert_ok(self.oci("delete", self.name))
                self.assert_gone()

    # Several at once.

    def several(self, count, *arguments):
        processes = [subprocess.Popen([oci_program(), "--root", self.state, *arguments], text=True,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE) for _ in range(count)]
        # The standard error of a container's init is that of the create that won: a file would do,
        # but the end of the pipe comes with the end of the container only.
        pids = {process.pid for process in processes}
        self._background |= pids
        statuses = [process.wait(harness.TIMEOUT) for process in processes]
        self._background -= pids
        errors = []
        for process, status in zip(processes, statuses):
            errors.append(process.stderr.read() if status != 0 else "")
            process.stderr.close()
        return statuses, errors

    def test_of_eight_creates_of_one_id_exactly_one_wins(self):
        for _ in range(3):
            statuses, errors = self.several(8, *self.arguments("create"))
            self.assertEqual(sorted(statuses), [0] + [1] * 7, errors)
            for error in filter(None, errors):
                self.assertIn("container with given ID already exists", error)
            self.assertEqual(self.ids(), {self.name: "created"})
            self.assert_ok(self.oci("start", self.name))
            self.assert_ok(self.oci("delete", "--force", self.name))
            self.assert_gone()

    def test_of_eight_deletes_of_one_id_exactly_one_wins(self):
        for _ in range(3):
            self.assert_ok(self.create())
            statuses, errors = self.several(8, "delete", self.name)
            self.assertEqual(sorted(statuses), [0] + [1] * 7, errors)
            for error in filter(None, errors):
                self.assertIn("container does not exist", error)
            self.assert_gone()

    def test_of_eight_starts_exactly_one_wins(self):
        self.assert_ok(self.create())
        statuses, errors = self.several(8, "start", self.name)
        self.assertEqual(sorted(statuses), [0] + [1] * 7, errors)
        for error in filter(None, errors):
            self.assertIn("cannot start an already running container", error)
        self.assert_ok(self.oci("delete", "--force", self.name))

    def test_readers_beside_creates_and_deletes_never_see_a_torn_state(self):
        deadline = time.monotonic() + 5
        loop = ('end=$(($(date +%s) + 5)); while [ $(date +%s) -lt $end ]; do "$@"; done')
        create = [oci_program(), "--root", self.state, *self.arguments("create")]
        delete = [oci_program(), "--root", self.state, "delete", "--force", self.name]
        writers = [subprocess.Popen(["sh", "-c", loop, "sh", *words], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for words in (create, create, delete, delete)]
        self._background |= {process.pid for process in writers}
        seen = set()
        while time.monotonic() < deadline:
            state = self.oci("state", self.name)
            if state.status == 0:
                seen.add(json.loads(state.out)["status"])
            else:
                self.assertIn("container does not exist", state.err)
                seen.add("missing")
            for status in self.ids().values():
                seen.add(status)
        for process in writers:
            process.wait(harness.TIMEOUT)
            self._background.discard(process.pid)
        self.assertIn("missing", seen)
        self.assertLessEqual(seen, {"missing", "creating", "created", "stopped"})
        self.assert_ok(self.oci("delete", "--force", self.name))
        self.assert_gone()


if __name__ == "__main__":
    harness.main()
