"""What the tests with real engines share: a private engine per class, an image of busybox, programs on
a terminal, and the same claims for another runtime.

CAISSON_ENGINE_RUNTIME=/usr/sbin/runc runs the tests with that runtime below the engines: whatever they
claim must hold there, too.
"""

import os
import shlex
import shutil
import signal
import subprocess
import tarfile
import unittest

import harness
from oci_case import oci_program

READY_SECONDS = 20.0


def runtime():
    """The runtime that is tested."""
    return os.environ.get("CAISSON_ENGINE_RUNTIME") or oci_program()


class EngineCase(harness.TestCase):
    """The engine lives as long as its class: cls.home is its folder and cls.mark ("ct-PID-N") stands in
    whatever it leaves on the host, above all in its cgroups. Subclasses name the programs they need, as
    {program: Debian package}, and start the engine in start_engine()."""

    programs = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if os.getuid() != 0:
            raise unittest.SkipTest("engines are tested as root")
        for program, package in cls.programs.items():
            if shutil.which(program) is None:
                raise unittest.SkipTest(f"{program} is missing: apt-get install {package}")
        if harness.cgroup_v2_only():
            raise unittest.SkipTest("limits are looked up in the hierarchies of cgroup v1")
        harness.adopt_orphans()
        cls.mark = harness.new_name()
        cls.home = os.path.join("/var/tmp", cls.mark)
        os.mkdir(cls.home)
        os.chmod(cls.home, 0o755)
        cls.addClassCleanup(cls._remove_engine)
        cls.start_engine()

    @classmethod
    def start_engine(cls):
        raise NotImplementedError

    @classmethod
    def _remove_engine(cls):
        """The last one first: dockerd before its containerd. What does not end in time is killed."""
        for pid in sorted(harness.lasting, reverse=True):
            os.kill(pid, signal.SIGTERM)
            try:
                harness.wait_until(lambda pid=pid: os.waitpid(pid, os.WNOHANG)[0], "a daemon ends", 5)
            except AssertionError:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        harness.lasting.clear()
        # Shims, conmon and the like of containers that a failed test left.
        for pid in harness.children():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        harness.unmount_below(cls.home)
        harness.remove_cgroups(cls.mark)
        harness.remove_folder(cls.home)

    @classmethod
    def daemon(cls, *argv, socket):
        """Starts a daemon of the class and waits until its socket is there."""
        log = os.path.join(cls.home, os.path.basename(argv[0]) + ".log")
        with open(log, "wb") as output:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       start_new_session=True)
        harness.lasting.add(process.pid)
        # Its end is told by waitpid() alone, not once more by the object.
        process.returncode = 0
        try:
            harness.wait_until(lambda: os.path.exists(socket), f"{argv[0]} is ready", READY_SECONDS)
        except AssertionError as error:
            with open(log, encoding="utf-8", errors="replace") as text:
                raise AssertionError(f"{error}\n{text.read()[-3000:]}") from None

    @classmethod
    def start_containerd(cls):
        """A containerd of the class's own; returns the path of its socket."""
        config = os.path.join(cls.home, "containerd.toml")
        socket = os.path.join(cls.home, "containerd.sock")
        with open(config, "w", encoding="ascii") as file:
            file.write(f'version = 2\nroot = "{cls.home}/containerd"\nstate = "{cls.home}/containerd-state"\n'
                       f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n')
        cls.daemon("containerd", "--config", config, "--log-level", "warn", socket=socket)
        return socket

    @classmethod
    def image_tar(cls):
        """A root file system with busybox as a tar file, for engines to import."""
        rootfs = os.path.join(cls.home, "image-rootfs")
        cls("busybox_rootfs").busybox_rootfs(rootfs)
        with open(os.path.join(rootfs, "etc/passwd"), "a", encoding="ascii") as file:
            file.write("web:x:33:33:web:/:/bin/sh\n")
        with open(os.path.join(rootfs, "etc/group"), "a", encoding="ascii") as file:
            file.write("web:x:33:\n")
        path = os.path.join(cls.home, "image.tar")
        with tarfile.open(path, "w") as tar:
            tar.add(rootfs, arcname=".", filter=cls._owned_by_root)
        os.chmod(path, 0o644)
        return path

    @staticmethod
    def _owned_by_root(member):
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    # Claims.

    def assert_ends(self, done, status, out=None, err=None):
        """The status, all of the standard output, words of the standard error."""
        self.assert_status(done, status)
        if out is not None:
            self.assertEqual(done.out, out, str(done))
        if err is not None:
            self.assertIn(err, done.err, str(done))

    def on_terminal(self, argv, **options):
        """Runs a program on a terminal of its own; what appears there is the output, without the empty
        lines that two terminals in a row make."""
        done = harness.run(["script", "-qec", shlex.join(argv), "/dev/null"], **options)
        done.out = "".join(line + "\n" for line in done.out.splitlines() if line)
        return done

    def control(self, pid, controller, name):
        """A file of the cgroup that a process is in."""
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            for line in file:
                _, controllers, path = line.strip().split(":", 2)
                if controller in controllers.split(","):
                    with open(f"/sys/fs/cgroup/{controller}{path}/{name}", encoding="ascii") as value:
                        return value.read().strip()
        raise AssertionError(f"process {pid} is in no {controller} cgroup")
