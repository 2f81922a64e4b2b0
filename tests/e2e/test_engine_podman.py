# ctest: TIMEOUT 180
"""Podman on caisson-oci: as root, and as an ordinary user with subordinate ids."""

import json
import os
import shutil
import subprocess
import time
import unittest

import harness
from engine_case import EngineCase, runtime

NAME = os.path.basename(runtime())
USER = 61235  # has an entry in passwd and subordinate ids in a private view of /etc
DROP_IN = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "../../packaging/containers.conf.d/50-caisson.conf")

# What the tests add to the drop-in: nothing outside the folders of the test, no system bus.
TEST_CONFIG = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
"""
TEST_ENGINE_CONFIG = """
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
"""


def configuration():
    """The drop-in that we ship, with the runtime under test in place of the installed one."""
    with open(DROP_IN, encoding="utf-8") as file:
        text = file.read()
    text = text.replace("[engine]\n", TEST_CONFIG + "[engine]" + TEST_ENGINE_CONFIG, 1)
    return text.replace('"/usr/bin/caisson-oci"', json.dumps(runtime()), 1)


@unittest.skipIf(harness.SANITIZED, "one scenario is enough there")
class PodmanCase(EngineCase):
    programs = {"podman": "podman", "conmon": "conmon", "script": "bsdutils"}
    cgroup_options = ()

    @classmethod
    def start_engine(cls):
        config = os.path.join(cls.home, "containers.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(configuration())
        cls.environment = {**os.environ, "CONTAINERS_CONF": config, "TMPDIR": cls.home}
        cls.cgroup_options = ("--cgroup-parent", f"/{cls.mark}")
        done = harness.run(cls.podman_argv("import", cls.image_tar(), "bb"), env=cls.environment)
        assert done.status == 0, done

    @classmethod
    def plain_argv(cls, *arguments):
        folders = [f"--{option}={cls.home}/podman/{option}" for option in ("root", "runroot", "tmpdir")]
        return ["podman", *folders, "--storage-driver=overlay", *arguments]

    @classmethod
    def podman_argv(cls, command, *arguments):
        """With the options that all containers of these tests have."""
        common = ("--network=none", *cls.cgroup_options) if command in ("run", "create") else ()
        return cls.plain_argv(command, *common, *arguments)

    def setUp(self):
        super().setUp()
        self.addCleanup(self._no_containers)

    def _no_containers(self):
        containers = self.podman("ps", "--all", "--quiet", "--no-trunc").out.split()
        if not containers:
            return
        self.podman("pod", "rm", "--all", "--force", "--time=0")
        self.podman("rm", "--all", "--force", "--time=0")
        for container in containers:
            self.assertNotEqual(self.runtime_state(container).status, 0, "a container that Podman has removed")

    def runtime_state(self, container):
        return harness.run([runtime(), "state", container])

    def podman(self, *arguments, **options):
        # conmon stays with the container: none of its streams may be a pipe of ours.
        return harness.run(self.podman_argv(*arguments), env=self.environment, **options)

    def plain(self, *arguments):
        return harness.run(self.plain_argv(*arguments), env=self.environment)

    def run_once(self, *arguments, **options):
        return self.podman("run", "--rm", *arguments, **options)

    def output_of(self, script, *options):
        done = self.run_once(*options, "bb", "sh", "-c", script)
        self.assert_ok(done)
        return done.out

    def start(self, script, *options, name=None):
        """A container in the background; returns its name."""
        name = name or self.name
        self.assert_ok(self.podman("run", "--detach", "--name", name, *options, "bb", "sh", "-c", script))
        return name

    def inspect(self, template, name=None):
        done = self.podman("inspect", "--format", template, name or self.name)
        self.assert_ok(done)
        return done.out.strip()

    def pid(self, name=None):
        return int(self.inspect("{{.State.Pid}}", name))

    def wait_for_log(self, text):
        harness.wait_until(lambda: text in self.podman("logs", self.name).out, f"{text!r} in the log")


class Sanitized(PodmanCase):
    """The one that is run with AddressSanitizer, too."""
    __unittest_skip__ = False

    def test_a_life(self):
        self.assertEqual(self.run_once("bb", "sh", "-c", "echo out; exit 9").status, 9)
        self.start("echo ready; exec sleep 1000", "--memory=64m")
        self.wait_for_log("ready")
        self.assert_ends(self.podman("exec", self.name, "sh", "-c", "echo in; exit 5"), 5, "in\n")
        self.assert_ends(self.podman("stop", "--time=0", self.name), 0)
        self.assertEqual(self.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 137")


class Podman(PodmanCase):
    def test_the_runtime_is_the_one_of_the_drop_in(self):
        done = self.podman("info", "--format", "{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}")
        self.assertEqual(done.out.split()[1], runtime(), str(done))

    def test_status_and_streams(self):
        self.assert_ends(self.run_once("bb", "sh", "-c", "echo out; echo err >&2; exit 9"), 9, "out\n", "err\n")
        self.assert_ends(self.run_once("-i", "bb", "cat", input="through\n"), 0, "through\n")

    def test_programs_that_cannot_be_run(self):
        for program, status, words in (("no-such", 127, "executable file not found in $PATH"),
                                       ("/no/such", 127, "no such file or directory"),
                                       ("", 127, "executable file not found in $PATH"),
                                       ("/etc/passwd", 126, "permission denied"),
                                       ("/etc", 126, "permission denied")):
            with self.subTest(program=program):
                self.assert_ends(self.run_once("bb", program), status, "", words)
        self.start("exec sleep 1000")
        for program, status in (("no-such", 127), ("/no/such", 127), ("", 127), ("/etc/passwd", 126), ("/etc", 126)):
            with self.subTest(exec=program):
                self.assert_ends(self.podman("exec", self.name, program), status)

    def test_exec(self):
        self.start("exec sleep 1000", "--env=A=1")
        podman = self.podman
        self.assert_ends(podman("exec", self.name, "sh", "-c", "echo out; echo err >&2; exit 5"), 5, "out\n", "err\n")
        self.assert_ends(podman("exec", self.name, "sh", "-c", "kill -9 $$"), 137)
        self.assert_ends(podman("exec", "-i", self.name, "cat", input="in\n"), 0, "in\n")
        self.assert_ends(podman("exec", "-u", "web:44", "-w", "/tmp", "-e", "B=2", self.name, "sh", "-c",
                                "id -u; id -g; pwd; echo $A$B"), 0, "33\n44\n/tmp\n12\n")
        self.assertNotEqual(podman("exec", "-w", "/no/such", self.name, "pwd").status, 0)
        self.assert_ok(podman("exec", "-d", self.name, "touch", "/tmp/done"))
        harness.wait_until(lambda: podman("exec", self.name, "ls", "/tmp").out == "done\n", "a detached exec")
        self.assert_ok(podman("kill", self.name))
        harness.wait_until(lambda: self.inspect("{{.State.Status}}") == "exited", "its end")
        self.assertNotEqual(podman("exec", self.name, "true").status, 0)

    def test_terminals(self):
        done = self.on_terminal(self.podman_argv("run", "--rm", "-t", "bb", "sh", "-c", "tty; test -t 2; exit 4"),
                                env=self.environment)
        self.assert_ends(done, 4, "/dev/pts/0\n")
        self.start("exec sleep 1000")
        done = self.on_terminal(self.podman_argv("exec", "-t", "-u", "33", self.name, "sh", "-c",
                                                 "tty; echo reopened > $(tty); exit 6"), env=self.environment)
        self.assert_ends(done, 6, "/dev/pts/0\nreopened\n")

    def test_states_from_create_to_removal(self):
        self.assert_ok(self.podman("create", "--name", self.name, "bb", "sleep", "1000"))
        self.assertEqual(self.inspect("{{.State.Status}}"), "created")
        self.assert_ok(self.podman("init", self.name))
        self.assertEqual(self.inspect("{{.State.Status}}"), "initialized")
        self.assert_ok(self.podman("start", self.name))
        self.assertEqual(self.inspect("{{.State.Status}} {{.State.Running}}"), "running true")
        self.assertEqual(self.podman("ps", "--format={{.Names}}").out, f"{self.name}\n")
        self.assertNotEqual(self.podman("rm", self.name).status, 0)
        self.assert_ok(self.podman("rm", "--force", "--time=0", self.name))
        self.assertEqual(self.podman("ps", "--all", "--quiet").out, "")
        # One that was never started.
        self.assert_ok(self.podman("create", "--name", self.name, "bb", "sleep", "1000"))
        self.assert_ok(self.podman("init", self.name))
        self.assert_ok(self.podman("rm", "--force", "--time=0", self.name))

    def test_signals(self):
        self.start('trap "echo usr1" USR1; trap "echo term; exit 3" TERM; echo ready; while :; do sleep 0.05; done')
        self.wait_for_log("ready")
        for signal in ("USR1", "10"):
            self.assert_ok(self.podman("kill", "--signal", signal, self.name))
            time.sleep(0.2)
        harness.wait_until(lambda: self.podman("logs", self.name).out.count("usr1") == 2, "both signals")
        self.assert_ok(self.podman("stop", "--time=10", self.name))
        self.assertEqual(self.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 3")
        self.assertTrue(self.podman("logs", self.name).out.endswith("term\n"))
        self.assertNotEqual(self.podman("kill", self.name).status, 0)
        self.assert_ok(self.podman("start", self.name))
        self.assert_ok(self.podman("restart", "--time=0", self.name))
        self.assert_ok(self.podman("kill", "--signal=KILL", self.name))
        self.assertEqual(self.podman("wait", self.name).out, "137\n")

    def test_pause(self):
        self.start("while :; do echo x; sleep 0.02; done")
        self.wait_for_log("x")
        self.assert_ok(self.podman("pause", self.name))
        self.assertEqual(self.inspect("{{.State.Status}} {{.State.Paused}}"), "paused true")
        self.assertNotEqual(self.podman("exec", self.name, "true").status, 0)
        before = self.podman("logs", self.name).out
        time.sleep(0.2)
        self.assertEqual(self.podman("logs", self.name).out, before)
        self.assert_ok(self.podman("unpause", self.name))
        harness.wait_until(lambda: self.podman("logs", self.name).out != before, "it goes on")
        self.assert_ok(self.podman("pause", self.name))
        self.assert_ok(self.podman("rm", "--force", "--time=0", self.name))

    def test_limits(self):
        self.start("exec sleep 1000", "--memory=64m", "--memory-swap=96m", "--memory-reservation=32m",
                   "--pids-limit=33", "--cpus=0.5", "--cpu-shares=512", "--cpuset-cpus=0")
        for controller, name, value in (("memory", "memory.limit_in_bytes", str(64 << 20)),
                                        ("memory", "memory.memsw.limit_in_bytes", str(96 << 20)),
                                        ("memory", "memory.soft_limit_in_bytes", str(32 << 20)),
                                        ("pids", "pids.max", "33"), ("cpu", "cpu.shares", "512"),
                                        ("cpu", "cpu.cfs_quota_us", "50000"), ("cpuset", "cpuset.cpus", "0")):
            self.assertEqual(self.control(self.pid(), controller, name), value, name)
        done = self.run_once("--pids-limit=4", "bb", "sh", "-c", "for i in 1 2 3 4 5; do sleep 1 & done")
        self.assertIn("can't fork", done.err, str(done))
        self.assert_ends(self.run_once("--memory=16m", "bb", "tail", "/dev/zero"), 137)
        self.assertEqual(self.run_once("--memory=512k", "bb", "true").status, 0 if "caisson" in NAME else 126)
        done = self.run_once("--memory=64k", "bb", "true")
        self.assert_ends(done, 126, "")
        self.assertIn("memory", done.err)

    def test_update(self):
        self.start("exec sleep 1000", "--memory=64m", "--memory-swap=96m", "--pids-limit=33", "--cpu-shares=512")
        self.assert_ok(self.podman("update", "--memory=128m", "--memory-swap=192m", "--cpus=0.25", "--cpu-shares=256",
                                   "--cpuset-cpus=0", self.name))
        for controller, name, value in (("memory", "memory.limit_in_bytes", str(128 << 20)),
                                        ("memory", "memory.memsw.limit_in_bytes", str(192 << 20)),
                                        ("pids", "pids.max", "33"), ("cpu", "cpu.shares", "256"),
                                        ("cpu", "cpu.cfs_quota_us", "25000"), ("cpuset", "cpuset.cpus", "0")):
            self.assertEqual(self.control(self.pid(), controller, name), value, name)
        done = self.podman("update", "--cpuset-cpus=4000", self.name)
        self.assertNotEqual(done.status, 0)
        self.assertIn("cpuset", done.err)
        self.assertEqual(self.control(self.pid(), "memory", "memory.limit_in_bytes"), str(128 << 20))

    def test_mounts(self):
        os.mkdir(os.path.join(self.dir, "volume"))
        volume = os.path.join(self.dir, "volume")
        self.assertEqual(self.output_of("echo x > /v/new; cat /v/new", "-v", f"{volume}:/v"), "x\n")
        self.assert_ends(self.run_once("-v", f"{volume}:/v:ro", "bb", "sh", "-c", "cat /v/new; touch /v/other"),
                         1, "x\n", "Read-only file system")
        self.assert_ends(self.run_once("--read-only", "bb", "sh", "-c", "touch /tmp/x /dev/shm/x && touch /x"),
                         1, "", "/x: Read-only file system")
        self.assertEqual(self.output_of("stat -c %a /t; df /t | tail -1 | awk '{print $2}'",
                                        "--tmpfs", "/t:size=64k,mode=1770"), "1770\n64\n")
        self.assert_ends(self.run_once("-v", "/no/such:/v", "bb", "true"), 125)

    def test_users_and_privileges(self):
        self.assertEqual(self.output_of("id -u; id -g; grep CapEff /proc/self/status", "--user=web:44"),
                         "33\n44\nCapEff:\t0000000000000000\n")
        done = self.run_once("--user=33", "bb", "sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr")
        self.assert_ends(done, 0, "out\n", "err\n")
        self.assertEqual(self.output_of("grep CapEff /proc/self/status", "--cap-drop=all", "--cap-add=chown"),
                         "CapEff:\t0000000000000001\n")
        self.assertEqual(self.output_of("grep NoNewPrivs /proc/self/status", "--security-opt=no-new-privileges"),
                         "NoNewPrivs:\t1\n")
        self.assertEqual(self.output_of("grep Seccomp: /proc/self/status"), "Seccomp:\t2\n")
        profile = os.path.join(self.dir, "seccomp.json")
        with open(profile, "w", encoding="ascii") as file:
            json.dump({"defaultAction": "SCMP_ACT_ALLOW",
                       "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18}]}, file)
        self.assert_ends(self.run_once(f"--security-opt=seccomp={profile}", "bb", "mkdir", "/x"), 1, "",
                         "Invalid cross-device link")
        self.assertEqual(self.output_of("grep Seccomp: /proc/self/status", "--security-opt=seccomp=unconfined"),
                         "Seccomp:\t0\n")
        self.assertEqual(self.output_of("cat /proc/self/uid_map; touch /x; stat -c %u /x",
                                        "--uidmap=0:100000:1000", "--gidmap=0:100000:1000").split(),
                         ["0", "100000", "1000", "0"])

    def test_without_cgroups(self):
        if "caisson" not in NAME:
            self.skipTest("of the runtimes only crun can do this as well")
        done = self.plain("run", "--rm", "--network=none", "--cgroups=disabled", "bb", "cat", "/proc/self/cgroup")
        with open("/proc/self/cgroup", encoding="ascii") as file:
            self.assert_ends(done, 0, file.read())

    def test_restarts_and_health(self):
        self.start("echo run; exit 3", "--restart=on-failure:1")
        harness.wait_until(lambda: self.inspect("{{.State.Status}} {{.RestartCount}}") == "exited 1", "one restart")
        self.assertEqual(self.podman("logs", self.name).out, "run\nrun\n")
        healthy = self.start("touch /tmp/ok; exec sleep 1000", "--health-cmd=test -f /tmp/ok",
                             "--health-interval=disable", name=f"{self.name}-h")
        harness.wait_until(lambda: self.podman("healthcheck", "run", healthy).status == 0, "it is healthy")
        self.assert_ok(self.podman("exec", healthy, "rm", "/tmp/ok"))
        self.assert_status(self.podman("healthcheck", "run", healthy), 1)

    def test_pods_share_namespaces(self):
        pod = f"{self.name}-pod"
        self.assert_ok(self.podman("pod", "create", "--name", pod, "--share=ipc,uts,net", "--network=none",
                                   "--infra-image=bb", "--infra-command=/bin/sleep 1000", *self.cgroup_options))
        names = [f"{self.name}-{i}" for i in (1, 2)]
        for name in names:
            self.assert_ok(self.plain("run", "--detach", "--pod", pod, "--name", name, "bb", "sleep", "1000"))
        for kind in ("ipc", "uts", "net", "pid", "mnt"):
            seen = {os.readlink(f"/proc/{self.pid(name)}/ns/{kind}") for name in names}
            self.assertEqual(len(seen), 1 if kind in ("ipc", "uts", "net") else 2, kind)
        for verb, state in (("pause", "Paused"), ("unpause", "Running"), ("stop", "Exited"), ("start", "Running")):
            self.assert_ok(self.podman("pod", verb, *(["--time=0"] if verb == "stop" else []), pod))
            self.assertEqual(self.podman("pod", "ps", "--format={{.Status}}").out, f"{state}\n")
        self.assert_ok(self.podman("pod", "rm", "--force", "--time=0", pod))

    def test_namespaces_of_another_container(self):
        self.start("exec sleep 1000", "--hostname=shared")
        shared = [f"--{kind}=container:{self.name}" for kind in ("network", "pid", "ipc", "uts")]
        done = self.plain("run", "--rm", *self.cgroup_options, *shared, "bb", "sh", "-c",
                          "hostname; ps | grep -c '[s]leep 1000'")
        self.assert_ends(done, 0, "shared\n1\n")

    def test_files_and_changes(self):
        self.start("touch /new; rm /etc/group; echo ready; exec sleep 1000")
        self.wait_for_log("ready")
        self.assertEqual(sorted(self.podman("diff", self.name).out.split("\n"))[1:], ["A /new", "C /etc", "D /etc/group"])
        path = os.path.join(self.dir, "file")
        with open(path, "w", encoding="ascii") as file:
            file.write("copied\n")
        self.assert_ok(self.podman("cp", path, f"{self.name}:/tmp/file"))
        self.assert_ends(self.podman("exec", self.name, "cat", "/tmp/file"), 0, "copied\n")
        self.assertIn("sleep", self.podman("top", self.name, "comm").out)


class PodmanOfAUser(PodmanCase):
    """/etc/passwd and the lists of subordinate ids are replaced in a mount namespace of the test's own."""

    programs = {**PodmanCase.programs, "newuidmap": "uidmap", "newgidmap": "uidmap"}

    @classmethod
    def start_engine(cls):
        for name, line in (("passwd", f"cttest:x:{USER}:{USER}::{cls.home}/user:/bin/sh\n"),
                           ("group", f"cttest:x:{USER}:\n"),
                           ("subuid", "cttest:3000000:65536\n"), ("subgid", "cttest:3000000:65536\n")):
            shutil.copy(f"/etc/{name}", cls.home)
            with open(os.path.join(cls.home, name), "a", encoding="ascii") as file:
                file.write(line)
        image = cls.image_tar()
        # Where everybody may reach it, with the name that the drop-in expects.
        program = os.path.join(cls.home, NAME)
        shutil.copy(os.path.realpath(runtime()), program)
        cls.user_home = os.path.join(cls.home, "user")
        drop_ins = os.path.join(cls.user_home, ".config/containers/containers.conf.d")
        os.makedirs(drop_ins)
        with open(os.path.join(drop_ins, "50-caisson.conf"), "w", encoding="utf-8") as file:
            file.write(configuration().replace(runtime(), program))
        os.mkdir(os.path.join(cls.user_home, "runtime"), 0o700)
        subprocess.run(["chown", "-R", f"{USER}:{USER}", cls.user_home], check=True)
        cls.environment = {"PATH": os.environ["PATH"], "HOME": cls.user_home, "TMPDIR": cls.user_home,
                           "XDG_RUNTIME_DIR": os.path.join(cls.user_home, "runtime")}
        done = harness.run(cls.podman_argv("import", image, "bb"), env=cls.environment)
        assert done.status == 0, done

    @classmethod
    def plain_argv(cls, *arguments):
        mounts = "; ".join(f"mount --bind {cls.home}/{name} /etc/{name}"
                           for name in ("passwd", "group", "subuid", "subgid"))
        view = ["unshare", "--mount", "--propagation=private", "sh", "-ec", f'{mounts}; exec "$@"', "podman",
                "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
        folders = [f"--{option}={cls.user_home}/podman/{option}" for option in ("root", "runroot", "tmpdir")]
        return [*view, "podman", *folders, "--storage-driver=overlay", *arguments]

    @classmethod
    def podman_keeper(cls):
        """The process that keeps a user's namespaces between Podman's commands."""
        try:
            with open(os.path.join(cls.user_home, "podman/tmpdir/pause.pid"), encoding="ascii") as file:
                return int(file.read())
        except FileNotFoundError:
            return None

    def _leaks(self):
        keeper = self.podman_keeper()
        if keeper and keeper in harness.children():
            harness.lasting.add(keeper)
        return super()._leaks()

    def test_ids(self):
        self.assertEqual(self.output_of("cat /proc/self/uid_map").split(), ["0", str(USER), "1", "1", "3000000", "65536"])
        self.assertEqual(self.output_of("touch /tmp/x; stat -c %u /tmp/x; id -u", "--user=33"), "33\n33\n")

    def test_status_streams_and_errors(self):
        self.assert_ends(self.run_once("bb", "sh", "-c", "echo out; echo err >&2; exit 9"), 9, "out\n", "err\n")
        self.assert_ends(self.run_once("bb", "no-such"), 127, "", "executable file not found in $PATH")
        self.assert_ends(self.run_once("bb", "/etc/passwd"), 126, "", "permission denied")

    def test_a_life(self):
        self.start("echo ready; exec sleep 1000")
        self.wait_for_log("ready")
        self.assert_ends(self.podman("exec", self.name, "sh", "-c", "echo in; exit 5"), 5, "in\n")
        self.assert_ends(self.podman("exec", self.name, "no-such"), 127)
        done = self.on_terminal(self.podman_argv("exec", "-t", self.name, "sh", "-c", "tty; exit 6"),
                                env=self.environment)
        self.assert_ends(done, 6, "/dev/pts/0\n")
        self.assert_ok(self.podman("stop", "--time=0", self.name))
        self.assertEqual(self.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 137")

    def test_mounts_and_privileges(self):
        volume = os.path.join(self.user_home, self.name)
        os.mkdir(volume)
        os.chown(volume, USER, USER)
        self.assertEqual(self.output_of("echo x > /v/new; cat /v/new", "-v", f"{volume}:/v"), "x\n")
        self.assertEqual(os.stat(os.path.join(volume, "new")).st_uid, USER)
        self.assertEqual(self.output_of("id -u; touch /v/mine; stat -c %u /v", "--userns=keep-id", "-v", f"{volume}:/v"),
                         f"{USER}\n{USER}\n")
        self.assertEqual(self.output_of("grep -E 'Seccomp:|CapEff' /proc/self/status", "--cap-drop=all"),
                         "CapEff:\t0000000000000000\nSeccomp:\t2\n")
        self.assertIn("memory", self.output_of("ls /sys/fs/cgroup"))


if __name__ == "__main__":
    harness.main()
