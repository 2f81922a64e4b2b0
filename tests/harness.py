"""What the end-to-end tests share: running caisson, throw-away root file systems and bundles, other
users, a pure cgroup v2 view, and the proof that nothing is left behind.

A test file is run by ctest with CAISSON=path of the program. It makes a unittest class from
harness.TestCase and ends in harness.main(). Everything that a test makes lies below self.dir and
carries self.name in its name; both vanish with the test.
"""

import copy
import ctypes
import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import unittest

CAISSON = os.environ.get("CAISSON", "")
SANITIZED = os.environ.get("CAISSON_SANITIZED") == "1"
# Generous: a sanitized program on a loaded machine. What must be fast has its own bound.
TIMEOUT = 30.0
NOBODY = 65534

PR_SET_CHILD_SUBREAPER = 36
_counter = itertools.count(1)
# Children that a class of tests keeps from one test to the next, as the daemon that all of them talk to.
lasting = set()
_libc = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass
class Finished:
    """A command that ended. `status` as a shell sees it: 128 + n for a signal n."""
    argv: list
    status: int
    out: str
    err: str
    seconds: float

    def __str__(self):
        return (f"{' '.join(self.argv)}\n  status {self.status} after {self.seconds:.2f} s"
                f"\n  stdout: {self.out!r}\n  stderr: {self.err!r}")


def shell_status(returncode):
    return 128 - returncode if returncode < 0 else returncode


def run(argv, *, input=None, timeout=TIMEOUT, env=None, cwd=None, **options):
    """Runs a command to its end. Kills its whole process group when the time is up."""
    begin = time.monotonic()
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, errors="replace", env=env, cwd=cwd,
                               start_new_session=True, **options)
    try:
        out, err = process.communicate(input, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"no end after {timeout} s: {' '.join(argv)}\n"
                             f"  stdout: {out!r}\n  stderr: {err!r}") from None
    return Finished(list(argv), shell_status(process.returncode), out, err,
                    time.monotonic() - begin)


def wait_until(condition, what, timeout=TIMEOUT):
    """Polls until `condition()` is true and returns its value; fails with `what` when it never is."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.01)


def children():
    """Processes whose parent is this one: {pid: description}. With the subreaper set, orphans of
    every descendant are among them."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                text = file.read().decode(errors="replace")
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        state, parent = text[text.rindex(")") + 2:].split()[:2]
        if int(parent) == os.getpid() and int(pid) not in lasting:
            name = text[text.index("(") + 1:text.rindex(")")]
            found[int(pid)] = f"{pid} ({name}, state {state}): {command[:200]}"
    return found


def stored_state(journal):
    """The last state in the journal of a container."""
    with open(journal, encoding="utf-8") as file:
        return json.loads([line for line in file if line.startswith("state ")][-1][len("state "):])


def mountinfo():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        return file.read().splitlines()


def cgroup_directories(word):
    """Directories of any cgroup hierarchy that have `word` in their path."""
    points = [line.split()[4] for line in mountinfo() if " - cgroup" in line]
    return [directory for point in points for directory, _, _ in os.walk(point)
            if word in directory[len(point):]]


def cgroup_v2_only():
    return any(line.split()[4] == "/sys/fs/cgroup" and " - cgroup2 " in line for line in mountinfo())


def default_config(**changes):
    """An OCI config like the one that `spec` commands write, without a terminal. `changes` replace
    members of the top level; use deep_update for those below."""
    config = copy.deepcopy(_DEFAULT_CONFIG)
    config.update(changes)
    return config


def deep_update(config, changes):
    """Merges `changes` into `config`: objects member by member, everything else replaced; None
    removes a member."""
    for key, value in changes.items():
        if value is None:
            config.pop(key, None)
        elif isinstance(value, dict) and isinstance(config.get(key), dict):
            deep_update(config[key], value)
        else:
            config[key] = value
    return config


