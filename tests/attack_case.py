"""What the tests of attacks share: a process that races, and programs as naive as the runtimes that
were attacked, which show that an attack is real."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys

import harness
from oci_case import OciCase

_libc = ctypes.CDLL(None, use_errno=True)

MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000

# Ends with its standard input, which is its parent's to close, and never lives for long.
_EXCHANGER = """
import ctypes, os, select, sys, time
libc = ctypes.CDLL(None)
a, b = (os.fsencode(path) for path in sys.argv[1:])
deadline = time.monotonic() + 60
print("racing", flush=True)
while time.monotonic() < deadline and not select.select([0], [], [], 0)[0]:
    for _ in range(100):
        libc.renameat2(-100, a, -100, b, 2)
"""


def _checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def mount(source, target, kind=None, flags=0):
    """mount(2) by path, as runtimes did it."""
    encode = lambda text: None if text is None else os.fsencode(text)
    _checked(_libc.mount(encode(source), encode(target), encode(kind), flags, None))


def mount_points():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        return [line.split()[4] for line in file]


def in_child(work):
    """What `work` returns in a process of its own with a private mount namespace."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _checked(_libc.unshare(CLONE_NEWNS))
            mount(None, "/", None, MS_REC | MS_PRIVATE)
            os.write(writer, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read()
    if os.waitpid(pid, 0)[1] != 0:
        raise AssertionError("the naive program failed")
    return json.loads(text)


class AttackCase(OciCase):
    def setUp(self):
        super().setUp()
        self.outside = os.path.join(self.dir, "outside")
        os.mkdir(self.outside)

    def writable(self, *args, changes=None):
        return self.bundle(*args, changes=harness.deep_update({"root": {"readonly": False}}, changes or {}))

    def with_mounts(self, *args, mounts, changes=None, without=()):
        config = harness.default_config()
        kept = [mount for mount in config["mounts"] if not mount["destination"].startswith(tuple(without) or "-")]
        return self.writable(*args, changes={**(changes or {}), "mounts": kept + mounts})

    @contextlib.contextmanager
    def exchanging(self, one, other):
        """While it lasts, the two paths swap what they name, as fast as a process can."""
        process = subprocess.Popen([sys.executable, "-c", _EXCHANGER, one, other],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._background.add(process.pid)
        try:
            self.assertEqual(process.stdout.readline(), b"racing\n")
            yield
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(harness.TIMEOUT)
            finally:
                process.kill()
                process.wait()
                self._background.discard(process.pid)

    def assert_escapes(self, attempt, what):
        """The control: a naive program does fall for it, sooner or later."""
        harness.wait_until(attempt, f"{what} (the control of this test)", 40)

    def volume_with_a_way_out(self):
        """A shared volume with a directory and a link out of every root, to be exchanged."""
        volume = os.path.join(self.dir, "volume")
        os.makedirs(os.path.join(volume, "target"))
        os.symlink(self.outside, os.path.join(volume, "link"))
        return volume, os.path.join(volume, "target"), os.path.join(volume, "link")

    def naive_exec(self, pid, program, argv, leaked=()):
        """Enters the mounts and the pids of a container and executes a program of the host there.
        Returns the pids of what runs there."""
        descriptor = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
        spaces = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("pid", "mnt")]
        outer = os.fork()
        if outer == 0:
            try:
                for space, flag in zip(spaces, (CLONE_NEWPID, CLONE_NEWNS)):
                    _checked(_libc.setns(space, flag))
                for fd in leaked:
                    os.set_inheritable(fd, True)
                if os.fork() == 0:
                    os.execve(descriptor, argv, {})
            finally:
                os._exit(0)
        os.waitpid(outer, 0)
        for fd in (descriptor, *spaces):
            os.close(fd)
        return harness.wait_until(lambda: [found for found, text in harness.children().items()
                                           if text.endswith(": " + " ".join(argv))], "the program runs inside")

    def end(self, pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
