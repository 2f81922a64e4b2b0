"""The options of `caisson run`, one by one."""

import json
import os
import shutil
import subprocess
import sys
import time
import unittest

import harness
from harness import CAISSON

MEMORY_HOG = "b = bytearray(64 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1\nprint('survived')\n"


class RunOptions(harness.TestCase):
    def shell(self, script, *options, **more):
        return self.caisson("run", *options, "--", "sh", "-c", script, **more)

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    # Name, removal.

    def test_name_is_what_the_container_and_its_host_are_called(self):
        done = self.shell("cat /proc/sys/kernel/hostname", "--name", self.name)
        self.assertEqual(done.out, self.name + "\n", str(done))
        self.assertEqual(self.shell("hostname", "--hostname", "elsewhere").out, "elsewhere\n")

    def test_keep_keeps_the_container_until_rm(self):
        self.assert_status(self.shell("exit 3", "--keep", "--name", self.name), 3)
        listed = json.loads(self.caisson("ps", "--all", "--json").out)
        self.assertEqual([(c["id"], c["status"]) for c in listed], [(self.name, "stopped")])
        self.assert_ok(self.caisson("rm", self.name))
        self.assertEqual(self.caisson("ps", "-aq").out, "")

    def test_rm_removes_a_detached_container_at_its_end(self):
        self.assert_ok(self.shell("exit 0", "-d", "--rm", "--name", self.name))
        harness.wait_until(lambda: self.caisson("ps", "-aq").out == "", "a container run with --rm is gone after its end")

    def test_weird_names_are_refused(self):
        for name in ("../x", "a/b", "", ".", "..", "a b", "x" * 256, "ü", "-x", "a\nb", "@failed"):
            with self.subTest(name):
                done = self.shell("true", f"--name={name}")
                if name == "":
                    self.assert_ok(done)
                    continue
                if name == "-x" and done.status == 0:
                    continue
                self.assert_status(done, 125)
                self.assertIn("container", done.err)
                self.assertIn("cure:", done.err, f"a refused name needs a cure: {done}")

    # Environment.

    def test_variables_are_set_from_options_files_and_the_caller(self):
        path = self.file("env", "# a comment\nCT_A=1\n\nCT_B=two words\r\nCT_FROM\nCT_E=a=b\n")
        done = self.shell('echo "$CT_A|$CT_B|$CT_C|$CT_D|$CT_FROM|$CT_E"', "--env-file", path, "-e", "CT_C=3", "-eCT_D", "-e", "CT_A=4",
                          env={"CT_D": "caller's", "CT_FROM": "too"})
        self.assertEqual(done.out, "4|two words|3|caller's|too|a=b\n", str(done))

    def test_a_wrong_line_of_an_environment_file_is_named(self):
        path = self.file("env", "GOOD=1\nnot good=2\n")
        done = self.shell("true", "--env-file", path)
        self.assert_status(done, 125)
        self.assertIn(f"{path}:2", done.err)

    # Mounts.

    def test_a_volume_is_the_real_directory(self):
        folder = os.path.join(self.dir, "real")
        os.mkdir(folder)
        self.assert_ok(self.shell("echo written > /data/file", "-v", f"{folder}:/data"))
        with open(os.path.join(folder, "file"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "written\n")

    def test_a_volume_without_destination_or_relative_is_where_it_is(self):
        folder = os.path.join(self.dir, "real")
        os.mkdir(folder)
        self.assert_ok(self.shell("echo 1 > one", "-v", ".", cwd=folder))
        self.assert_ok(self.shell(f"echo 2 > {folder}/two", "-v", "real", cwd=self.dir))
        self.assertEqual(sorted(os.listdir(folder)), ["one", "two"])

    def test_a_read_only_volume_is_not_written(self):
        folder = os.path.join(self.dir, "real")
        os.mkdir(folder)
        for option in (f"{folder}:/data:ro", f"{folder}:ro"):
            place = "/data" if "data" in option else folder
            done = self.shell(f"echo x > {place}/file", "-v", option)
            self.assertNotEqual(done.status, 0)
            self.assertIn("Read-only file system", done.err)
        self.assertEqual(os.listdir(folder), [])

    def test_a_single_file_can_be_a_volume(self):
        path = self.file("file", "before\n")
        self.assert_ok(self.shell("cat /etc/hostname; echo after > /etc/hostname", "-v", f"{path}:/etc/hostname"))
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "after\n")

    def test_tmpfs_is_empty_and_has_its_size(self):
        done = self.shell("ls -A /usr/share; df -k /usr/share | tail -n 1; echo x > /usr/share/x", "--tmpfs", "/usr/share:size=4m")
        self.assert_ok(done)
        self.assertEqual(done.out.split()[:2], ["tmpfs", "4096"], str(done))

    def test_read_only_root(self):
        done = self.shell("touch /x || touch /usr/x || touch ./x || echo none; touch /tmp/x && echo tmp", "--read-only", cwd=self.dir)
        self.assertEqual(done.out, "none\ntmp\n", f"--read-only must leave /tmp alone writable: {done}")

    def test_rootfs_is_the_root(self):
        rootfs = self.busybox_rootfs()
        done = self.shell("pwd; ls /; id -u; echo $HOME; echo x > /written", "--rootfs", rootfs)
        self.assert_ok(done)
        self.assertEqual(done.out.split()[0], "/")
        self.assertIn("bin", done.out.split())
        self.assertNotIn("home", done.out.split())
        self.assertTrue(os.path.exists(os.path.join(rootfs, "written")), "--rootfs is used as it is, not copied")

    def test_workdir(self):
        self.assertEqual(self.shell("pwd", "-w", "/usr/bin").out, "/usr/bin\n")
        os.mkdir(os.path.join(self.dir, "sub"))
        self.assertEqual(self.shell("pwd", "-w", "sub", cwd=self.dir).out, f"{self.dir}/sub\n")

    # Who.

    def test_user_by_number_and_by_name(self):
        self.assertEqual(self.shell("id -u; id -g; id -G", "-u", "1234:2345", "-w", "/").out, "1234\n2345\n2345\n")
        done = self.shell("id -un; echo $HOME", "-u", "nobody", "-w", "/")
        self.assertEqual(done.out, "nobody\n/nonexistent\n", str(done))
        done = self.shell("true", "-u", "no-such-user")
        self.assert_status(done, 125)
        self.assertIn("no-such-user", done.err)

    def capabilities(self, *options):
        done = self.shell("cat /proc/self/status", *options)
        self.assert_ok(done)
        return {line.split()[0]: int(line.split()[1], 16) for line in done.out.splitlines() if line.startswith("Cap")}

    def test_capabilities_are_few_and_can_be_added_and_dropped(self):
        net_admin, chown, sys_admin = 1 << 12, 1 << 0, 1 << 21
        usual = self.capabilities()
        self.assertEqual(usual["CapEff:"] & (net_admin | sys_admin), 0, "dangerous capabilities are not given unasked")
        self.assertNotEqual(usual["CapEff:"] & chown, 0)
        self.assertNotEqual(self.capabilities("--cap-add", "net_admin")["CapEff:"] & net_admin, 0)
        self.assertEqual(self.capabilities("--cap-drop", "CAP_CHOWN")["CapBnd:"] & chown, 0)
        self.assertEqual(self.capabilities("--cap-drop", "ALL")["CapEff:"], 0)
        self.assertEqual(self.capabilities("--cap-drop", "ALL", "--cap-add", "chown")["CapEff:"], chown)

    def test_all_capabilities_are_those_that_the_caller_has(self):
        with open("/proc/self/status", encoding="utf-8") as file:
            own = int(next(line for line in file if line.startswith("CapPrm")).split()[1], 16)
        self.assertEqual(self.capabilities("--cap-add", "ALL")["CapEff:"], own)

    def test_set_user_id_programs_gain_nothing_unless_asked(self):
        self.assertEqual(self.shell("grep NoNewPrivs /proc/self/status").out.split()[1], "1")
        self.assertEqual(self.shell("grep NoNewPrivs /proc/self/status", "--new-privileges").out.split()[1], "0")

    # Network.

    def test_network_none_and_host(self):
        own = os.readlink("/proc/self/ns/net")
        self.assertNotEqual(self.shell("readlink /proc/self/ns/net", "--network", "none").out, own + "\n")
        self.assertEqual(self.shell("readlink /proc/self/ns/net", "--network", "host").out, own + "\n")

    def test_loopback_works_without_a_network(self):
        script = ("import socket\ns = socket.create_server(('127.0.0.1', 0))\n"
                  "c = socket.create_connection(s.getsockname())\nc.send(b'x')\nprint(s.accept()[0].recv(1))\n")
        done = self.caisson("run", "--", sys.executable, "-c", script)
        self.assertEqual(done.out, "b'x'\n", str(done))

    # Limits.

    def test_memory_is_enforced_and_named(self):
        done = self.caisson("run", "--keep", "--name", self.name, "--memory", "32m", "--", sys.executable, "-c", MEMORY_HOG)
        self.assert_status(done, 137)
        self.assertNotIn("survived", done.out)
        why = self.caisson("why", self.name)
        self.assert_ok(why)
        self.assertIn("memory", why.out, f"why must name the want of memory: {why}")
        self.assertIn("--memory", why.out, f"why must name the cure: {why}")
        self.assertTrue(json.loads(self.caisson("inspect", self.name).out)[0]["exit"]["oom"])
        self.assert_ok(self.caisson("rm", self.name))
        self.assertEqual(self.caisson("run", "--memory", "512m", "--", sys.executable, "-c", MEMORY_HOG).out, "survived\n")

    def test_memory_that_no_program_can_start_in_is_refused(self):
        for size in ("1", "64k", "511k"):
            done = self.shell("true", "--memory", size)
            self.assert_status(done, 125)
            self.assertIn(f"--memory {size}", done.err)
            self.assertIn("512k", done.err)
        self.assert_ok(self.shell("true", "--memory", "1m"))

    def test_pids_are_enforced(self):
        script = ("import os, sys, time\nn = 0\ntry:\n for _ in range(30):\n  if os.fork() == 0: time.sleep(20); os._exit(0)\n"
                  "  n += 1\nexcept BlockingIOError: pass\nprint(n)\n")
        done = self.caisson("run", "--pids", "10", "--", sys.executable, "-c", script)
        self.assertEqual(done.out, "9\n", f"--pids 10 means ten processes, the first one included: {done}")

    def test_cpus_are_enforced(self):
        script = ("import time\nbegin = time.monotonic()\nwhile time.process_time() < 0.2: pass\n"
                  "print(time.monotonic() - begin)\n")
        done = self.caisson("run", "--cpus", "0.2", "--", sys.executable, "-c", script)
        self.assert_ok(done)
        self.assertGreater(float(done.out), 0.6, "0.2 s of CPU time take a second at --cpus 0.2")

    def test_wrong_values_are_refused_by_name(self):
        for words, text in ((["--memory", "lots"], "--memory lots"), (["--cpus", "0"], "--cpus 0"), (["--pids", "0"], "--pids 0"),
                            (["--network", "bridge"], "--network bridge"), (["--cap-add", "net_admim"], "did you mean CAP_NET_ADMIN?"),
                            (["--tmpfs", "relative"], "--tmpfs relative"), (["-v", ":x"], "--volume :x"),
                            (["-v", "/usr:relative/y"], "--volume /usr:relative/y"), (["-e", "=x"], "--env =x"),
                            (["--log-limit", "1"], "--log-limit 1"), (["--rm", "--keep"], "--rm and --keep")):
            with self.subTest(text):
                done = self.caisson("run", *words, "--", "true")
                self.assert_status(done, 125)
                self.assertIn(text, done.err)
                self.assertLessEqual(done.err.count("\n"), 3)

    # The timeline.

    def test_timeline_shows_every_step_and_writes_a_trace(self):
        done = self.caisson("run", "--timeline", "--", "true")
        self.assert_ok(done)
        for step in ("plan", "mounts", "pivot"):
            self.assertIn(step, done.err, f"--timeline must name the steps of a start: {done}")
        path = os.path.join(self.dir, "trace.json")
        self.assert_ok(self.caisson("run", f"--timeline={path}", "--", "true"))
        with open(path, encoding="utf-8") as file:
            trace = json.load(file)
        events = trace if isinstance(trace, list) else trace["traceEvents"]
        self.assertGreater(len(events), 10)
        self.assertTrue(all(event["ph"] == "X" and event["dur"] >= 0 for event in events if event["ph"] != "M"), events)

    def timed_from_outside(self, argv):
        """(milliseconds on the wall, milliseconds within steps, steps) of a run that writes its timeline."""
        path = os.path.join(self.dir, "trace.json")
        begin = time.monotonic()
        pid = os.posix_spawn(argv[0], argv, os.environ)
        _, status = os.waitpid(pid, 0)
        wall = (time.monotonic() - begin) * 1e3
        self.assertEqual(status, 0)
        with open(path, encoding="utf-8") as file:
            steps = [event for event in json.load(file)["traceEvents"] if event["ph"] == "X"]
        covered, until = 0, 0
        for step in sorted(steps, key=lambda step: step["ts"]):
            end = step["ts"] + step["dur"]
            covered += max(end - max(step["ts"], until), 0)
            until = max(until, end)
        return wall, covered / 1e3, {step["name"] for step in steps}

    def check_timeline_covers(self, argv):
        """At least 95 % of what a clock outside sees, the kernel's end of the process included, which nobody can
        time from inside: the best of some tries, as the machine may have other things to do in between."""
        tries = []
        for _ in range(20):
            wall, covered, steps = self.timed_from_outside(argv)
            self.assertLessEqual(covered, wall + 11, "more than there was: one tick may be mistaken")
            self.assertLessEqual({"before-main", "command", "program", "clean-up"}, steps)
            tries.append((round(covered / wall, 3), wall, covered))
            if covered >= 0.95 * wall:
                return
        self.fail(f"the steps leave too much out: {sorted(tries)}")

    @unittest.skipIf(harness.SANITIZED, "the sanitizer's own end of a process takes longer than a start")
    def test_timeline_accounts_for_the_time_from_exec_to_exit(self):
        trace = f"--timeline={os.path.join(self.dir, 'trace.json')}"
        self.check_timeline_covers([CAISSON, "--root", self.state, "run", trace, "--", "sleep", "0.02"])

    def test_timeline_of_a_process_that_was_another_program_begins_at_main(self):
        """The shell's life before it became caisson is no part of it."""
        path = os.path.join(self.dir, "trace.json")
        script = 'sleep 0.2; exec "$0" --root "$1" run --timeline="$2" -- true'
        self.assert_ok(harness.run(["sh", "-c", script, CAISSON, self.state, path]))
        with open(path, encoding="utf-8") as file:
            names = {event["name"] for event in json.load(file)["traceEvents"]}
        self.assertIn("command", names)
        self.assertNotIn("before-main", names)

    # Words.

    def test_words_after_the_command_are_the_command_s(self):
        self.assertEqual(self.caisson("run", "echo", "--name", "-t", "--", "x").out, "--name -t -- x\n")
        self.assertEqual(self.caisson("run", "--", "printf", "%s\\n", "--help").out, "--help\n")
        self.assertEqual(self.caisson("run", "-eX=1", "--", "--", "x").status, 127)

    def test_an_unknown_option_gets_a_suggestion(self):
        done = self.caisson("run", "--memroy", "64m", "--", "true")
        self.assert_status(done, 125)
        self.assertEqual(done.err, 'caisson run: unknown option --memroy\n  cure: did you mean --memory? see "caisson run --help"\n')
        done = self.caisson("runn")
        self.assertEqual(done.err, 'caisson: unknown command "runn"\n  cure: did you mean "run"? see "caisson help"\n')
        self.assertNotEqual(done.status, 0)


if __name__ == "__main__":
    harness.main()
