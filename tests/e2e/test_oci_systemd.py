"""--systemd-cgroup where there is no systemd, or none that answers: refused with the reason and a cure. What
it does where there is one is tested in tests/vm/test_systemd.py."""

import json
import os
import socket
import threading

import harness
from oci_case import OciCase, oci_program


class NoSystemd(OciCase):
    def refused(self, path, *words, env=None):
        bundle = self.bundle("/bin/true", changes={"linux": {"cgroupsPath": path}})
        done = self.kept([oci_program(), "--root", self.state, "--systemd-cgroup", "create", "--bundle", bundle,
                          self.name], env=env)
        self.assert_status(done, 1)
        for word in words:
            self.assertIn(word, done.err)

    def test_without_systemd_the_error_has_a_cure(self):
        if os.path.exists("/run/systemd/private"):
            self.skipTest("systemd runs here")
        self.refused("system.slice:test:x", "systemd does not answer", "leave --systemd-cgroup out")

    def test_a_path_of_another_form_is_refused(self):
        for path in ("/a/b", "system.slice:test", "a:b:c", "a--b.slice:x:y", "system.slice:x:a/b", "system.slice:a:b:c"):
            with self.subTest(path):
                self.refused(path, "slice:prefix:name", "linux.cgroupsPath")

    def test_an_answer_that_is_no_message_is_named(self):
        if os.path.exists("/run/systemd/private"):
            self.skipTest("systemd runs here")
        path = os.path.join(self.dir, "bus")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bus:
            bus.bind(path)
            bus.listen(4)
            bus.settimeout(harness.TIMEOUT)

            def answer():
                connection, _ = bus.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"DATA\r\nOK 0123\r\n" + b"x" * 64)
                    connection.recv(4096)
            thread = threading.Thread(target=answer)
            thread.start()
            self.refused("system.slice:test:x", "is no D-Bus message",
                         env={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={path}"})
            thread.join()

    def test_features_tell_of_it(self):
        features = json.loads(self.oci("features").out)
        self.assertTrue(features["linux"]["cgroup"]["systemd"])
        self.assertTrue(features["linux"]["cgroup"]["systemdUser"])


if __name__ == "__main__":
    harness.main()
