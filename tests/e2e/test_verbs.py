"""The verbs for containers in the background, and what all verbs have in common."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import harness

VERBS = ("run", "ps", "exec", "logs", "stop", "kill", "rm", "inspect", "wait", "stats", "diff", "explain", "why", "doctor",
         "top", "list", "pause", "resume", "version")


class Verbs(harness.TestCase):
    def start(self, script, *options, name=None):
        name = name or self.name
        done = self.caisson("run", "-d", "--name", name, *options, "--", "sh", "-c", script)
        self.addCleanup(self.caisson, "rm", "-f", name)
        self.assertEqual((done.status, done.out, done.err), (0, name + "\n", ""), str(done))
        return name

    def json(self, *words):
        done = self.caisson(*words, "--json")
        self.assert_ok(done)
        return json.loads(done.out)

    def wait_for_log(self, text, name=None):
        harness.wait_until(lambda: text in self.caisson("logs", name or self.name).out, f"{text!r} in the log")

    # ps, list

    def test_ps_lists_running_ones_and_with_all_the_ended(self):
        self.start("exec sleep 1000")
        ended = self.start("exit 3", name=self.name + "-b")
        self.assertEqual(self.caisson("wait", ended).out, "3\n")
        self.assertEqual(self.caisson("ps", "-q").out, self.name + "\n")
        self.assertEqual(self.caisson("ps", "-aq").out.split(), [self.name, ended])
        rows = self.caisson("ps", "-a").out.splitlines()
        self.assertRegex(rows[0], r"^NAME +PID +STATUS +CREATED +COMMAND$")
        self.assertRegex(rows[1], rf"^{self.name} +\d+ +running +\d+ seconds? ago +sh -c 'exec sleep 1000'$")
        self.assertRegex(rows[2], rf"^{ended} +- +exited \(3\) ")
        both = self.json("list")
        self.assertEqual([(c["id"], c["status"]) for c in both], [(self.name, "running"), (ended, "stopped")])
        self.assertEqual(both[0]["command"], ["sh", "-c", "exec sleep 1000"])

    def test_ps_without_containers_is_an_empty_list(self):
        self.assertEqual(self.json("ps"), [])
        self.assertEqual(self.caisson("ps").out.count("\n"), 1)

    # logs

    def test_logs_keep_streams_apart_and_lines_in_order(self):
        self.start("for i in 1 2 3; do echo out $i; echo err $i >&2; done")
        self.caisson("wait", self.name)
        done = self.caisson("logs", self.name)
        self.assertEqual((done.out, done.err), ("out 1\nout 2\nout 3\n", "err 1\nerr 2\nerr 3\n"))
        self.assertEqual(self.caisson("logs", "--stream", "stderr", self.name).out, "")
        self.assertEqual(self.caisson("logs", "--stream", "stdout", "-n", "1", self.name).out, "out 3\n")
        self.assertRegex(self.caisson("logs", "-t", "-n", "1", "--stream", "stdout", self.name).out, r"^20\d\d-\d\d-\d\dT[0-9:.]+Z out 3\n$")

    def test_logs_follow_until_the_end(self):
        self.start("echo one; sleep 0.3; echo two; sleep 0.3; echo three; exit 4")
        done = self.caisson("logs", "-f", self.name)
        self.assertEqual((done.status, done.out), (0, "one\ntwo\nthree\n"), str(done))

    def test_logs_of_much_output_lose_nothing_below_the_limit(self):
        self.start("seq 1 50000")
        self.caisson("wait", self.name)
        self.assertEqual(self.caisson("logs", self.name).out, "".join(f"{i}\n" for i in range(1, 50001)))

    def test_a_log_is_bounded(self):
        self.start("seq 1 200000", "--log-limit", "64k")
        self.caisson("wait", self.name)
        lines = self.caisson("logs", self.name).out.splitlines()
        self.assertEqual(lines[-1], "200000")
        self.assertLess(sum(len(line) + 1 for line in lines), 3 * 64 * 1024)
        lines = lines[1:]  # the first one may be cut
        self.assertEqual(lines, [str(i) for i in range(200001 - len(lines), 200001)], "the last lines, without a gap")

    # exec

    def test_exec_is_in_the_same_container(self):
        self.start("echo 1 > /tmp/mine; exec sleep 1000")
        done = self.caisson("exec", "-e", "CT=x y", "-w", "/tmp", self.name, "--", "sh", "-c",
                            "pwd; cat mine; echo $CT; cat /proc/1/comm; readlink /proc/self/ns/pid; exit 6")
        self.assertEqual(done.status, 6)
        inside = os.readlink(f"/proc/{self.json('inspect', self.name)[0]['pid']}/ns/pid")
        self.assertEqual(done.out, f"/tmp\n1\nx y\nsleep\n{inside}\n")

    def test_exec_passes_input_and_signals(self):
        self.start("exec sleep 1000")
        data = "line\n" * 100000
        self.assertEqual(self.caisson("exec", self.name, "cat", input=data).out, data)
        process = self.caisson_in_background("exec", self.name, "sh", "-c", "trap 'exit 33' TERM; echo ready; while :; do sleep 0.05; done")
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.terminate()
        self.assertEqual(process.wait(harness.TIMEOUT), 33)

    def test_exec_failures_have_the_statuses_of_run(self):
        self.start("exec sleep 1000")
        self.assert_status(self.caisson("exec", self.name, "no-such-cmd"), 127)
        self.assert_status(self.caisson("exec", self.name, "/etc/passwd"), 126)
        self.assert_status(self.caisson("exec", self.name, "sh", "-c", "kill -9 $$"), 137)
        self.assert_ok(self.caisson("stop", self.name))
        done = self.caisson("exec", self.name, "true")
        self.assert_status(done, 125)
        self.assertIn("container not running", done.err.replace("cannot exec in a stopped container", "container not running"))

    def test_exec_of_another_user(self):
        self.start("exec sleep 1000", "-w", "/")
        self.assertEqual(self.caisson("exec", "-u", "nobody", self.name, "id", "-un").out, "nobody\n")

    # stop, kill, wait, rm

    def test_stop_lets_a_program_end_by_itself(self):
        self.start("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done")
        self.wait_for_log("ready")
        done = self.caisson("stop", self.name)
        self.assertEqual((done.status, done.out), (0, self.name + "\n"))
        self.assertEqual(self.caisson("wait", self.name).out, "7\n")
        self.assertIn("bye", self.caisson("logs", self.name).out)

    def test_stop_does_not_wait_for_a_program_that_does_not_listen(self):
        self.start("exec sleep 1000")
        self.assertLess(self.caisson("stop", "-t", "20", self.name).seconds, 10,
                        "a program that takes no care of SIGTERM must be stopped at once")

    def test_stop_kills_what_ignores_the_signal_after_the_grace_period(self):
        self.start('trap "" TERM; echo ready; while :; do sleep 0.05; done')
        self.wait_for_log("ready")
        done = self.caisson("stop", "-t", "1", self.name)
        self.assert_ok(done)
        self.assertGreater(done.seconds, 0.9)
        self.assertEqual(self.caisson("wait", self.name).out, "137\n")

    def test_stop_by_another_signal_and_of_several(self):
        script = "trap 'exit 8' INT; echo ready; while :; do sleep 0.02; done"
        names = [self.start(script, name=f"{self.name}-{i}") for i in range(3)]
        for name in names:
            self.wait_for_log("ready", name)
        self.assert_ok(self.caisson("stop", "-s", "INT", *names))
        self.assertEqual(self.caisson("wait", *names).out, "8\n" * 3)

    def test_kill_sends_signals(self):
        self.start("trap 'echo usr1' USR1; echo ready; while :; do sleep 0.02; done")
        self.wait_for_log("ready")
        self.assert_ok(self.caisson("kill", "-s", "USR1", self.name))
        self.wait_for_log("usr1")
        self.assert_ok(self.caisson("kill", self.name))
        self.assertEqual(self.caisson("wait", self.name).out, "137\n")
        done = self.caisson("kill", self.name)
        self.assertEqual(done.status, 1)
        self.assertIn("not running", done.err)

    def test_wait_gives_up_after_its_time(self):
        self.start("exec sleep 1000")
        done = self.caisson("wait", "-t", "1", self.name)
        self.assertNotEqual(done.status, 0)
        self.assertIn(self.name, done.err)

    def test_rm_refuses_running_ones_unless_forced(self):
        self.start("exec sleep 1000")
        done = self.caisson("rm", self.name)
        self.assertEqual((done.status, done.err), (1, f"caisson: cannot delete container {self.name} that is not stopped: running\n"
                                                      "  cure: stop it first, or use --force\n"))
        self.assert_ok(self.caisson("rm", "-f", self.name))
        self.assertEqual(self.caisson("ps", "-aq").out, "")
        self.assert_ok(self.caisson("rm", "-f", self.name))

    def test_rm_all_removes_the_ended(self):
        self.start("exec sleep 1000")
        for i in range(2):
            self.caisson("wait", self.start("true", name=f"{self.name}-{i}"))
        self.assert_ok(self.caisson("rm", "--all"))
        self.assertEqual(self.caisson("ps", "-aq").out, self.name + "\n")

    def test_pause_and_resume(self):
        self.start("i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done")
        self.wait_for_log("3")
        self.assert_ok(self.caisson("pause", self.name))
        self.assertEqual(self.json("ps")[0]["status"], "paused")
        time.sleep(0.1)
        before = self.caisson("logs", self.name).out
        time.sleep(0.3)
        self.assertEqual(self.caisson("logs", self.name).out, before, "a paused container must not run")
        self.assert_ok(self.caisson("resume", self.name))
        harness.wait_until(lambda: self.caisson("logs", self.name).out != before, "a resumed container runs on")
        self.assert_ok(self.caisson("pause", self.name))
        self.assert_ok(self.caisson("stop", "-t", "1", self.name))

    # inspect, stats, top, diff, why

    def test_inspect_tells_everything(self):
        self.start("exec sleep 1000", "--memory", "64m", "-l", "a=b", "--annotation", "c=d")
        found, = self.json("inspect", self.name)
        self.assertEqual(found["status"], "running")
        self.assertEqual(found["labels"], {"a": "b"})
        self.assertEqual(found["annotations"], {"c": "d"})
        self.assertEqual(found["config"]["linux"]["resources"]["memory"]["limit"], 64 << 20)
        self.assertEqual(os.readlink(f"/proc/{found['pid']}/exe"), os.path.realpath(shutil.which("sleep")))

    def test_stats_count_memory_cpu_and_processes(self):
        self.start("sleep 1000 & i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; wait", "--memory", "64m")
        self.wait_for_log("done")
        found, = self.json("stats", self.name)
        self.assertEqual((found["id"], found["pids"], found["oom_kills"]), (self.name, 2, 0))
        self.assertGreater(found["cpu_usage_ns"], 10_000_000)
        self.assertTrue(0 < found["memory_bytes"] < 64 << 20, found)
        self.assertIn(self.name, self.caisson("stats").out)

    def test_top_lists_the_processes(self):
        self.start("sleep 1001 & wait")
        harness.wait_until(lambda: len(self.json("top", self.name)) == 2, "two processes are listed")
        self.assertIn("sleep 1001", self.caisson("top", self.name).out)

    def test_diff_lists_what_was_changed(self):
        path = os.path.join(self.dir, "file")
        with open(path, "w", encoding="utf-8") as file:
            file.write("x\n")
        self.start(f"echo y >> {path}; echo n > {self.dir}/new; rm /etc/hostname; echo ready; exec sleep 1000")
        self.wait_for_log("ready")
        done = self.caisson("diff", self.name)
        self.assert_ok(done)
        self.assertIn(f"C {path}\n", done.out)
        self.assertIn(f"A {self.dir}/new\n", done.out)
        self.assertIn("D /etc/hostname\n", done.out)
        kinds = {change["path"]: change["change"] for change in self.json("diff", self.name)}
        self.assertEqual(kinds[path], "changed")

    def test_why_tells_how_it_ended(self):
        for script, words in (("exit 0", ("0",)), ("exit 41", ("41",)), ("kill -KILL $$", ())):
            name = self.start(script, name=f"{self.name}-{abs(hash(script)) % 10**6}")
            self.caisson("wait", name)
            done = self.caisson("why", name)
            self.assert_ok(done)
            self.assertIn(script, done.out)
            for word in words:
                self.assertIn(word, done.out)
            json.loads(self.caisson("why", "--json", name).out)
        self.start("exec sleep 1000")
        self.assertIn("run", self.caisson("why", self.name).out)

    def test_explain_does_nothing_and_shows_the_plan(self):
        done = self.caisson("explain", "--memory", "64m", "--", "no-such-command")
        self.assert_ok(done)
        for word in ("mounts", "/proc", "memory", "no-such-command", "seccomp"):
            self.assertIn(word, done.out)
        plan = json.loads(self.caisson("explain", "--json", "--", "true").out)
        self.assertIsInstance(plan, dict)
        self.assertFalse(os.path.exists(self.state), "explain must not write anything")

    def test_doctor_finds_this_machine_fit(self):
        done = self.caisson("doctor")
        self.assert_ok(done)
        self.assertIn("caisson can run containers here", done.out)
        self.assertIn("kernel", json.dumps(self.json("doctor")))

    # The supervisor.

    def test_a_supervisor_is_small_and_leaves_with_its_container(self):
        self.start("exec sleep 1000")
        pid = harness.stored_state(os.path.join(self.state, self.name))["supervisor"]["pid"]

        def pss():
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
                return int(re.search(r"^Pss: +(\d+) kB", file.read(), re.MULTILINE).group(1))
        if not harness.SANITIZED:
            harness.wait_until(lambda: pss() < 1024, "a supervisor takes less than 1 MB of PSS")
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        # It holds the changes of a view until the container is removed.
        self.assert_ok(self.caisson("rm", "-f", self.name))
        harness.wait_until(lambda: not os.path.exists(f"/proc/{pid}/exe") or harness.children().get(pid, "").find("state Z") > 0,
                           "the supervisor goes with its container")

    def test_a_container_outlives_the_command_that_started_it(self):
        # The caller's session, terminal and directory are not held.
        folder = os.path.join(self.dir, "here")
        os.mkdir(folder)
        process = self.caisson_in_background("run", "-d", "--name", self.name, "-w", "/", "--", "sleep", "1000", cwd=folder)
        self.addCleanup(self.caisson, "rm", "-f", self.name)
        out, err = process.communicate(timeout=harness.TIMEOUT)  # pipes are closed: nobody holds them
        self.assertEqual((process.returncode, out, err), (0, self.name + "\n", ""))
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.assertEqual(self.json("ps")[0]["status"], "running")

    # What all have in common.

    def test_every_verb_has_help_with_examples(self):
        for verb in VERBS:
            for flag in ("--help", "-h"):
                done = self.caisson(verb, flag)
                self.assert_ok(done)
                self.assertTrue(done.out.startswith(f"Usage: caisson {verb}"), done.out)
                self.assertIn("Examples:", done.out, f"{verb} --help must show an example")
        self.assertEqual(self.caisson("help", "run").out, self.caisson("run", "--help").out)
        overview = self.caisson("--help").out
        for verb in VERBS:
            self.assertIn(f"\n  {verb} ", overview)

    def test_bash_completion_knows_commands_options_and_names(self):
        if shutil.which("bash") is None:
            self.skipTest("bash is not installed here")
        self.start("exec sleep 1000")
        done = self.caisson("completion", "bash")
        self.assert_ok(done)
        script = os.path.join(self.dir, "completion")
        with open(script, "w", encoding="utf-8") as file:
            file.write(done.out)

        def complete(*words):
            listed = " ".join(f"'{word}'" for word in ("caisson", *words))
            code = (f"source {script}; COMP_WORDS=({listed}); COMP_CWORD={len(words)}; COMP_LINE='caisson {' '.join(words)}'; "
                    "COMP_POINT=${#COMP_LINE}; f=$(complete -p caisson | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $f caisson; "
                    "printf '%s\\n' \"${COMPREPLY[@]}\"")
            environment = {**os.environ, "PATH": os.path.dirname(harness.CAISSON) + ":" + os.environ["PATH"]}
            found = harness.run(["bash", "--norc", "-c", code], env=environment)
            return [word.strip() for word in found.out.split("\n") if word.strip()]
        self.assertIn("stats", complete("st"))
        self.assertIn("--memory", complete("run", "--mem"))
        self.assertIn(self.name, complete("--root", self.state, "stop", "ct-"), "names of containers are completed")

    def test_version(self):
        self.assertRegex(self.caisson("--version").out, r"\d+\.\d+\.\d+")
        self.assertRegex(self.json("version")["version"], r"^\d+\.\d+\.\d+")


if __name__ == "__main__":
    harness.main()
