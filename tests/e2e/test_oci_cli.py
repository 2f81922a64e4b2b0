"""The engines' command line as callers of runc and crun know it: flags, sentences, exit statuses,
formats, logs. Most of it needs no container."""

import json
import os
import re
import shutil
import socket
import unittest

import harness
import oci_case

RUNC_COMMANDS = ("create", "delete", "exec", "features", "kill", "list", "pause", "ps", "resume", "run",
                 "spec", "start", "state")


class CliCase(oci_case.OciCase):
    def called(self, name):
        """The program under another name."""
        path = os.path.join(self.dir, name)
        if not os.path.lexists(path):
            os.symlink(harness.CAISSON, path)
        return path

    def by(self, name, *arguments, env=None):
        environment = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
        return harness.run([self.called(name), *arguments], cwd=self.dir, env={**environment, **(env or {})})

    def fails(self, name, arguments, status, text):
        done = self.by(name, "--root", self.state, *arguments)
        self.assert_status(done, status)
        self.assertIn(text, done.err)
        self.assertEqual(done.err.count("\n"), 1, f"one line: {done}")
        return done


class Misuse(CliCase):
    def test_in_runcs_words(self):
        for words, status, text in (
                (["foo"], 3, "No help topic for 'foo'"),
                (["foo", "-h"], 3, "No help topic for 'foo'"),
                (["help", "foo"], 3, "No help topic for 'foo'"),
                (["--foo", "list"], 1, "flag provided but not defined: -foo"),
                (["list", "-xoo"], 1, "flag provided but not defined: -xoo"),
                (["exec", "--foo", "x", "true"], 1, "flag provided but not defined: -foo"),
                (["--log"], 1, "flag needs an argument: -log"),
                (["--debug=maybe", "list"], 1, 'invalid boolean value "maybe" for -debug: parse error'),
                (["state"], 1, '"state" requires exactly 1 argument(s)'),
                (["state", "a", "b"], 1, '"state" requires exactly 1 argument(s)'),
                (["exec"], 1, '"exec" requires a minimum of 1 argument(s)'),
                (["kill"], 1, '"kill" requires'),
                (["list", "x"], 1, '"list" requires exactly 0 argument(s)'),
                (["list", "-f", "yaml"], 1, "invalid format option"),
                (["--log-format", "yaml", "list"], 1, "invalid log-format: yaml"),
                (["--root", "/", "list"], 1, "Option --root argument should not be set to /")):
            with self.subTest(words=words):
                self.fails("caisson-oci", words, status, text)

    def test_shows_the_usage_on_stdout_as_runc(self):
        done = self.by("caisson-oci", "create", "--foo", "x")
        self.assertTrue(done.out.startswith("Incorrect Usage: flag provided but not defined: -foo\n\nNAME:\n"))
        self.assertEqual(self.by("caisson-oci", "nothing").out, "")

    def test_in_crun_words(self):
        for words, status, text in ((["foo"], 1, "unknown command foo"),
                                    (["--foo"], 64, "unrecognized option '--foo'"),
                                    (["list", "--foo"], 64, "unrecognized option '--foo'"),
                                    (["--log"], 64, "option '--log' requires an argument"),
                                    (["state"], 1, "please specify a ID for the container"),
                                    (["list", "x"], 1, "`list` requires a maximum of 0 arguments"),
                                    (["list", "-f", "yaml"], 1, "invalid format `yaml`"),
                                    (["--cgroup-manager", "x", "list"], 1, "unknown cgroup manager specified"),
                                    (["--log-level", "x", "list"], 1, "unknown verbosity `x` specified")):
            with self.subTest(words=words):
                done = self.fails("crun", words, status, text)
                self.assertEqual(done.out, "")

    def test_ids(self):
        for bad, text in (("a/b", "invalid container ID format"), ("..", "invalid container ID format"),
                          ("~a", "invalid container ID format"), ("", "container id cannot be empty")):
            for verb in ("state", "start", "delete", "kill"):
                with self.subTest(bad=bad, verb=verb):
                    self.fails("caisson-oci", [verb, bad], 1, text)


