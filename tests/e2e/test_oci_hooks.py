"""Hooks: their environment, their output, and how startContainer hooks share what confines the program."""

import json
import os

import harness
from oci_case import OciCase
from test_oci_seccomp import Agent, notifying


def shell(script, **more):
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


class Hooks(OciCase):
    def failing(self, kind, entry, changes=None, **options):
        """The error of a container with this one hook, which fails."""
        done = self.run_in("echo ran", harness.deep_update({"hooks": {kind: [entry]}}, changes or {}), **options)
        self.assert_status(done, 1)
        if kind != "poststart":
            self.assertNotIn("ran", done.out)
        self.assertIn(f"error running {kind} hook #0: ", done.err)
        return done.err

    # The environment.

    def test_without_an_environment_a_hook_of_the_host_has_the_runtime_s(self):
        for kind in ("prestart", "createRuntime", "createContainer", "poststart"):
            with self.subTest(kind):
                error = self.failing(kind, shell("echo have $GIVEN; exit 1"), env={"GIVEN": "it"})
                self.assertIn("have it", error)
                error = self.failing(kind, shell("echo have $GIVEN; exit 1", env=[]), env={"GIVEN": "it"})
                self.assertNotIn("it", error.split("output: ")[1].replace("exit", ""))

    def test_without_an_environment_a_start_container_hook_has_the_program_s(self):
        process = {"process": {"env": ["ONE=two", "PATH=/bin"]}}
        error = self.failing("startContainer", shell("echo $ONE $HOME $GIVEN; exit 1"), process, env={"GIVEN": "it"})
        self.assertIn("output: two /root\n", error)
        error = self.failing("startContainer", shell("echo $ONE; exit 1", env=["ONE=own"]), process)
        self.assertIn("output: own\n", error)
        self.assertIn("output: none\n", self.failing("startContainer", shell("echo ${ONE:-none}; exit 1", env=[]), process))

    # What it writes.

    def test_what_a_failing_hook_wrote_is_in_the_error(self):
        for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart"):
            with self.subTest(kind):
                error = self.failing(kind, shell("echo first; echo second >&2; exit 7"))
                self.assertIn("exit status 7, output: first\nsecond", error)

    def test_the_arguments_of_a_hook_are_exactly_those_given(self):
        for args in (["cat", "/nosuchfile"], ["busybox", "cat", "/nosuchfile"]):
            error = self.failing("startContainer", {"path": "/bin/busybox", "args": args})
            self.assertIn("cat: can't open '/nosuchfile'", error)

    def test_output_beyond_the_limit_stops_no_hook(self):
        script = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i + 1)); done"
        for kind in ("createRuntime", "startContainer"):
            self.assertEqual(self.output_of("echo ran", {"hooks": {kind: [shell(script)]}}), "ran\n")
            self.assertLess(len(self.failing(kind, shell(script + "; exit 1"))), 6000)

    def test_what_a_hook_leaves_running_holds_up_nothing(self):
        script = "sleep 1000 & echo $! > /tmp/pid"
        done = self.run_in("echo ran; kill $(cat /tmp/pid)",
                           {"root": {"readonly": False}, "hooks": {"startContainer": [shell(script)]}})
        self.assertEqual(done.out, "ran\n", str(done))

    def test_annotations_send_the_output_to_files(self):
        files = {stream: os.path.join(self.dir, stream) for stream in ("stdout", "stderr")}
        annotations = {f"run.oci.hooks.{stream}": path for stream, path in files.items()}
        bundle = self.bundle("/bin/sh", "-c", "ls /proc/self/fd | wc -l; ls -l /proc/self/fd", changes={
            "annotations": annotations, "hooks": {kind: [shell(f"cat; echo {kind} >&2")] for kind in (
                "createRuntime", "startContainer")}})
        self.assert_ok(self.create(bundle))
        self.assert_ok(self.oci("start", self.name))
        self.wait_stopped()
        self.assertNotIn(self.dir + "/std", self.kept_output(), "a file of the host's in the container")
        with open(files["stderr"], encoding="utf-8") as file:
            self.assertEqual(file.read(), "createRuntime\nstartContainer\n")
        with open(files["stdout"], encoding="utf-8") as file:
            creating, created = [json.loads(text + "}") for text in file.read().split("}")[:-1] if "id" in text
                                 for text in [text if text.count("{") == 1 else text + "}"]]
        self.assertEqual((creating["status"], created["status"]), ("creating", "created"))
        self.assertEqual(created["annotations"], annotations)
        self.assertEqual(created["bundle"], bundle)
        self.delete()

    # What confines it.

    KILL_MKDIR = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                  "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL"}]}

    def test_a_start_container_hook_runs_under_the_filter(self):
        for privileges in (True, False):
            changes = {"linux": {"seccomp": self.KILL_MKDIR}, "process": {
                "noNewPrivileges": privileges, "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]}}
            error = self.failing("startContainer", {"path": "/bin/mkdir", "args": ["mkdir", "/dev/shm/x"]}, changes)
            self.assertIn("killed by signal 31 (bad system call)", error)
            self.assert_ok(self.run_in("true", {**changes, "hooks": {"startContainer": [shell("pwd")]}}))

    def test_a_profile_does_not_judge_what_the_runtime_does_for_hooks(self):
        needed = ("pidfd_open", "ppoll", "wait4", "pipe2", "memfd_create", "setpgid", "seccomp")
        refused = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                   "syscalls": [{"names": list(needed), "action": "SCMP_ACT_KILL"}]}
        done = self.run_in("echo ran", {"linux": {"seccomp": refused}, "hooks": {"startContainer": [
            {"path": "/bin/echo", "args": ["echo"]}]}})
        self.assertEqual(done.out, "ran\n", str(done))

    def test_calls_of_a_start_container_hook_are_notified_too(self):
        agent = Agent(os.path.join(self.dir, "agent"), {"mkdir": 123})
        self.addCleanup(agent.close)
        done = self.run_in("mkdir /dev/shm/y", {"linux": {"seccomp": notifying(agent.path, "mkdir")}, "hooks": {
            "startContainer": [shell("mkdir /dev/shm/x; true")]}})
        self.assert_status(done, 1)
        self.assertEqual(agent.calls, ["mkdir", "mkdir"])
        self.assertEqual(agent.fd_counts, [1])

    def test_debug_tells_the_flags_of_the_filter(self):
        log, spec_allow = 2, 4
        for flags, expected in ((None, spec_allow), ([], 0), (["SECCOMP_FILTER_FLAG_TSYNC"], 0),
                                (["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], log | spec_allow)):
            profile = {**self.KILL_MKDIR, **({} if flags is None else {"flags": flags})}
            bundle = self.bundle("/bin/true", changes={"linux": {"seccomp": profile}})
            done = self.oci("--debug", "run", "--bundle", bundle, self.name)
            self.assert_ok(done)
            self.assertIn(f'"seccomp filter flags: {expected}"', done.err)


if __name__ == "__main__":
    harness.main()
