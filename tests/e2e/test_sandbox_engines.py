# ctest: TIMEOUT 180
# ctest: RELEASE_ONLY
"""Engines with containers in sandboxes: Podman by an annotation, Docker by a runtime's arguments."""

import os
import shutil
import socket
import subprocess
import unittest

import harness
import test_engine_docker
import test_engine_podman

WALL = ("--annotation", "org.caisson.wall=sandbox")


class PodmanSandbox(test_engine_podman.PodmanCase):
    def podman(self, *arguments, **options):
        command, *rest = arguments
        wall = WALL if command in ("run", "create") else ()
        return super().podman(command, *wall, *rest, **options)

    def test_a_life(self):
        self.assert_ends(self.run_once("bb", "sh", "-c", "echo out; echo err >&2; exit 9"), 9, "out\n", "err\n")
        self.assert_ends(self.run_once("-i", "bb", "cat", input="through\n"), 0, "through\n")
        self.assertNotEqual(self.output_of("uname -v"), os.uname().version + "\n")
        self.start("trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.1; done", "--memory=64m")
        self.wait_for_log("ready")
        self.assert_ends(self.podman("exec", self.name, "sh", "-c", "echo in; exit 5"), 5, "in\n")
        self.assertIn("65536 kB", self.podman("exec", self.name, "grep", "MemTotal", "/proc/meminfo").out)
        self.assert_ok(self.podman("pause", self.name))
        self.assertEqual(self.inspect("{{.State.Status}}"), "paused")
        self.assert_ok(self.podman("unpause", self.name))
        self.assert_ends(self.podman("stop", self.name), 0)
        self.assertEqual(self.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 4")
        self.assertIn("bye", self.podman("logs", self.name).out)
        self.assert_ok(self.podman("rm", self.name))

    def test_what_an_image_has_is_written_in_its_layer(self):
        self.start("echo x > /new; rm /etc/passwd; echo done; exec sleep 1000")
        self.wait_for_log("done")
        self.assertEqual(set(self.podman("diff", self.name).out.split("\n")) & {"A /new", "D /etc/passwd"},
                         {"A /new", "D /etc/passwd"})

    def test_terminals_and_users(self):
        done = self.run_once("--user", "12:34", "--workdir", "/tmp", "--env", "A=b", "bb", "sh", "-c",
                             "id -u; id -g; pwd; echo $A; ulimit -n")
        self.assert_ends(done, 0, "12\n34\n/tmp\nb\n1024\n")
        self.assert_ends(self.run_once("bb", "/no/such"), 127)

    @unittest.skipUnless(shutil.which("ip"), "needs iproute2")
    def test_a_server_in_the_network_that_the_engine_made(self):
        self.network()
        self.assert_ok(self.plain("run", "--detach", "--name", self.name, *WALL, *self.cgroup_options,
                                  f"--network=ns:/run/netns/{self.name}",
                                  "bb", "sh", "-c", "echo ready; while echo answer | nc -l -p 80; do :; done"))
        self.wait_for_log("ready")

        def answer():
            try:
                with socket.create_connection((self.inner, 80), timeout=2) as connection:
                    return connection.recv(100)
            except OSError:
                return b""
        harness.wait_until(lambda: answer() == b"answer\n", "the server answers")
        self.assertIn(self.inner, self.podman("exec", self.name, "ip", "addr").out)

    def network(self):
        """A namespace as a network plug-in makes it: a pair of interfaces, one of them inside."""
        number = os.getpid() % 250
        outer, self.inner, link = f"10.213.{number}.1", f"10.213.{number}.2", f"ct{os.getpid()}"
        def ip(*words):
            subprocess.run(["ip", *words], check=True, timeout=harness.TIMEOUT)
        ip("netns", "add", self.name)
        self.addCleanup(lambda: subprocess.run(["ip", "netns", "del", self.name], check=False, timeout=harness.TIMEOUT))
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("addr", "add", f"{outer}/30", "dev", link)
        ip("link", "set", link, "up")
        ip("-n", self.name, "addr", "add", f"{self.inner}/30", "dev", "eth0")
        for name in ("lo", "eth0"):
            ip("-n", self.name, "link", "set", name, "up")
        # The namespace goes with its last process: the server's end is not to be waited for.
        self.addCleanup(lambda: self.podman("rm", "--force", "--time=0", self.name))


class DockerSandbox(test_engine_docker.Docker):
    """A runtime of its own by its arguments: older clients pass no annotations on."""
    runtime_arguments = ("--wall", "sandbox")

    def test_a_life(self):
        self.assert_ends(self.run_once("bb", "sh", "-c", "echo out; echo err >&2; exit 9"), 9, "out\n", "err\n")
        self.start("trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.1; done", "--memory=64m")
        self.wait_for_log("ready")
        self.assert_ends(self.docker("exec", self.name, "sh", "-c", "echo in; exit 5"), 5, "in\n")
        self.assert_ok(self.docker("pause", self.name))
        self.assertEqual(self.inspect("{{.State.Status}}"), "paused")
        self.assert_ok(self.docker("unpause", self.name))
        self.assert_ok(self.docker("update", "--memory=32m", "--memory-swap=32m", self.name))
        self.assertIn("32768 kB", self.docker("exec", self.name, "grep", "MemTotal", "/proc/meminfo").out)
        self.assert_ok(self.docker("stop", self.name))
        self.assertEqual(self.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 4")
        self.assertIn("bye", self.docker("logs", self.name).out)


# Their tests are for the other wall; what stands here is for this one.
for case in (DockerSandbox, PodmanSandbox):
    for name in dir(case):
        if name.startswith("test_") and name not in vars(case):
            setattr(case, name, None)
del case

if __name__ == "__main__":
    harness.main()