class Tolerance(CliCase):
    def test_go_style_flags(self):
        for words in (["-root", self.state, "list", "-q"], [f"--root={self.state}", "list", "--quiet=true"],
                      [f"-root={self.state}", "list", "-quiet=false", "-f=json"],
                      ["--rootless", "auto", "--root", self.state, "--debug=false", "list"],
                      ["--systemd-cgroup=false", "--root", self.state, "list"],
                      ["--criu", "/usr/sbin/criu", "--root", self.state, "list"],
                      ["--cgroup-manager", "cgroupfs", "--log-level=error", "--root", self.state, "list"]):
            with self.subTest(words=words):
                self.assert_ok(self.by("caisson-oci", *words))

    def test_a_relative_state_directory(self):
        self.assert_ok(self.by("caisson-oci", "--root", "st", "delete", "--force", "x"))
        self.assert_ok(self.by("caisson-oci", "--root", "st", "list"))

    def test_force_forgives_what_is_missing(self):
        self.assert_ok(self.by("caisson-oci", "--root", self.state, "delete", "-f", "nothing"))
        self.assert_ok(self.by("crun", "--root", self.state, "delete", "--regex", "no.*"))


class Missing(CliCase):
    def test_container(self):
        for verb, more, status in (("state", [], 1), ("start", [], 1), ("kill", [], 1), ("delete", [], 1),
                                   ("pause", [], 1), ("resume", [], 1), ("ps", [], 1), ("exec", ["true"], 255)):
            for name in ("caisson-oci", "runc", "crun"):
                with self.subTest(verb=verb, name=name):
                    self.fails(name, [verb, "x", *more], status, "container does not exist")

    def test_bundle(self):
        self.fails("caisson-oci", ["create", "x"], 1, "JSON specification file config.json not found")
        self.fails("caisson-oci", ["run", "-b", "/no/such", "x"], 1, "no such file or directory")
        self.fails("crun", ["run", "-b", "/no/such", "x"], 1, "No such file or directory")

    def test_signal(self):
        self.fails("caisson-oci", ["kill", "x", "FOO"], 1, 'unknown signal "FOO"')


class Help(CliCase):
    def test_overview_and_every_command(self):
        for words in ([], ["-h"], ["--help"], ["help"], ["h"]):
            done = self.by("runc", *words)
            self.assert_ok(done)
            lines = [line for line in done.out.splitlines() if line]
            self.assertEqual(lines[0], "NAME:")
            self.assertIn("runc - Open Container Initiative runtime", lines[1])
        for command in RUNC_COMMANDS:
            for words in ([command, "-h"], [command, "--help"], ["help", command]):
                with self.subTest(words=words):
                    done = self.by("runc", *words)
                    self.assert_ok(done)
                    self.assertIn(f"runc {command}", done.out.splitlines()[1])

    def test_as_crun(self):
        for words in (["--help"], ["-?"], ["--usage"], ["create", "--help"], ["exec", "-?"]):
            with self.subTest(words=words):
                done = self.by("crun", *words)
                self.assert_ok(done)
                self.assertTrue(done.out.startswith("Usage: crun "), done)

    def test_version(self):
        number = r"\d+\.\d+\.\d+"
        for name, first in (("runc", "runc"), ("crun", "crun"), ("caisson-oci", "caisson")):
            done = self.by(name, "--version")
            self.assert_ok(done)
            self.assertRegex(done.out, rf"^{first} version {number}\n")
            self.assertRegex(done.out, r"(?m)^commit: \S+$")
            self.assertRegex(done.out, rf"(?m)^spec: {number}$")
        self.assertRegex(self.by("crun", "-V").out, r"(?m)^rundir: /run/crun$")
        self.assertIn("+SECCOMP", self.by("crun", "-v").out)


class Roots(CliCase):
    def test_default_directory_of_each_name(self):
        runtime = os.path.join(self.dir, "xdg")
        os.mkdir(runtime, 0o700)
        env = {"XDG_RUNTIME_DIR": runtime}
        self.assertIn(f"rundir: {runtime}/crun\n", self.by("crun", "--version", env=env).out)
        self.assert_ok(self.by("crun", "list", env=env))
        self.assertEqual(os.listdir(runtime), ["crun"], "root's runc does not look there")

    @unittest.skipUnless(os.getuid() == 0, "becomes another user")
    def test_a_users_directory_is_not_aged(self):
        argv, env = self.as_user([oci_case.oci_program(), "list"])
        self.assert_ok(harness.run(argv, env=env))
        mode = os.stat(os.path.join(env["XDG_RUNTIME_DIR"], "caisson-oci")).st_mode
        self.assertEqual(oct(mode & 0o7777), "0o1700")