_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_DEFAULT_CONFIG = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["/bin/true"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {kind: _CAPABILITIES for kind in ("bounding", "effective", "permitted")},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "caisson-test",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
         "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
         "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs",
         "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
    ],
    "linux": {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
                        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                        "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
}

V2_VIEW = ('mount --make-rprivate / && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"')


def new_name():
    return f"ct-{os.getpid()}-{next(_counter)}"


def adopt_orphans():
    """Orphans of whatever this process starts become its children, and so can be seen."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def unmount_below(folder):
    for line in reversed(mountinfo()):
        point = line.split()[4].encode().decode("unicode_escape")
        if point.startswith(folder + "/"):
            run(["umount", "-l", point])


def remove_cgroups(word):
    for path in sorted(cgroup_directories(word), key=len, reverse=True):
        try:
            os.rmdir(path)
        except OSError:
            pass


def remove_folder(path):
    shutil.rmtree(path, onerror=_make_removable)


class TestCase(unittest.TestCase):
    """One test with its own folder (self.dir), name (self.name, "ct-PID-N") and state folder
    (self.state). When it ends, whatever it started must be gone: assert_no_leaks runs after its last
    cleanup."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not os.access(CAISSON, os.X_OK):
            raise AssertionError(f"CAISSON={CAISSON!r} is not a program; run ./dev test e2e")

    def setUp(self):
        adopt_orphans()
        self.name = new_name()
        # Not in /tmp: a view of this machine has an empty one of its own.
        self.dir = os.path.join("/var/tmp", self.name)
        os.mkdir(self.dir)
        os.chmod(self.dir, 0o755)
        self.state = os.path.join(self.dir, "state")
        self._mounts = set(mountinfo())
        self._background = set()
        # Cleanups run backwards: first what the test adds, then the leak check, then the broom.
        self.addCleanup(self._remove_everything)
        self.addCleanup(self.assert_no_leaks)

    # Running.

    def caisson(self, *arguments, program=CAISSON, user=None, env=None, **options):
        """caisson --root STATE ARGUMENTS... to its end. `user` is a uid; see as_user."""
        argv = [program, "--root", self.state, *arguments]
        environment = {**os.environ, **(env or {})}
        if user is not None:
            argv, environment = self.as_user(argv, user, environment)
        return run(argv, env=environment, **options)

    def oci(self, *arguments, **options):
        """The same under the name that engines call: caisson-oci, which stands beside caisson."""
        program = os.path.join(os.path.dirname(CAISSON), "caisson-oci")
        return self.caisson(*arguments, program=program, **options)

    def caisson_in_background(self, *arguments, **options):
        """A Popen with pipes; what still runs at the end of the test is killed."""
        process = subprocess.Popen([CAISSON, "--root", self.state, *arguments], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True, **options)

        self._background.add(process.pid)

        def stop():
            if process.poll() is None:
                process.kill()
            process.wait()
            # Closed, not read to their end: a container that outlived caisson holds the other side.
            for stream in (process.stdin, process.stdout, process.stderr):
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
            self._background.discard(process.pid)
        self.addCleanup(stop)
        return process

    def as_user(self, argv, uid=NOBODY, env=None):
        """argv and environment to run a program as an ordinary user with a runtime folder."""
        if os.getuid() != 0:
            self.skipTest("needs root to become another user")
        home = os.path.join(self.dir, f"home-{uid}")
        runtime = os.path.join(self.dir, f"runtime-{uid}")
        for path in (home, runtime):
            if not os.path.isdir(path):
                os.mkdir(path, 0o700)
                os.chown(path, uid, uid)
        if argv[0].startswith(os.path.dirname(CAISSON) + os.sep):
            # The build folder may lie where only its owner gets: a copy that everybody reaches.
            copied = os.path.join(self.dir, os.path.basename(argv[0]))
            if not os.path.exists(copied):
                shutil.copy(CAISSON, copied)
            argv = [copied, *argv[1:]]
            if "--root" in argv:
                argv[argv.index("--root") + 1] = os.path.join(runtime, "state")
        environment = {**(os.environ if env is None else env), "HOME": home,
                       "XDG_RUNTIME_DIR": runtime, "USER": f"uid{uid}"}
        return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", *argv], environment

    def v2_view(self, argv):
        """argv to run a program in a mount namespace where /sys/fs/cgroup is cgroup v2 alone."""
        if os.getuid() != 0:
            self.skipTest("needs root to mount cgroup2")
        return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", V2_VIEW, "v2_view", *argv]

    # Root file systems and bundles.

    def busybox_rootfs(self, path=None):
        """A root file system with a static busybox under its usual names. Returns its path."""
        busybox = shutil.which("busybox")
        if busybox is None:
            self.fail("busybox is missing: install busybox-static")
        path = path or os.path.join(self.dir, "rootfs")
        for folder in ("bin", "dev", "etc", "proc", "sys", "tmp", "root", "usr/bin", "var/tmp"):
            os.makedirs(os.path.join(path, folder), exist_ok=True)
        os.chmod(os.path.join(path, "tmp"), 0o1777)
        program = os.path.join(path, "bin/busybox")
        shutil.copy(busybox, program)
        for applet in run([busybox, "--list"]).out.split():
            if applet != "busybox":
                os.symlink("busybox", os.path.join(path, "bin", applet))
        for name, text in (("passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("group", "root:x:0:\n")):
            with open(os.path.join(path, "etc", name), "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def bundle(self, *args, changes=None, config=None):
        """An OCI bundle around busybox that runs `args`. `changes` go through deep_update; `config`
        takes the place of the default one. Returns the bundle's path."""
        path = os.path.join(self.dir, f"bundle-{next(_counter)}")
        os.mkdir(path)
        self.busybox_rootfs(os.path.join(path, "rootfs"))
        config = default_config() if config is None else config
        if args:
            config["process"]["args"] = list(args)
        self.write_config(path, deep_update(config, changes or {}))
        return path

    def write_config(self, bundle, config):
        with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file, indent=1)

    # Claims.

    def assert_status(self, finished, status):
        self.assertEqual(finished.status, status, str(finished))

    def assert_ok(self, finished):
        self.assert_status(finished, 0)

    def assert_no_leaks(self):
        """No process, mount, cgroup or state of this test is left; gives what ends a moment."""
        deadline = time.monotonic() + 3
        while True:
            found = self._leaks()
            if not found:
                return
            if time.monotonic() > deadline:
                self.fail("left behind:\n  " + "\n  ".join(found))
            time.sleep(0.02)

    def host_mounts(self):
        """Mounts of this host below what is this test's. (Others make mounts of theirs meanwhile.)"""
        return [line for line in mountinfo() if re.search(rf"\b{self.name}\b", line)]

    def _leaks(self):
        self._reap()
        found = [f"process {text}" for text in children().values()]
        found += [f"mount {line}" for line in self.host_mounts() if line not in self._mounts]
        found += [f"cgroup {path}" for path in cgroup_directories(self.name)]
        if os.path.isdir(self.state):
            found += [f"state {os.path.join(self.state, name)}" for name in os.listdir(self.state)
                      if not name.startswith("@")]  # no container: "@failed" is for `caisson why`
        return found

    def _reap(self):
        """Collects ended orphans. Those of a Popen are left to it: it wants their status."""
        for pid in set(children()) - self._background:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass

    def _remove_everything(self):
        for pid in children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: self._reap() or not children(), "killed processes are gone", 5)
        unmount_below(self.dir)
        remove_cgroups(self.name)
        remove_folder(self.dir)


def _make_removable(remove, path, _):
    os.chmod(os.path.dirname(path), stat.S_IRWXU)
    remove(path)


def main():
    """Runs the calling file's tests; -v is the default, so that a failure shows how far it came."""
    unittest.main(verbosity=2, argv=[sys.argv[0], *sys.argv[1:]])
