"""Conformance with the OCI runtime specification 1.3: one check for each MUST, for any runtime.

A check is a function of a Lab, registered under the name of its section by @must. It fails by an
assertion, and is left out by Skip where this machine can't show the matter. Checks of one kind share
containers: Lab.once() runs a probe once and keeps what it saw.
"""

import copy
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import harness

TIMEOUT = 20
CHECKS = {}  # name -> function, in the order of definition


class Skip(Exception):
    """This machine can't show it; says why."""


def must(name):
    def register(function):
        assert name not in CHECKS, name
        CHECKS[name] = function
        return function
    return register


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


class Done:
    def __init__(self, words, status, out, err):
        self.words, self.status, self.out, self.err = words, status, out, err

    def __str__(self):
        return f"{' '.join(self.words)}: status {self.status}, stderr {self.err.strip()[-300:]!r}"


class Lab:
    """One runtime under test: its state folder, a root file system, bundles and containers."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.dir = tempfile.mkdtemp(prefix="conformance-", dir="/var/tmp")
        os.chmod(self.dir, 0o755)
        self.state_root = os.path.join(self.dir, "state")
        self.word = os.path.basename(self.dir)
        self.rootfs = os.path.join(self.dir, "rootfs")
        self._counter = itertools.count(1)
        self._kept = {}
        self._ids = []
        self._make_rootfs()

    def _make_rootfs(self):
        busybox = shutil.which("busybox")
        expect(busybox, "install busybox-static")
        for folder in ("bin", "dev", "etc", "proc", "sys", "tmp", "data", "ro", "masked-dir", "mnt"):
            os.makedirs(os.path.join(self.rootfs, folder))
        shutil.copy(busybox, os.path.join(self.rootfs, "bin/busybox"))
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                os.symlink("busybox", os.path.join(self.rootfs, "bin", applet))
        for name, text in (("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("etc/group", "root:x:0:\n"),
                           ("masked-file", "secret\n"), ("masked-dir/secret", "secret\n"), ("ro/file", "text\n"),
                           ("data/file", "text\n")):
            with open(os.path.join(self.rootfs, name), "w", encoding="utf-8") as file:
                file.write(text)

    def close(self):
        for name in self._ids:
            self.call("delete", "--force", name)
        self._reap()
        for line in reversed(harness.mountinfo()):
            point = line.split()[4]
            if point.startswith(self.dir + "/"):
                subprocess.run(["umount", "-l", point], check=False)
        for path in sorted(harness.cgroup_directories(self.word), key=len, reverse=True):
            try:
                os.rmdir(path)
            except OSError:
                pass
        shutil.rmtree(self.dir, ignore_errors=True)

    # Configurations and bundles.

    def config(self, script=None, changes=None):
        config = harness.default_config()
        config["ociVersion"] = "1.0.2"
        config["root"]["path"] = self.rootfs
        config["linux"]["cgroupsPath"] = f"/{self.word}/{next(self._counter)}"
        # A cgroup namespace of its own hides nothing that a check looks at.
        if script is not None:
            config["process"]["args"] = ["/bin/sh", "-c", script]
        return harness.deep_update(config, copy.deepcopy(changes) if changes else {})

    def bundle(self, config):
        path = os.path.join(self.dir, f"bundle-{next(self._counter)}")
        os.mkdir(path)
        with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
            if isinstance(config, str):
                file.write(config)
            else:
                json.dump(config, file)
        return path

    # Commands.

    def new_id(self):
        name = f"{self.word}-{next(self._counter)}"
        self._ids.append(name)
        return name

    def call(self, *words, env=None, input=None):
        """Runs a command of the runtime. Its streams are files: a container may keep them open."""
        argv = [self.runtime, "--root", self.state_root, *words]
        with tempfile.TemporaryFile(dir=self.dir) as out, tempfile.TemporaryFile(dir=self.dir) as err:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=self.dir,
                                       env={**os.environ, **(env or {})})
            deadline = time.monotonic() + TIMEOUT
            while process.poll() is None:
                if time.monotonic() > deadline:
                    process.kill()
                    process.wait()
                    raise AssertionError(f"no end after {TIMEOUT} s: {' '.join(words)}")
                self._reap({process.pid})
                time.sleep(0.001)
            out.seek(0)
            err.seek(0)
            return Done(list(words), harness.shell_status(process.returncode),
                        out.read().decode(errors="replace"), err.read().decode(errors="replace"))

    def _reap(self, keep=()):
        for pid in set(harness.children()) - set(keep):
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass

    def run(self, config, *options):
        """A container in the foreground, to its end."""
        return self.call("run", *options, "--bundle", self.bundle(config), self.new_id())

    def output(self, script, changes=None):
        done = self.run(self.config(script, changes))
        expect(done.status == 0, str(done))
        return done.out

    def create(self, config, *options):
        name = self.new_id()
        done = self.call("create", "--bundle", self.bundle(config), *options, name)
        expect(done.status == 0, str(done))
        return name

    def refused(self, config):
        """The configuration is an error, and nothing of the container is there after it."""
        name = self.new_id()
        done = self.call("create", "--bundle", self.bundle(config), name)
        made = done.status == 0
        if made:
            started = self.call("start", name)
            self.call("delete", "--force", name)
            expect(started.status != 0, "accepted without an error")
            return
        expect(done.err.strip(), "refused without a word on stderr")
        expect(self.call("state", name).status != 0, "a container is left behind")
        self._reap()
        left = [line for line in harness.mountinfo() if self.word in line]
        expect(not left, f"a mount is left behind: {left}")

    def state(self, name):
        done = self.call("state", name)
        expect(done.status == 0, str(done))
        return json.loads(done.out)

    def wait_status(self, name, status):
        def reached():
            self._reap()
            return self.state(name)["status"] == status
        harness.wait_until(reached, f"{name} is {status}", TIMEOUT)

    def end(self, name):
        self.call("kill", name, "KILL")
        self.wait_status(name, "stopped")
        done = self.call("delete", name)
        expect(done.status == 0, str(done))

    def once(self, key, make):
        """The value of make(), made once; its failure is that of everyone who asks."""
        if key not in self._kept:
            try:
                self._kept[key] = (make(), None)
            except (AssertionError, Skip) as problem:
                self._kept[key] = (None, problem)
        value, problem = self._kept[key]
        if problem:
            raise problem
        return value


def sections(text):
    """The output of a probe whose parts begin with lines "== NAME": {name: text}."""
    out = {}
    for part in ("\n" + text).split("\n== ")[1:]:
        name, _, body = part.partition("\n")
        out[name] = body.rstrip("\n")
    return out


def run_checks(runtime, chosen=None):
    """{name: ("pass" | "fail" | "skip", text)} for the program at the path `runtime`."""
    harness.adopt_orphans()
    results = {}
    lab = Lab(runtime)
    try:
        for name, check in CHECKS.items():
            if chosen and not name.startswith(tuple(chosen)):
                continue
            try:
                check(lab)
                results[name] = ("pass", "")
            except Skip as reason:
                results[name] = ("skip", str(reason))
            except (AssertionError, KeyError, ValueError, OSError, IndexError) as problem:
                results[name] = ("fail", str(problem) or type(problem).__name__)
    finally:
        lab.close()
    return results


# Signals by number, for kill.
KILL = str(int(signal.SIGKILL))