class Lists(CliCase):
    def test_empty(self):
        for name, first in (("runc", "ID          PID         STATUS      BUNDLE      CREATED     OWNER"),
                            ("crun", f"NAME PID       STATUS   {'BUNDLE PATH':39} {'CREATED':30} OWNER")):
            done = self.by(name, "--root", os.path.join(self.dir, "missing"), "list")
            self.assert_ok(done)
            self.assertEqual(done.out, first + "\n")
            self.assertEqual(json.loads(self.by(name, "--root", self.state, "list", "-f", "json").out), [])

    def test_broken_container_is_a_warning_and_files_are_none(self):
        os.makedirs(os.path.join(self.state, "bad"))
        self.addCleanup(shutil.rmtree, self.state)
        with open(os.path.join(self.state, "bad", "state.json"), "w", encoding="utf-8") as file:
            file.write("{")
        with open(os.path.join(self.state, "note"), "w", encoding="utf-8"):
            pass
        done = self.oci("list", "-q")
        self.assert_ok(done)
        self.assertEqual(done.out, "")
        self.assertRegex(done.err, r"^load container bad: [^\n]+\n$")


class Logs(CliCase):
    def log_of(self, *options, name="caisson-oci", arguments=("state", "x")):
        path = os.path.join(self.dir, "log")
        done = self.by(name, "--root", self.state, "--log", path, *options, *arguments)
        self.assertNotEqual(done.status, 0)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        os.unlink(path)
        return done, text

    def test_json_line_with_our_fields(self):
        done, text = self.log_of("--log-format", "json", arguments=("exec", "x", "true"))
        self.assertEqual(text.count("\n"), 1)
        entry = json.loads(text)
        self.assertEqual(list(entry)[:3], ["level", "msg", "time"])
        self.assertEqual(entry["level"], "error")
        self.assertEqual(entry["msg"], 'exec failed: container "x": container does not exist')
        self.assertRegex(entry["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        self.assertEqual((entry["code"], entry["phase"], entry["errno"]), ("container.missing", "exec", "ENOENT"))
        self.assertEqual(done.err, entry["msg"] + "\n", "stderr has the readable text")

    def test_json_goes_to_stderr_without_a_log(self):
        done = self.by("runc", "--root", self.state, "--log-format=json", "state", "x")
        self.assertEqual(json.loads(done.err)["level"], "error")

    def test_text_is_logrus_style(self):
        pattern = r'^time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=error msg="container \\"x\\": container does not exist"\n$'
        self.assertRegex(self.log_of()[1], pattern)
        self.assertRegex(self.by("runc", "--root", self.state, "state", "x").err, pattern)
        self.assertEqual(self.by("crun", "--root", self.state, "state", "x").err,
                         'container "x": container does not exist\n')

    def test_appends_one_line_a_failure(self):
        path = os.path.join(self.dir, "log.json")
        for _ in range(3):
            self.by("caisson-oci", "--log", f"file:{path}", "--log-format", "json", "--root", self.state, "state", "x")
        with open(path, encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["level"] for line in file], ["error"] * 3)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o644)

    def test_log_that_cannot_be_written_fails_nothing(self):
        for target in ("/no/such/dir/log", "journald:x", "syslog:x"):
            self.assert_ok(self.by("caisson-oci", "--log", target, "--root", self.state, "list"))
            done = self.by("caisson-oci", "--log", target, "--root", self.state, "state", "x")
            self.assertIn("does not exist", done.err)

    @unittest.skipUnless(os.getuid() == 0, "makes a mount namespace")
    def test_journal_and_syslog_get_datagrams(self):
        path = os.path.join(self.dir, "socket")
        for target, place, expected in (
                ("journald:web", "/run/systemd/journal/socket", rb'^PRIORITY=3\nMESSAGE=container "x".*\nID=web\nSYSLOG_IDENTIFIER=caisson-oci\n$'),
                ("syslog:web", "/dev/log", rb'^<27>web\[\d+\]: container "x": container does not exist$')):
            with self.subTest(target=target), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
                receiver.bind(path)
                receiver.settimeout(harness.TIMEOUT)
                base = "/run" if place.startswith("/run") else "/dev"
                script = (f'mount -t tmpfs none {base} && mkdir -p "$(dirname {place})" && : > {place} && '
                          f'mount --bind {path} {place} && exec "$@" < /proc/self/fd/0')
                harness.run(["unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh",
                             oci_case.oci_program(), "--root", self.state, "--log", target, "state", "x"])
                self.assertRegex(receiver.recv(4096), expected)
                os.unlink(path)

    def test_debug_lines_go_to_the_log_or_to_stderr(self):
        done, text = self.log_of("--debug")
        self.assertIn("level=debug", text)
        self.assertNotIn("level=debug", done.err)
        self.assertIn("level=debug", self.by("runc", "--debug", "--root", self.state, "list").err)
        entries = [json.loads(line) for line in self.log_of("--debug", "--log-format", "json")[1].splitlines()]
        self.assertEqual([entry["level"] for entry in entries], ["debug", "error"])


