"""What tests of checkpoints share: a CRIU that works on this kernel, if there is one.

CAISSON_CRIU names it; otherwise it is the one that `./dev criu` fetched, or the one in PATH. Distributions
have versions that no newer kernel obeys: it must once have saved and restored a container of ours."""

import functools
import os
import shutil
import tempfile
import unittest

import harness
from oci_case import OciCase

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FETCHED = os.path.join(REPOSITORY, "build", "criu", "criu")


def criu_program():
    named = os.environ.get("CAISSON_CRIU")
    if named:
        return named
    return FETCHED if os.access(FETCHED, os.X_OK) else shutil.which("criu")


@functools.cache
def why_not():
    """Why there is no CRIU to test with; empty when there is one."""
    if os.getuid() != 0:
        return "CRIU needs root"
    program = criu_program()
    if program is None:
        return "CRIU is missing: ./dev criu fetches one, or set CAISSON_CRIU"
    done = harness.run([program, "check"])
    if done.status != 0:
        return f"{program} does not work on this kernel: {done.err.strip().splitlines()[-1:]}"
    with tempfile.TemporaryDirectory(prefix="caisson-criu-") as scratch:
        done = harness.run(["sh", "-c", 'setsid sleep 100 </dev/null >/dev/null 2>&1 & echo $!'])
        pid = done.out.strip()
        done = harness.run([program, "dump", "-t", pid, "-D", scratch])
        if done.status != 0:
            harness.run(["kill", "-9", pid])
            return f"{program} can't save a process on this kernel"
    return ""


def has_feature(name):
    return harness.run([criu_program(), "check", "--feature", name]).status == 0


class CriuCase(OciCase):
    def setUp(self):
        super().setUp()
        if why_not():
            raise unittest.SkipTest(why_not())
        self.images = os.path.join(self.dir, "images")

    def with_criu(self, *arguments, images=None):
        """The words of a checkpoint or restore: program, verb, images, the rest."""
        verb, *rest = arguments
        return ("--criu", criu_program(), verb, "--image-path", images or self.images, *rest)

    def checkpoint(self, *options, name=None, images=None):
        return self.kept_oci(*self.with_criu("checkpoint", *options, name or self.name, images=images))

    def restore(self, bundle, *options, name=None, images=None, detach=True, run=None):
        words = self.with_criu("restore", "--bundle", bundle, *(["--detach"] if detach else []),
                               *options, name or self.name, images=images)
        return (run or self.kept_oci)(*words)

    def bundle(self, *args, changes=None, config=None):
        """A bundle with a root file system that the program may write to."""
        return super().bundle(*args, config=config,
                              changes=harness.deep_update({"root": {"readonly": False}}, changes or {}))

    def run_counter(self, changes=None, **more):
        """A container that counts in /tmp/count, ten times a second."""
        bundle = self.bundle("/bin/sh", "-c", COUNTER, changes=changes)
        self.start_new(bundle, **more)
        self.wait_count(bundle, 2)
        return bundle

    def count(self, bundle):
        try:
            with open(os.path.join(bundle, "rootfs/tmp/count"), encoding="ascii") as file:
                return int(file.read() or 0)
        except FileNotFoundError:
            return 0

    def wait_count(self, bundle, least):
        harness.wait_until(lambda: self.count(bundle) >= least, f"count of {least}")

    def assert_goes_on(self, bundle, before):
        """It counts on from where it was: one that began anew would be far below."""
        self.assertGreaterEqual(self.count(bundle), before)
        self.wait_count(bundle, before + 3)


COUNTER = "i=0; while :; do i=$((i+1)); echo $i > /tmp/.c; mv /tmp/.c /tmp/count; sleep 0.1; done"
