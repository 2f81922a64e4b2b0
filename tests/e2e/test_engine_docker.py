# ctest: TIMEOUT 180
# ctest: RELEASE_ONLY
"""Docker on caisson-oci: a private dockerd with a private containerd, without networks."""

import json
import os
import shutil
import time

import harness
from engine_case import EngineCase, runtime

# The package's own client, not a newer one that may stand before it in PATH.
CLIENT = "/usr/bin/docker" if os.access("/usr/bin/docker", os.X_OK) else "docker"


class Docker(EngineCase):
    programs = {"dockerd": "docker.io", "containerd": "containerd", CLIENT: "docker.io", "script": "bsdutils"}
    runtime_arguments = ()

    @classmethod
    def start_engine(cls):
        containerd = cls.start_containerd()
        socket = os.path.join(cls.home, "docker.sock")
        # Read instead of /etc/docker/daemon.json.
        config = os.path.join(cls.home, "daemon.json")
        with open(config, "w", encoding="ascii") as file:
            tested = {"path": runtime(), "runtimeArgs": list(cls.runtime_arguments)}
            json.dump({"runtimes": {"tested": tested}, "default-runtime": "tested"}, file)
        cls.daemon("dockerd", f"--config-file={config}", f"--host=unix://{socket}", f"--containerd={containerd}",
                   f"--data-root={cls.home}/data", f"--exec-root={cls.home}/exec", f"--pidfile={cls.home}/docker.pid",
                   "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
                   "--exec-opt=native.cgroupdriver=cgroupfs", f"--cgroup-parent=/{cls.mark}", socket=socket)
        cls.environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}", "DOCKER_CONFIG": cls.home}
        done = harness.run([CLIENT, "import", cls.image_tar(), "bb"], env=cls.environment)
        assert done.status == 0, done

    def setUp(self):
        super().setUp()
        self.addCleanup(self._no_containers)

    def _no_containers(self):
        containers = self.docker("ps", "--all", "--quiet", "--no-trunc").out.split()
        if containers:
            self.assert_ok(self.docker("rm", "--force", *containers))
        for container in containers:
            self.assertEqual(harness.cgroup_directories(container), [])

    def argv(self, command, *arguments):
        network = ("--network=none",) if command in ("run", "create") else ()
        return [CLIENT, command, *network, *arguments]

    def docker(self, *arguments, **options):
        return harness.run(self.argv(*arguments), env=self.environment, **options)

    def run_once(self, *arguments, **options):
        return self.docker("run", "--rm", *arguments, **options)

    def output_of(self, script, *options):
        done = self.run_once(*options, "bb", "sh", "-c", script)
        self.assert_ok(done)
        return done.out

    def start(self, script, *options, name=None):
        name = name or self.name
        self.assert_ok(self.docker("run", "--detach", "--name", name, *options, "bb", "sh", "-c", script))
        return name

    def inspect(self, template, name=None):
        done = self.docker("inspect", "--format", template, name or self.name)
        self.assert_ok(done)
        return done.out.strip()

    def wait_for_log(self, text):
        harness.wait_until(lambda: text in self.docker("logs", self.name).out, f"{text!r} in the log")

    def wait_for_state(self, state, template="{{.State.Status}}"):
        harness.wait_until(lambda: self.inspect(template) == state, f"{template} is {state}")

    def test_the_runtime(self):
        done = self.docker("info", "--format", "{{.DefaultRuntime}} {{(index .Runtimes \"tested\").Path}}")
        self.assertEqual(done.out.split(), ["tested", runtime()], str(done))

    def test_status_and_streams(self):
        self.assert_ends(self.run_once("bb", "sh", "-c", "echo out; echo err >&2; exit 9"), 9, "out\n", "err\n")
        self.assert_ends(self.run_once("-i", "bb", "cat", input="through\n"), 0, "through\n")
        self.assert_ok(self.docker("create", "-i", "--name", self.name, "bb", "sh", "-c", "cat; exit 8"))
        self.assert_ends(self.docker("start", "-a", "-i", self.name, input="in\n"), 8, "in\n")

    def test_programs_that_cannot_be_run(self):
        for program, status, words in (("no-such", 127, 'exec: "no-such": executable file not found in $PATH'),
                                       ("/no/such", 127, "no such file or directory"),
                                       ("/etc/passwd", 126, "permission denied"), ("/etc", 126, "permission denied")):
            with self.subTest(program=program):
                self.assert_ends(self.run_once("bb", program), status, "", words)
        self.start("exec sleep 1000")
        for program in ("no-such", "/etc/passwd"):
            with self.subTest(exec=program):
                done = self.docker("exec", self.name, program)
                self.assert_status(done, 126)
                self.assertIn(f'exec failed: unable to start container process: exec: "{program}": ', done.out + done.err)

    def test_exec(self):
        self.start("exec sleep 1000", "--env=A=1")
        docker = self.docker
        self.assert_ends(docker("exec", self.name, "sh", "-c", "echo out; echo err >&2; exit 5"), 5, "out\n", "err\n")
        self.assert_ends(docker("exec", self.name, "sh", "-c", "kill -9 $$"), 137)
        self.assert_ends(docker("exec", "-i", self.name, "cat", input="in\n"), 0, "in\n")
        self.assert_ends(docker("exec", "-u", "web:44", "-w", "/tmp", "-e", "B=2", self.name, "sh", "-c",
                                "id -u; id -g; pwd; echo $A$B"), 0, "33\n44\n/tmp\n12\n")
        self.assert_ok(docker("exec", "-d", self.name, "touch", "/tmp/done"))
        harness.wait_until(lambda: docker("exec", self.name, "ls", "/tmp").out == "done\n", "a detached exec")
        self.assert_ok(docker("kill", self.name))
        self.wait_for_state("exited 137", "{{.State.Status}} {{.State.ExitCode}}")
        self.assert_ends(docker("exec", self.name, "true"), 1)

    def test_terminals(self):
        done = self.on_terminal(self.argv("run", "--rm", "-t", "bb", "sh", "-c", "tty; test -t 2; exit 4"),
                                env=self.environment)
        self.assert_ends(done, 4, "/dev/pts/0\n")
        self.start("exec sleep 1000")
        done = self.on_terminal(self.argv("exec", "-t", "-u", "33", self.name, "sh", "-c",
                                          "tty; echo reopened > $(tty); exit 6"), env=self.environment)
        self.assert_ends(done, 6, "/dev/pts/0\nreopened\n")

    def test_signals(self):
        self.start('trap "echo usr1" USR1; trap "echo term; exit 3" TERM; echo ready; while :; do sleep 0.05; done')
        self.wait_for_log("ready")
        self.assert_ok(self.docker("kill", "--signal=USR1", self.name))
        self.wait_for_log("usr1")
        self.assert_ok(self.docker("stop", "--time=10", self.name))
        self.assertEqual(self.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 3")
        self.assertTrue(self.docker("logs", self.name).out.endswith("term\n"))
        self.assertNotEqual(self.docker("kill", self.name).status, 0)
        self.assert_ok(self.docker("start", self.name))
        self.assert_ok(self.docker("restart", "--time=0", self.name))
        self.assert_ok(self.docker("kill", self.name))
        self.assertEqual(self.docker("wait", self.name).out, "137\n")

    def test_pause(self):
        self.start("while :; do echo x; sleep 0.02; done")
        self.wait_for_log("x")
        self.assert_ok(self.docker("pause", self.name))
        self.assertEqual(self.inspect("{{.State.Status}} {{.State.Paused}}"), "paused true")
        self.assertNotEqual(self.docker("exec", self.name, "true").status, 0)
        before = self.docker("logs", self.name).out
        time.sleep(0.2)
        self.assertEqual(self.docker("logs", self.name).out, before)
        self.assert_ok(self.docker("unpause", self.name))
        harness.wait_until(lambda: self.docker("logs", self.name).out != before, "it goes on")
        self.assert_ok(self.docker("pause", self.name))
        self.assert_ok(self.docker("rm", "--force", self.name))

    def test_limits(self):
        self.start("exec sleep 1000", "--memory=64m", "--memory-swap=96m", "--pids-limit=33", "--cpus=0.5",
                   "--cpu-shares=512", "--cpuset-cpus=0")
        pid = self.inspect("{{.State.Pid}}")
        for controller, name, value in (("memory", "memory.limit_in_bytes", str(64 << 20)),
                                        ("memory", "memory.memsw.limit_in_bytes", str(96 << 20)),
                                        ("pids", "pids.max", "33"), ("cpu", "cpu.shares", "512"),
                                        ("cpu", "cpu.cfs_quota_us", "50000"), ("cpuset", "cpuset.cpus", "0")):
            self.assertEqual(self.control(pid, controller, name), value, name)
        # The engine's own reading of cgroups and processes.
        self.assertEqual(self.docker("stats", "--no-stream", "--format={{.PIDs}}", self.name).out, "1\n")
        self.assertIn("sleep 1000", self.docker("top", self.name).out)
        self.docker("run", "--name", f"{self.name}-oom", "--memory=16m", "bb", "tail", "/dev/zero")
        self.assertEqual(self.inspect("{{.State.OOMKilled}} {{.State.ExitCode}}", f"{self.name}-oom"), "true 137")

    def test_update(self):
        self.start("exec sleep 1000", "--memory=64m", "--memory-swap=96m", "--pids-limit=33", "--cpu-shares=512")
        pid = self.inspect("{{.State.Pid}}")
        self.assert_ok(self.docker("update", "--memory=128m", "--memory-swap=192m", "--cpus=0.25", "--cpu-shares=256",
                                   "--cpuset-cpus=0", "--pids-limit=44", self.name))
        for controller, name, value in (("memory", "memory.limit_in_bytes", str(128 << 20)),
                                        ("memory", "memory.memsw.limit_in_bytes", str(192 << 20)),
                                        ("pids", "pids.max", "44"), ("cpu", "cpu.shares", "256"),
                                        ("cpu", "cpu.cfs_quota_us", "25000"), ("cpuset", "cpuset.cpus", "0")):
            self.assertEqual(self.control(pid, controller, name), value, name)
        self.assert_ok(self.docker("pause", self.name))
        self.assert_ok(self.docker("update", "--pids-limit=55", self.name))
        self.assertEqual(self.inspect("{{.State.Paused}}"), "true")
        self.assertEqual(self.control(pid, "pids", "pids.max"), "55")
        self.assert_ok(self.docker("unpause", self.name))

    def test_mounts(self):
        volume = os.path.join(self.dir, "volume")
        self.assertEqual(self.output_of("echo x > /v/new; cat /v/new", "-v", f"{volume}:/v"), "x\n")
        self.assert_ends(self.run_once("-v", f"{volume}:/v:ro", "bb", "sh", "-c", "cat /v/new; touch /v/other"),
                         1, "x\n", "Read-only file system")
        self.assert_ends(self.run_once("--read-only", "bb", "sh", "-c", "touch /dev/shm/x && touch /x"),
                         1, "", "/x: Read-only file system")
        self.assertEqual(self.output_of("stat -c %a /t", "--tmpfs", "/t:size=64k,mode=1770"), "1770\n")

    def test_propagation_of_volumes(self):
        """dockerd makes its data folder a shared mount: the root file system parts from it."""
        volume = os.path.join(self.dir, "volume")
        os.makedirs(os.path.join(volume, "below"))
        self.addCleanup(harness.run, ["umount", "--recursive", volume])
        self.assert_ok(harness.run(["mount", "--bind", volume, volume]))
        self.assert_ok(harness.run(["mount", "--make-shared", volume]))
        below = f" {volume}/below "

        def seen_outside():
            return sum(below in line for line in harness.mountinfo())
        script = "mount -t tmpfs x /v/below && echo mounted"
        for mode, leaked in (("", 0), (":slave", 0), (":shared", 1)):
            with self.subTest(mode=mode):
                self.assertEqual(self.output_of(script, "--cap-add=SYS_ADMIN", "-v", f"{volume}:/v{mode}"), "mounted\n")
                self.assertEqual(seen_outside(), leaked)
        self.assert_ok(harness.run(["umount", f"{volume}/below"]))
        self.start("exec sleep 1000", "-v", f"{volume}:/v:slave")
        self.assert_ok(harness.run(["mount", "-t", "tmpfs", "later", f"{volume}/below"]))
        self.assertIn("/v/below", self.docker("exec", self.name, "cat", "/proc/self/mountinfo").out)

    def test_users_and_privileges(self):
        self.assertEqual(self.output_of("id -u; id -g; grep CapEff /proc/self/status", "--user=web:44"),
                         "33\n44\nCapEff:\t0000000000000000\n")
        done = self.run_once("--user=33", "bb", "sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr")
        self.assert_ends(done, 0, "out\n", "err\n")
        self.start("exec sleep 1000")
        done = self.docker("exec", "-u", "33", self.name, "sh", "-c", "echo out > /dev/stdout")
        self.assert_ends(done, 0, "out\n")
        self.assertEqual(self.output_of("grep CapEff /proc/self/status", "--cap-drop=all", "--cap-add=chown"),
                         "CapEff:\t0000000000000001\n")
        self.assertEqual(self.output_of("grep NoNewPrivs /proc/self/status", "--security-opt=no-new-privileges"),
                         "NoNewPrivs:\t1\n")
        self.assertEqual(self.output_of("grep Seccomp: /proc/self/status"), "Seccomp:\t2\n")
        self.assert_ends(self.run_once("bb", "unshare", "-U", "true"), 1, "", "Operation not permitted")
        self.assertEqual(self.output_of("unshare -U true; echo $?", "--security-opt=seccomp=unconfined"), "0\n")

    def test_init(self):
        if shutil.which("docker-init") is None:
            self.skipTest("docker-init is missing: apt-get install tini")
        self.assertIn("docker-init", self.output_of("cat /proc/1/cmdline", "--init"))

    def test_restarts_and_health(self):
        self.start("echo run; exit 3", "--restart=on-failure:1")
        self.wait_for_state("exited 1", "{{.State.Status}} {{.RestartCount}}")
        self.assertEqual(self.docker("logs", self.name).out, "run\nrun\n")
        self.assert_ok(self.docker("rm", self.name))
        self.start("touch /tmp/ok; exec sleep 1000", "--health-cmd=test -f /tmp/ok", "--health-interval=100ms",
                   "--health-retries=1")
        self.wait_for_state("healthy", "{{.State.Health.Status}}")
        self.assert_ok(self.docker("exec", self.name, "rm", "/tmp/ok"))
        self.wait_for_state("unhealthy", "{{.State.Health.Status}}")

    def test_namespaces_of_another_container(self):
        self.start("exec sleep 1000", "--ipc=shareable")
        shared = [f"--{kind}=container:{self.name}" for kind in ("network", "pid", "ipc")]
        done = harness.run([CLIENT, "run", "--rm", *shared, "bb", "sh", "-c", "ps | grep -c '[s]leep 1000'"],
                           env=self.environment)
        self.assert_ends(done, 0, "1\n")

    def test_all_processes_end_without_a_pid_namespace(self):
        marker = 100000 + os.getpid()
        self.start(f"sleep {marker} & exec sleep {marker}", "--pid=host")
        self.assert_ok(self.docker("rm", "--force", self.name))
        self.assertEqual(harness.run(["pgrep", "-f", f"sleep {marker}"]).out, "")


if __name__ == "__main__":
    harness.main()