class Spec(CliCase):
    def test_writes_a_bundle_that_runs(self):
        bundle = self.bundle()
        os.unlink(os.path.join(bundle, "config.json"))
        self.assert_ok(self.oci("spec", "--bundle", bundle))
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        self.assertEqual(config["process"]["args"], ["sh"])
        self.assertIs(config["process"]["terminal"], True)
        config["process"]["args"] = ["/bin/echo", "hello"]
        self.write_config(bundle, config)
        done = self.oci("run", "--bundle", bundle, self.name)
        self.assert_ok(done)
        self.assertEqual(done.out, "hello\n", "a reader of a pipe gets no carriage returns")
        again = self.oci("spec", "-b", bundle)
        self.assert_status(again, 1)
        self.assertIn("exists", again.err)

    def test_rootless(self):
        self.assert_ok(self.oci("spec", "--rootless", "-b", self.dir))
        with open(os.path.join(self.dir, "config.json"), encoding="utf-8") as file:
            linux = json.load(file)["linux"]
        self.assertIn({"type": "user"}, linux["namespaces"])
        self.assertEqual(linux["uidMappings"], [{"containerID": 0, "hostID": os.getuid(), "size": 1}])


class Features(CliCase):
    def test_has_every_field(self):
        document = json.loads(self.oci("features").out)
        self.assertEqual(document["ociVersionMax"], "1.3.0")
        self.assertEqual(set(document["hooks"]), {"prestart", "createRuntime", "createContainer", "startContainer",
                                                  "poststart", "poststop"})
        for option in ("rro", "ridmap", "idmap", "tmpcopyup", "nosymfollow", "bind"):
            self.assertIn(option, document["mountOptions"])
        linux = document["linux"]
        self.assertLessEqual({"namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intelRdt",
                              "memoryPolicy", "mountExtensions", "netDevices"}, set(linux))
        self.assertLessEqual({"v1", "v2", "systemd", "systemdUser", "rdma"}, set(linux["cgroup"]))
        self.assertLessEqual({"enabled", "actions", "operators", "archs", "knownFlags", "supportedFlags"},
                             set(linux["seccomp"]))
        self.assertIn("org.caisson.root", document["potentiallyUnsafeConfigAnnotations"])
        with open("/proc/sys/kernel/cap_last_cap", encoding="utf-8") as file:
            self.assertEqual(len(linux["capabilities"]), int(file.read()) + 1)


