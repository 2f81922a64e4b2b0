"""caisson-oci as engines call it: the life cycle of the runtime specification, its errors, hooks,
terminals and files."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import termios
import time

import harness
from oci_case import OciCase, hook, oci_program

SLEEP = ("/bin/sleep", "1000")


class LifeCycle(OciCase):
    def assert_refused(self, done, text, status=1):
        self.assert_status(done, status)
        self.assertIn(text, done.err)

    # The life of a container.

    def test_a_container_that_waits_for_its_start_ends_by_a_signal(self):
        self.assert_ok(self.create(self.bundle("/bin/sleep", "1000")))
        self.assert_ok(self.oci("kill", self.name, "TERM"))
        self.wait_stopped()
        self.delete()

    def test_from_create_to_delete(self):
        bundle = self.bundle("/bin/sh", "-c", "echo started; exec sleep 1000",
                             changes={"annotations": {"org.example.key": "value"}})
        pid_file = os.path.join(self.dir, "pid")
        self.assert_ok(self.create(bundle, "--pid-file", pid_file))
        state = self.state_of()
        with open(pid_file, encoding="ascii") as file:
            self.assertEqual(file.read(), str(state["pid"]))
        self.assertEqual((state["id"], state["status"], state["bundle"]), (self.name, "created", bundle))
        self.assertEqual(state["rootfs"], os.path.join(bundle, "rootfs"))
        self.assertEqual(state["annotations"], {"org.example.key": "value"})
        self.assertEqual(self.kept_output(), "")
        self.assert_ok(self.oci("start", self.name))
        self.assertEqual(self.state_of()["status"], "running")
        harness.wait_until(lambda: self.kept_output() == "started\n", "the program runs")
        self.assert_refused(self.oci("delete", self.name),
                            f"cannot delete container {self.name} that is not stopped: running")
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.wait_stopped()
        self.assertEqual(self.state_of()["pid"], 0)
        self.delete()
        self.assert_refused(self.oci("state", self.name), "does not exist")

    def test_a_config_changed_after_create_does_not_matter(self):
        bundle = self.bundle("/bin/sh", "-c", "echo first; sleep 1000")
        self.assert_ok(self.create(bundle))
        self.write_config(bundle, harness.default_config(process={"args": ["/bin/false"], "cwd": "/"}))
        self.assert_ok(self.oci("start", self.name))
        harness.wait_until(lambda: self.kept_output() == "first\n", "the program runs")
        os.remove(os.path.join(bundle, "config.json"))
        self.assertEqual(self.oci("exec", self.name, "echo", "yes").out, "yes\n")
        self.delete("--force")

    def test_operations_that_do_not_fit_the_status_are_refused(self):
        bundle = self.bundle(*SLEEP)
        for verb in ("state", "start", "kill", "delete", "pause", "resume", "ps"):
            self.assert_refused(self.oci(verb, self.name), "container does not exist")
            self.assertNotEqual(self.oci(verb).status, 0)
        self.assert_ok(self.oci("delete", "--force", self.name))
        self.assert_refused(self.create(bundle, name="a/b"), "invalid container ID format")
        self.assert_ok(self.create(bundle))
        self.assert_refused(self.create(bundle), "container with given ID already exists")
        self.assert_ok(self.oci("start", self.name))
        self.assert_refused(self.oci("start", self.name), "cannot start an already running container")
        self.assert_refused(self.oci("resume", self.name), "container not paused")
        self.assert_ok(self.oci("pause", self.name))
        self.assertEqual(self.state_of()["status"], "paused")
        self.assert_refused(self.oci("pause", self.name), "container paused")
        self.assert_refused(self.oci("exec", self.name, "true"),
                            "cannot exec in a paused container (use --ignore-paused to override)", 255)
        self.assert_ok(self.oci("resume", self.name))
        self.assert_ok(self.oci("kill", self.name, "9"))
        self.wait_stopped()
        self.assert_refused(self.oci("kill", self.name), "container not running")
        self.assert_ok(self.oci("kill", "--all", self.name, "KILL"))
        self.assert_refused(self.oci("start", self.name), "cannot start a container that has stopped")
        self.assert_refused(self.oci("exec", self.name, "true"), "cannot exec in a stopped container", 255)
        self.assert_refused(self.oci("pause", self.name), "container not running")
        self.delete()

    def test_a_bad_bundle_leaves_nothing(self):
        bundle = self.bundle(*SLEEP)
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            good = json.load(file)
        bad = [({"ociVersion": None}, "ociVersion"), ({"root": {"path": "missing"}}, "root.path"),
               ({"process": {"args": []}}, "process.args"), ({"process": {"cwd": "x"}}, "process.cwd"),
               ({"process": {"args": ["/missing"]}}, "/missing"), ({"process": {"args": ["missing"]}}, "missing"),
               ({"linux": {"namespaces": [{"type": "uts"}, {"type": "pid"}, {"type": "pid"}]}}, "pid"),
               ({"linux": {"namespaces": [{"type": "uts"}, {"type": "pid", "path": "/proc/self/ns/net"}]}}, "namespaces"),
               ({"linux": {"namespaces": [{"type": "uts"}, {"type": "pid", "path": "relative"}]}}, "namespaces"),
               ({"mounts": [{"destination": "/x", "source": "/missing-source", "options": ["bind"]}]},
                "/missing-source"),
               ({"mounts": [{"destination": "/x", "type": "nosuchfs", "source": "x"}]}, "nosuchfs"),
               ({"process": {"rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]}}, "RLIMIT_X"),
               ({"linux": {"sysctl": {"kernel.panic": "1"}}}, "kernel.panic"),
               ({"hooks": {"createRuntime": [{"path": "/bin/false"}]}}, "createRuntime")]
        for changes, word in bad:
            with self.subTest(changes=changes):
                config = harness.deep_update(json.loads(json.dumps(good)), changes)
                self.write_config(bundle, config)
                done = self.create(bundle)
                self.assertEqual(done.status, 1, str(done))
                self.assertIn(word, done.err)
                self.assert_no_leaks()
        os.remove(os.path.join(bundle, "config.json"))
        self.assert_refused(self.create(bundle), "config.json")
        self.assert_no_leaks()

    def test_unknown_properties_are_ignored(self):
        self.assert_ok(self.run_in("true", {"unknown": {"a": [1]}, "process": {"unknown": 1},
                                            "linux": {"unknown": None, "resources": {"unknown": {}}}}))

    def test_run_gives_the_status_of_the_program(self):
        self.assert_status(self.run_in("exit 3"), 3)
        self.assert_status(self.run_in("exec busybox sh -c 'busybox sleep 100 & kill -9 $!; wait $!'"), 137)
        done = self.run_in("cat; echo err >&2", input="through\n")
        self.assertEqual((done.out, done.err), ("through\n", "err\n"))

    def test_run_keeps_what_it_is_asked_to_keep(self):
        bundle = self.bundle("/bin/true")
        self.assert_ok(self.oci("run", "--keep", "--bundle", bundle, self.name))
        self.assertEqual(self.state_of()["status"], "stopped")
        self.delete()
        bundle = self.bundle(*SLEEP)
        self.assert_ok(self.kept_oci("run", "--detach", "--bundle", bundle, self.name))
        self.assertEqual(self.state_of()["status"], "running")
        self.delete("--force")

    def test_kill_sends_the_signal_asked_for(self):
        script = "for s in HUP USR1 TERM; do trap \"echo $s\" $s; done; echo ready; while :; do sleep 0.02; done"
        self.start_new(self.bundle("/bin/sh", "-c", script))
        expected = "ready\n"
        for given, name in (("HUP", "HUP"), ("SIGUSR1", "USR1"), ("sigterm", "TERM"), ("1", "HUP"), (None, "TERM")):
            harness.wait_until(lambda text=expected: self.kept_output() == text, f"{expected!r} is written")
            self.assert_ok(self.oci("kill", self.name, *([given] if given else [])))
            expected += name + "\n"
        harness.wait_until(lambda: self.kept_output() == expected, f"{expected!r} is written")
        self.assertNotEqual(self.oci("kill", self.name, "NOSUCH").status, 0)
        self.delete("--force")

    def test_kill_all_reaches_processes_without_a_pid_namespace(self):
        namespaces = [{"type": kind} for kind in ("mount", "ipc", "uts", "network", "cgroup")]
        self.start_new(self.bundle("/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait",
                                   changes={"linux": {"namespaces": namespaces}}))
        harness.wait_until(lambda: len(json.loads(self.oci("ps", "-f", "json", self.name).out)) == 3, "3 run")
        self.assert_ok(self.oci("kill", "--all", self.name, "KILL"))
        self.wait_stopped()
        self.assert_ok(self.kept_oci("delete", self.name))

    def test_delete_ends_what_init_left_behind(self):
        namespaces = [{"type": kind} for kind in ("mount", "ipc", "uts", "network")]
        self.start_new(self.bundle("/bin/sh", "-c", "sleep 1000 & exit 0",
                                   changes={"linux": {"namespaces": namespaces}}))
        self.wait_stopped()
        self.assert_ok(self.kept_oci("delete", self.name))

    def test_list_ps_features_spec_version(self):
        self.assertEqual(json.loads(self.oci("list", "--format", "json").out), [])
        names = [f"{self.name}-{letter}" for letter in "ab"]
        bundle = self.bundle(*SLEEP)
        for name in names:
            self.assert_ok(self.create(bundle, name=name))
        self.assertEqual(self.oci("list", "-q").out.split(), names)
        table = self.oci("list").out.splitlines()
        self.assertEqual(table[0].split(), ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"])
        self.assertEqual(table[1].split()[0], names[0])
        entries = json.loads(self.oci("list", "-f", "json").out)
        self.assertEqual([(entry["id"], entry["status"], entry["owner"]) for entry in entries],
                         [(name, "created", "root") for name in names])
        self.assert_ok(self.oci("start", names[0]))
        pid = self.state_of(names[0])["pid"]
        self.assertEqual(json.loads(self.oci("ps", "--format", "json", names[0]).out), [pid])
        for name in names:
            self.delete("--force", name=name)
        features = json.loads(self.oci("features").out)
        self.assertEqual(len(features["hooks"]), 6)
        self.assertIn("rro", features["mountOptions"])
        self.assertIn("time", features["linux"]["namespaces"])
        version = self.oci("--version").out.splitlines()
        self.assertRegex(version[0], r"^\S+ version \d")
        self.assertTrue(any(line.startswith("spec: 1.") for line in version), version)

    def test_the_written_spec_runs(self):
        bundle = os.path.join(self.dir, "spec")
        self.busybox_rootfs(os.path.join(bundle, "rootfs"))
        self.assert_ok(self.oci("spec", "--bundle", bundle))
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        self.assertTrue(config["process"]["terminal"])
        self.assertNotEqual(self.oci("spec", "--bundle", bundle).status, 0)  # never overwritten
        config["process"].update(terminal=False, args=["sh", "-c", "echo ok $(hostname)"])
        self.write_config(bundle, config)
        self.assertEqual(self.oci("run", "--bundle", bundle, self.name).out, f"ok {config['hostname']}\n")

    def test_errors_are_logged_as_engines_read_them(self):
        log = os.path.join(self.dir, "log.json")
        bundle = self.bundle("/missing-program")
        done = self.kept_oci("--log", log, "--log-format", "json", "create", "--bundle", bundle, self.name)
        self.assert_status(done, 1)
        with open(log, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(len(lines), 1)
        entry = json.loads(lines[0])
        self.assertEqual(entry["level"], "error")
        self.assertIn("/missing-program", entry["msg"])
        self.assertIn("no such file or directory", entry["msg"])
        self.assertRegex(entry["time"], r"^\d{4}-\d\d-\d\dT")

    def test_missing_programs_are_named_as_engines_expect(self):
        done = self.create(self.bundle("missing-program"))
        self.assert_refused(done, 'exec: "missing-program": executable file not found in $PATH')
        self.assertIn("runc create failed: unable to start container process: ", done.err)
        done = self.create(self.bundle("/etc/passwd"))
        self.assert_refused(done, "permission denied")

    # Hooks.

    def note_hook(self, name, **more):
        """A hook that notes its name, its namespaces and the state it gets."""
        path = os.path.join(self.dir, "notes")
        script = (f'state=$(cat); echo "{name} $(readlink /proc/self/ns/mnt) $(readlink /proc/self/ns/uts) '
                  f'$state" >> {path}')
        return hook(script, **more)

    def notes(self):
        with open(os.path.join(self.dir, "notes"), encoding="utf-8") as file:
            lines = [line.split(" ", 3) for line in file.read().splitlines()]
        return [(name, mnt, uts, json.loads(state)) for name, mnt, uts, state in lines]

    def test_hooks_run_in_order_in_their_namespaces_and_get_the_state(self):
        names = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
        hooks = {name: [self.note_hook(name + "1"), self.note_hook(name + "2")] for name in names}
        inside = "cat > /tmp/inside"
        hooks["startContainer"] = [hook(inside)]
        bundle = self.bundle("/bin/sh", "-c", "cat /tmp/inside; exec sleep 1000",
                             changes={"hooks": hooks, "annotations": {"a": "b"}, "root": {"readonly": False}})
        self.assert_ok(self.create(bundle))
        pid = self.state_of()["pid"]
        container_uts = os.readlink(f"/proc/{pid}/ns/uts")
        notes = self.notes()
        self.assertEqual([note[0] for note in notes],
                         [name + number for name in names[:3] for number in "12"])
        own = (os.readlink("/proc/self/ns/mnt"), os.readlink("/proc/self/ns/uts"))
        for name, mnt, uts, state in notes:
            if name.startswith("createContainer"):
                self.assertNotEqual(mnt, own[0])
                self.assertEqual(uts, container_uts)
            else:
                self.assertEqual((mnt, uts), own, name)
            self.assertEqual((state["id"], state["pid"], state["bundle"], state["annotations"]),
                             (self.name, pid, bundle, {"a": "b"}))
            self.assertEqual(state["status"], "creating")
        self.assert_ok(self.oci("start", self.name))
        harness.wait_until(lambda: self.kept_output().endswith("}"), "startContainer ran")
        inside = json.loads(self.kept_output())
        self.assertEqual((inside["id"], inside["status"]), (self.name, "created"))
        self.assertEqual([note[0] for note in self.notes()[6:]], ["poststart1", "poststart2"])
        self.assertEqual(self.notes()[6][3]["status"], "running")
        self.delete("--force")
        self.assertEqual([(note[0], note[3]["status"], note[3].get("pid", 0)) for note in self.notes()[8:]],
                         [("poststop1", "stopped", 0), ("poststop2", "stopped", 0)])

    def test_a_failing_hook_of_create_undoes_it_and_runs_poststop(self):
        for name in ("prestart", "createRuntime", "createContainer"):
            with self.subTest(name):
                notes = os.path.join(self.dir, "notes")
                if os.path.exists(notes):
                    os.remove(notes)
                bundle = self.bundle(*SLEEP, changes={"hooks": {
                    name: [hook("echo why >&2; exit 3"), self.note_hook("never")],
                    "poststop": [self.note_hook("poststop")]}})
                done = self.create(bundle)
                self.assert_status(done, 1)
                self.assertIn(f"error running {name} hook #0", done.err)
                self.assertIn("exit status 3", done.err)
                self.assertIn("why", done.err)
                self.assertEqual([note[0] for note in self.notes()], ["poststop"])
                self.assert_no_leaks()

    def test_a_failing_start_container_hook_fails_the_start(self):
        bundle = self.bundle(*SLEEP, changes={"hooks": {"startContainer": [hook("exit 4")]}})
        self.assert_ok(self.create(bundle))
        done = self.oci("start", self.name)
        self.assert_status(done, 1)
        self.assertIn("startContainer", done.err)
        self.wait_stopped()
        self.delete()

    def test_a_failing_poststart_hook_stops_the_container(self):
        bundle = self.bundle(*SLEEP, changes={"hooks": {"poststart": [hook("exit 5")]}})
        self.assert_ok(self.create(bundle))
        done = self.oci("start", self.name)
        self.assert_status(done, 1)
        self.assertIn("error running poststart hook #0", done.err)
        self.wait_stopped()
        self.delete()

    def test_a_failing_poststop_hook_fails_nothing(self):
        bundle = self.bundle(*SLEEP, changes={"hooks": {"poststop": [hook("exit 6"), self.note_hook("second")]}})
        self.assert_ok(self.create(bundle))
        self.delete()
        self.assertEqual([note[0] for note in self.notes()], ["second"])

    def test_a_hook_s_timeout_ends_it(self):
        bundle = self.bundle(*SLEEP, changes={"hooks": {"createRuntime": [hook("sleep 1000", timeout=1)]}})
        begin = time.monotonic()
        done = self.create(bundle)
        self.assert_status(done, 1)
        self.assertIn("timeout of 1 s", done.err)
        self.assertLess(time.monotonic() - begin, 20)

    def test_a_hook_that_does_not_read_its_input_is_fine(self):
        annotations = {f"key{i}": "x" * 1000 for i in range(200)}
        self.assert_ok(self.run_in("true", {"annotations": annotations, "hooks": {
            "createRuntime": [hook("exit 0")], "poststop": [hook("exec <&-; exit 0")]}}))

    # Terminals and descriptors.

    def terminal_bundle(self, script, **more):
        return self.bundle("/bin/sh", "-c", script, changes={"process": {"terminal": True, **more}})

    def read_terminal(self, master, end):
        """What comes out of a terminal until `end` is in it."""
        text = b""
        deadline = time.monotonic() + harness.TIMEOUT
        while end.encode() not in text and time.monotonic() < deadline:
            try:
                text += os.read(master, 4096)
            except OSError:
                break
        return text.decode(errors="replace")

    def test_nobody_waits_for_ever_at_a_console_socket_with_a_full_queue(self):
        path = os.path.join(self.dir, "full.sock")
        with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as waiting:
            listener.bind(path)
            listener.listen(0)
            with self.assertRaises(BlockingIOError):
                while True:
                    client = waiting.enter_context(socket.socket(socket.AF_UNIX))
                    client.setblocking(False)
                    client.connect(path)
            done = self.create(self.terminal_bundle("true"), "--console-socket", path)
            self.assert_refused(done, f"connect to the console socket {path}: connection timed out")

    def test_a_terminal_goes_to_the_console_socket(self):
        script = "tty; stty size; test -c /dev/console && echo console > /dev/console; read x; echo got:$x; sleep 1000"
        bundle = self.terminal_bundle(script, consoleSize={"height": 33, "width": 77})
        with self.console_socket() as (path, receive):
            self.assert_ok(self.create(bundle, "--console-socket", path))
            name, fds = receive()
            self.assertEqual((name, len(fds)), ("/dev/ptmx", 1))
            master, = fds
            self.assert_ok(self.oci("start", self.name))
            text = self.read_terminal(master, "console")
            self.assertIn("/dev/pts/0", text)
            self.assertIn("33 77", text)
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 20, 0, 0))
            os.write(master, b"hello\n")
            self.assertIn("got:hello", self.read_terminal(master, "got:hello"))
            self.assertIn("10 20", self.oci("exec", self.name, "stty", "-F", "/dev/console", "size").out)
            pid = self.state_of()["pid"]
            self.assertEqual([os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)], ["/dev/pts/0"] * 3)
            self.delete("--force")

    def test_a_terminal_without_a_socket_is_refused_and_a_socket_without_a_terminal_too(self):
        self.assert_refused(self.create(self.terminal_bundle("true")),
                            "cannot allocate tty if runc will detach without setting console socket")
        with self.console_socket() as (path, _):
            self.assert_refused(self.create(self.bundle(*SLEEP), "--console-socket", path),
                                "cannot use console socket if runc will not detach or allocate tty")

    def test_only_the_standard_descriptors_are_open_inside(self):
        leak = os.open("/etc/passwd", os.O_RDONLY)
        self.addCleanup(os.close, leak)
        os.set_inheritable(leak, True)
        bundle = self.bundle("/bin/ls", "/proc/self/fd")
        done = self.oci("run", "--bundle", bundle, self.name, close_fds=False)
        self.assertEqual(done.out.split(), ["0", "1", "2", "3"], str(done))  # 3: the directory that ls reads
        self.start_new(self.bundle(*SLEEP), close_fds=False)
        pid = self.state_of()["pid"]
        harness.wait_until(lambda: os.readlink(f"/proc/{pid}/exe").endswith("busybox"), "it runs")
        self.assertEqual(sorted(os.listdir(f"/proc/{pid}/fd")), ["0", "1", "2"])
        done = self.oci("exec", self.name, "ls", "/proc/self/fd", close_fds=False)
        self.assertEqual(done.out.split(), ["0", "1", "2", "3"], str(done))
        self.delete("--force")

    def test_preserved_descriptors_arrive_and_others_do_not(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        bundle = self.bundle("/bin/sh", "-c", "ls /proc/self/fd; echo through >&4")
        wrapper = f"exec 3</etc/passwd 4>&{writer} 5</etc/group; exec \"$@\""
        done = harness.run(["bash", "-c", wrapper, "bash", oci_program(), "--root", self.state, "run",
                            "--bundle", bundle, "--preserve-fds", "2", self.name], pass_fds=[writer])
        os.close(writer)
        self.assert_ok(done)
        self.assertEqual(done.out.split(), ["0", "1", "2", "3", "4", "5"])  # 5: the directory
        self.assertEqual(os.read(reader, 100), b"through\n")

    def test_sockets_of_an_activation_are_passed_on(self):
        bundle = self.bundle("/bin/sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; ls /proc/self/fd")
        done = harness.run(["bash", "-c", 'exec 3</etc/passwd; exec "$@"', "bash", oci_program(), "--root",
                            self.state, "run", "--bundle", bundle, self.name],
                           env={**os.environ, "LISTEN_FDS": "1"})
        self.assertEqual(done.out.split(), ["1", "1", "0", "1", "2", "3", "4"], str(done))

    def test_create_returns_its_caller_s_child(self):
        """Engines' monitors are subreapers: init must become their child when create ends."""
        self.start_new(self.bundle("/bin/sh", "-c", "exit 23"))
        pid = self.state_of()["pid"] or None
        deadline = time.monotonic() + 10
        while pid is None or time.monotonic() < deadline:
            ended, status = os.waitpid(-1, 0)
            if pid is None or ended == pid:
                self.assertEqual(os.waitstatus_to_exitcode(status), 23)
                break
        self.delete()

    def test_a_foreground_run_passes_signals_on(self):
        bundle = self.bundle("/bin/sh", "-c", 'trap "exit 9" INT; echo ready; while :; do sleep 0.02; done')
        process = subprocess.Popen([oci_program(), "--root", self.state, "run", "--bundle", bundle, self.name],
                                   stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        self._background.add(process.pid)
        with process.stdout:
            self.assertEqual(process.stdout.readline(), "ready\n")
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(harness.TIMEOUT), 9)
        self._background.discard(process.pid)


if __name__ == "__main__":
    harness.main()
