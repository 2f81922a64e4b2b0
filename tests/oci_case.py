"""What the end-to-end tests of the engine's face share: commands whose container outlives them, the
life of a container, programs inside."""

import array
import contextlib
import json
import os
import signal
import socket
import subprocess

import harness

KILLED = 128 + signal.SIGKILL


def hook(script, **more):
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"], **more}


def oci_program():
    return os.path.join(os.path.dirname(harness.CAISSON), "caisson-oci")


class OciCase(harness.TestCase):
    """A container gets the standard streams of the command that creates it: they are files here,
    because the end of a pipe would come only with the end of the container."""

    def setUp(self):
        super().setUp()
        # Runs before the leak check: a failed test is reported once, not again by it.
        self.addCleanup(self._delete_all)

    def _delete_all(self):
        if os.path.isdir(self.state):
            for name in os.listdir(self.state):
                if name.startswith(self.name):
                    self.kept_oci("delete", "--force", name)

    def kept(self, argv, *, env=None, timeout=harness.TIMEOUT, **options):
        """Runs a command whose streams a container keeps; output as far as it is there at the end."""
        out_path, err_path = (os.path.join(self.dir, f"kept-{kind}") for kind in ("out", "err"))
        with open(out_path, "w+b") as out, open(err_path, "w+b") as err:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       env={**os.environ, **(env or {})}, **options)
            self._background.add(process.pid)
            try:
                # A pid namespace ends when its last process is collected: orphans are ours to collect.
                harness.wait_until(lambda: self._reap() or process.poll() is not None,
                                   f"end of {argv}", timeout)
            finally:
                if process.poll() is None:
                    process.kill()
                status = harness.shell_status(process.wait())
                self._background.discard(process.pid)
            out.seek(0)
            err.seek(0)
            return harness.Finished(argv, status, out.read().decode(errors="replace"),
                                    err.read().decode(errors="replace"), 0)

    def kept_oci(self, *arguments, **options):
        return self.kept([oci_program(), "--root", self.state, *arguments], **options)

    def kept_output(self):
        """What the last kept command and its container wrote until now."""
        with open(os.path.join(self.dir, "kept-out"), encoding="utf-8", errors="replace") as file:
            return file.read()

    # The life of a container named self.name.

    def create(self, bundle, *options, name=None, **more):
        return self.kept_oci("create", "--bundle", bundle, *options, name or self.name, **more)

    def start_new(self, bundle, *options, name=None, **more):
        """Creates and starts; returns the pid of init."""
        name = name or self.name
        self.assert_ok(self.create(bundle, *options, name=name, **more))
        self.assert_ok(self.oci("start", name))
        return self.state_of(name)["pid"]

    def state_of(self, name=None):
        done = self.oci("state", name or self.name)
        self.assert_ok(done)
        return json.loads(done.out)

    def wait_stopped(self, name=None):
        harness.wait_until(lambda: self.state_of(name)["status"] == "stopped", "the container stops")

    def delete(self, *options, name=None):
        done = self.oci("delete", *options, name or self.name)
        self.assert_ok(done)
        return done

    def run_in(self, script, changes=None, *options, config=None, prepare=None, **more):
        """Runs a shell script as a container's program in the foreground. `prepare` gets the path of
        the root file system first."""
        bundle = self.bundle("/bin/sh", "-c", script, changes=changes, config=config)
        if prepare:
            prepare(os.path.join(bundle, "rootfs"))
        return self.oci("run", "--bundle", bundle, *options, self.name, **more)

    def output_of(self, script, changes=None, *options, **more):
        done = self.run_in(script, changes, *options, **more)
        self.assert_ok(done)
        return done.out

    @contextlib.contextmanager
    def console_socket(self):
        """A listening socket's path and a function that takes the master of the terminal from it."""
        path = os.path.join(self.dir, "console.sock")
        masters = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen(64)
            listener.settimeout(harness.TIMEOUT)

            def receive():
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(harness.TIMEOUT)
                    fds = array.array("i")
                    data, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_LEN(64))
                    for level, kind, payload in ancillary:
                        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                            fds.frombytes(payload[:len(payload) - len(payload) % fds.itemsize])
                    masters.extend(fds)
                    return data.decode(), list(fds)
            try:
                yield path, receive
            finally:
                for fd in masters:
                    os.close(fd)
                os.unlink(path)
