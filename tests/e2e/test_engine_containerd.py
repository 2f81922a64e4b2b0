# ctest: RELEASE_ONLY
"""containerd on caisson-oci: ctr and the shim io.containerd.runc.v2 with our binary."""

import hashlib
import io
import json
import os
import shutil
import tarfile

import harness
from engine_case import EngineCase, runtime


class Containerd(EngineCase):
    programs = {"containerd": "containerd", "ctr": "containerd", "script": "bsdutils"}
    image = "example.org/bb:1"

    @classmethod
    def start_engine(cls):
        # The shim makes this folder even when another one is given.
        cls.addClassCleanup(shutil.rmtree, f"/run/containerd/runc/{cls.mark}", ignore_errors=True)
        cls.socket = cls.start_containerd()
        done = harness.run(cls.argv("images", "import", cls.oci_archive()))
        assert done.status == 0, done

    @classmethod
    def oci_archive(cls):
        """The image as an OCI layout with one layer."""
        with open(cls.image_tar(), "rb") as file:
            layer = file.read()
        digest = "sha256:" + hashlib.sha256(layer).hexdigest()
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin:/usr/bin"]},
                             "rootfs": {"type": "layers", "diff_ids": [digest]}}).encode()
        path = os.path.join(cls.home, "oci.tar")
        with tarfile.open(path, "w") as tar:
            def add(name, data):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))

            def blob(data, kind):
                hexadecimal = hashlib.sha256(data).hexdigest()
                add(f"blobs/sha256/{hexadecimal}", data)
                return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{hexadecimal}",
                        "size": len(data)}
            manifest = blob(json.dumps({"schemaVersion": 2, "config": blob(config, "config.v1+json"),
                                        "layers": [blob(layer, "layer.v1.tar")]}).encode(), "manifest.v1+json")
            manifest["annotations"] = {"io.containerd.image.name": cls.image}
            add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            add("index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
        return path

    @classmethod
    def argv(cls, *arguments):
        # The namespace is also the parent of the cgroups.
        return ["ctr", "--address", cls.socket, "--namespace", cls.mark, *arguments]

    def ctr(self, *arguments, **options):
        return harness.run(self.argv(*arguments), **options)

    def fifos(self):
        return "--fifo-dir", os.path.join(self.home, "fifos")

    def run_argv(self, *arguments):
        options = ("--runtime", "io.containerd.runc.v2", "--runc-binary", runtime(),
                   "--runc-root", os.path.join(self.home, "runtime"), *self.fifos())
        words = list(arguments)
        at = next(i for i, word in enumerate(words) if not word.startswith("-"))
        return self.argv("run", *options, *words[:at], self.image, self.name, *words[at:])

    def run_once(self, *arguments):
        """Options with =, then the program."""
        return harness.run(self.run_argv("--rm", *arguments))

    def start(self, *arguments):
        self.assert_ok(harness.run(self.run_argv("--detach", *arguments)))
        self.addCleanup(self._remove)

    def _remove(self):
        self.ctr("task", "rm", "--force", self.name)
        self.ctr("container", "rm", self.name)
        self.assertEqual(self.ctr("containers", "ls", "--quiet").out, "")

    def status(self):
        lines = [line.split() for line in self.ctr("task", "ls").out.splitlines()]
        return next((line[2] for line in lines if line[0] == self.name), None)

    def test_status_and_streams(self):
        self.assert_ends(self.run_once("sh", "-c", "echo out; echo err >&2; exit 7"), 7, "out\n", "err\n")
        self.assert_ends(self.run_once("no-such"), 1, "", 'exec: "no-such": executable file not found in $PATH')
        self.assert_ends(self.run_once("/etc/passwd"), 1, "", 'exec: "/etc/passwd": permission denied')
        self.assertEqual(self.ctr("containers", "ls", "--quiet").out, "")

    def test_options(self):
        self.assert_ends(self.run_once("--cwd=/tmp", "--env=A=1", "sh", "-c", "pwd; echo $A"), 0, "/tmp\n1\n")
        self.assert_ends(self.run_once("--read-only", "touch", "/x"), 1, "", "Read-only file system")
        self.assert_ends(self.run_once("--seccomp", "grep", "Seccomp:", "/proc/self/status"), 0, "Seccomp:\t2\n")
        self.assert_ends(self.run_once("--mount=type=bind,src=/etc,dst=/e,options=rbind:ro", "test", "-e", "/e/passwd"), 0)
        self.assert_ends(self.run_once("--no-pivot", "echo", "x"), 0, "x\n")

    def test_limits(self):
        self.start(f"--memory-limit={64 << 20}", "--cpus=0.5", "sleep", "1000")
        pid = next(line.split()[0] for line in self.ctr("task", "ps", self.name).out.splitlines()[1:])
        self.assertEqual(self.control(pid, "memory", "memory.limit_in_bytes"), str(64 << 20))
        self.assertEqual(self.control(pid, "cpu", "cpu.cfs_quota_us"), "50000")
        self.assertIn("memory.usage_in_bytes", self.ctr("task", "metrics", self.name).out)

    def test_exec(self):
        self.start("sleep", "1000")

        def task_exec(number, *arguments):
            return self.ctr("task", "exec", *self.fifos(), f"--exec-id=e{number}", *arguments)
        self.assert_ends(task_exec(1, self.name, "sh", "-c", "echo in; exit 5"), 5, "in\n")
        self.assert_ends(task_exec(2, self.name, "no-such"), 1, "", "executable file not found in $PATH")
        self.assert_ends(task_exec(3, "--user=33", "--cwd=/tmp", self.name, "sh", "-c", "id -u; pwd"), 0, "33\n/tmp\n")
        self.assert_ends(task_exec(4, self.name, "sh", "-c", "kill -9 $$"), 137)
        self.assert_ok(task_exec(5, "--detach", self.name, "sleep", "1001"))
        self.assertEqual(len(self.ctr("task", "ps", self.name).out.splitlines()), 3)
        # ctr drops what a process writes that ends before ctr has set the size of its terminal.
        done = self.on_terminal(self.argv("task", "exec", *self.fifos(), "--tty", "--exec-id=e6", self.name, "sh", "-c",
                                          "tty; sleep 0.5; exit 6"))
        self.assert_status(done, 6)
        self.assertIn("/dev/pts/0", done.out)

    def test_states(self):
        self.start("sleep", "1000")
        self.assertEqual(self.status(), "RUNNING")
        self.assert_ok(self.ctr("task", "pause", self.name))
        self.assertEqual(self.status(), "PAUSED")
        self.assert_ok(self.ctr("task", "resume", self.name))
        self.assertEqual(self.status(), "RUNNING")
        self.assertNotEqual(self.ctr("task", "rm", self.name).status, 0)
        self.assert_ok(self.ctr("task", "kill", "--signal=KILL", self.name))
        harness.wait_until(lambda: self.status() == "STOPPED", "it stops")
        self.assert_ends(self.ctr("task", "rm", self.name), 0, "", "exit code 137")

    def test_terminal(self):
        done = self.on_terminal(self.run_argv("--rm", "--tty", "sh", "-c", "tty; sleep 0.5; exit 4"))
        self.assert_status(done, 4)
        self.assertIn("/dev/pts/0", done.out)


if __name__ == "__main__":
    harness.main()