@unittest.skipUnless(os.getuid() == 0, "containers of root")
class States(CliCase):
    """One container through its states, with the sentences that callers match on the way."""

    def refuse(self, words, text, status=1):
        done = self.oci(*words)
        self.assert_status(done, status)
        self.assertIn(text, done.err)
        self.assertEqual(done.err.count("\n"), 1, f"one line: {done}")

    def test_sentences_of_every_state(self):
        name = self.name
        bundle = self.bundle("/bin/sleep", "1000")
        pid_file = os.path.join(self.dir, "pid")
        self.assert_ok(self.create(bundle, "--pid-file", pid_file))
        with open(pid_file, encoding="utf-8") as file:
            self.assertEqual(file.read(), str(self.state_of()["pid"]), "decimal, no newline")
        self.refuse(["create", "--bundle", bundle, name], "container with given ID already exists")
        self.refuse(["resume", name], "container not paused")
        # Frozen before it was started: visible, and curable.
        self.assert_ok(self.oci("pause", name))
        self.assertEqual(self.state_of()["status"], "paused")
        self.refuse(["start", name], "cannot start a container in the paused state")
        self.assert_ok(self.oci("resume", name))
        self.assertEqual(self.state_of()["status"], "created")
        self.assert_ok(self.oci("start", name))
        self.refuse(["start", name], "cannot start an already running container")
        self.refuse(["delete", name], f"cannot delete container {name} that is not stopped: running")
        self.refuse(["exec", name, "nosuch"], 'exec: "nosuch": executable file not found in $PATH', 255)
        self.refuse(["exec", name, "/nosuch"], "no such file or directory", 255)
        self.refuse(["exec", name, "/etc/passwd"], 'exec: "/etc/passwd": permission denied', 255)
        self.refuse(["exec", name], "process args cannot be empty", 255)
        self.refuse(["exec", "--pid-file", "/no/such/x", name, "true"], "no such file or directory", 255)
        self.refuse(["exec", "-d", "-t", name, "true"],
                    "cannot allocate tty if runc will detach without setting console socket", 255)
        self.refuse(["exec", "--console-socket", "/x", name, "true"],
                    "cannot use console socket if runc will not detach or allocate tty", 255)
        self.refuse(["exec", "--env", "A", name, "true"], "invalid environment variable", 255)
        for user in ("1x", "1:", "-1", "1:2:3"):
            self.refuse(["exec", "--user", user, name, "true"], "bad", 255)
        self.refuse(["exec", "--cgroup", "..", name, "true"], "bad sub cgroup path", 255)
        self.refuse(["exec", "--cgroup", "nosuch", name, "true"], " adding pid ", 255)
        self.refuse(["exec", "--cgroup", "whaat:/", name, "true"], "unknown controller", 255)
        self.assert_status(self.oci("exec", name, "sh", "-c", "exit 42"), 42)
        self.assert_status(self.oci("exec", name, "sh", "-c", "kill -9 $$"), oci_case.KILLED)
        self.assert_ok(self.oci("pause", name))
        self.refuse(["exec", name, "true"], "cannot exec in a paused container (use --ignore-paused to override)", 255)
        self.refuse(["pause", name], "container paused")
        self.assert_ok(self.oci("resume", name))
        self.check_ps(name)
        self.assert_ok(self.oci("kill", name, "SIGKILL"))
        self.wait_stopped()
        self.refuse(["kill", name], "container not running")
        self.assert_ok(self.oci("kill", "--all", name))
        self.refuse(["exec", name, "true"], "cannot exec in a stopped container", 255)
        self.refuse(["start", name], "cannot start a container that has stopped")
        self.assertEqual(json.loads(self.oci("ps", "--format", "json", name).out), [])
        self.assertEqual(self.state_of()["pid"], 0)
        self.delete()

    def check_ps(self, name):
        pid = self.state_of()["pid"]
        self.assertEqual(json.loads(self.oci("ps", "-f", "json", name).out), [pid])
        if shutil.which("ps"):
            table = self.oci("ps", name).out.splitlines()
            self.assertRegex(table[0], r"UID +PID +PPID +C +STIME +TTY +TIME +CMD")
            self.assertEqual(len(table), 2)
            self.assertRegex(self.oci("ps", name, "-o", "pid,args").out, rf"(?m)^ *{pid} \S*sleep 1000$")
            self.refuse(["ps", name, "-o", "args"], "couldn't find PID field in ps output")

    def test_by_regex(self):
        bundle = self.bundle("/bin/sleep", "1000")
        for suffix in ("-a1", "-a2", "-b1"):
            self.assert_ok(self.create(bundle, name=self.name + suffix))
        crun = [self.called("crun"), "--root", self.state]
        self.assert_ok(harness.run([*crun, "delete", "--regex", "--force", f"^{self.name}-a[0-9]$"]))
        self.assertEqual(self.oci("list", "-q").out, f"{self.name}-b1\n")
        self.assert_ok(harness.run([*crun, "kill", "-r", f"{self.name}-b", "KILL"]))
        self.wait_stopped(self.name + "-b1")
        done = harness.run([*crun, "delete", "-r", "("])
        self.assert_status(done, 1)
        self.assertIn("invalid regular expression", done.err)
        table = harness.run([*crun, "list"]).out.splitlines()
        self.assertTrue(re.match(rf"{self.name}-b1 0 +stopped ", table[1]), table)
        self.delete(name=self.name + "-b1")

    def test_unknown_capability_is_a_warning(self):
        log = os.path.join(self.dir, "log")
        bundle = self.bundle("/bin/true", changes={"process": {"capabilities": {"bounding": ["CAP_NOPE"]}}})
        self.assert_ok(harness.run([oci_case.oci_program(), "--root", self.state, "--log", log, "run",
                                    "--bundle", bundle, self.name]))
        with open(log, encoding="utf-8") as file:
            self.assertRegex(file.read(), r"level=warning msg=\"[^\n]*CAP_NOPE")

    def test_kill_ends_all_where_init_is_no_namespaces_first(self):
        config = harness.default_config()
        config["linux"]["namespaces"] = [entry for entry in config["linux"]["namespaces"] if entry["type"] != "pid"]
        self.start_new(self.bundle("/bin/sh", "-c", "sleep 1000 & sleep 1001; true", config=config))
        harness.wait_until(lambda: len(json.loads(self.oci("ps", "-f", "json", self.name).out)) == 3, "both sleep")
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.wait_stopped()
        harness.wait_until(lambda: self._reap() or json.loads(self.oci("ps", "-f", "json", self.name).out) == [],
                           "all are gone")
        self.delete()


if __name__ == "__main__":
    harness.main()
