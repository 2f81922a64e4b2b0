"""Network devices of the host that a container is given (linux.netDevices). The "host" is a network
namespace of the test's own, made of veth pairs: their first halves move."""

import json
import os
import subprocess

import harness
from oci_case import OciCase, hook


class NetDevices(OciCase):
    def setUp(self):
        super().setUp()
        # A process that keeps the namespace; commands enter it through its pid.
        self.keeper = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
        self.addCleanup(self.keeper.wait)
        self.addCleanup(self.keeper.kill)
        own = os.readlink("/proc/self/ns/net")
        harness.wait_until(lambda: os.readlink(f"/proc/{self.keeper.pid}/ns/net") != own, "unshare")

    def outside(self, *argv, **options):
        return harness.run(["nsenter", f"--net=/proc/{self.keeper.pid}/ns/net", *argv], **options)

    def ip(self, *words):
        done = self.outside("ip", *words)
        self.assert_ok(done)
        return done.out

    def veth(self, name, *addresses, up=True):
        self.ip("link", "add", name, "type", "veth", "peer", "name", name + "p")
        for address in addresses:
            self.ip("addr", "add", address, "dev", name)
        if up:
            self.ip("link", "set", name, "up")

    def names(self):
        return {link["ifname"] for link in json.loads(self.ip("-json", "link", "show"))}

    def run_with(self, devices, script="cat /proc/net/dev; ip addr", **changes):
        bundle = self.bundle("/bin/sh", "-c", script,
                             changes=harness.deep_update({"linux": {"netDevices": devices}}, changes))
        program = os.path.join(os.path.dirname(harness.CAISSON), "caisson-oci")
        return self.outside(program, "--root", self.state, "run", "--bundle", bundle, self.name)

    def test_a_device_moves_with_its_lasting_addresses_and_is_up(self):
        self.veth("eth7", "10.9.8.7/24", "192.0.2.1/32", "fd00::7/64", "169.254.1.1/16", up=False)
        self.ip("addr", "add", "10.1.1.1/24", "dev", "eth7", "scope", "link")
        self.ip("addr", "add", "10.1.2.1/24", "dev", "eth7", "valid_lft", "1000", "preferred_lft", "9")
        done = self.run_with({"eth7": {}})
        self.assert_ok(done)
        for address in ("10.9.8.7/24", "192.0.2.1/32", "fd00::7/64", "169.254.1.1/16"):
            self.assertIn(address, done.out)
        for address in ("10.1.1.1", "10.1.2.1"):
            self.assertNotIn(address, done.out)
        device = next(line for line in done.out.splitlines() if ": eth7@" in line)
        self.assertRegex(device, "[<,]UP[,>]")
        self.assertNotIn("eth7", self.names())

    def test_it_takes_another_name_and_templates_find_a_free_one(self):
        for name in ("one", "two", "three"):
            self.veth(name)
        done = self.run_with({"one": {"name": "lan"}, "two": {"name": "net%d"}, "three": {"name": "net%d"}},
                             script="ls /sys/class/net")
        self.assert_ok(done)
        self.assertEqual(done.out.split(), ["lan", "lo", "net0", "net1"])

    def test_a_template_passes_over_names_that_are_taken(self):
        self.veth("one")
        self.veth("two")
        done = self.run_with({"one": {"name": "net0"}, "two": {"name": "net%d"}},
                             script="ls /sys/class/net")
        self.assert_ok(done)
        self.assertEqual(done.out.split(), ["lo", "net0", "net1"])

    def test_into_a_user_namespace(self):
        self.veth("one", "10.9.8.7/24")
        maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        namespaces = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user")]
        done = self.run_with({"one": {"name": "lan"}}, linux={
            "namespaces": namespaces, "uidMappings": maps, "gidMappings": maps})
        self.assert_ok(done)
        self.assertIn("10.9.8.7/24", done.out)

    def test_a_clash_is_an_error_and_everything_is_put_back(self):
        self.veth("one", "10.9.8.7/24", "fd00::7/64")
        self.veth("two")
        done = self.run_with({"one": {"name": "lan"}, "two": {"name": "lo"}})
        self.assert_status(done, 1)
        self.assertIn('has a device "lo" already', done.err)
        self.assertTrue({"one", "two"} <= self.names())
        shown = self.ip("addr", "show", "dev", "one")
        self.assertIn("10.9.8.7/24", shown)
        self.assertIn("fd00::7/64", shown)
        self.assertRegex(shown, "[<,]UP[,>]")

    def test_a_start_that_fails_later_puts_it_back(self):
        self.veth("one", "10.9.8.7/24")
        done = self.run_with({"one": {"name": "lan"}}, hooks={"createRuntime": [hook("exit 3")]})
        self.assert_status(done, 1)
        self.assertIn("10.9.8.7/24", self.ip("addr", "show", "dev", "one"))

    def test_what_cannot_be_moved(self):
        for devices, words in (({"none": {}}, "No such device"), ({"lo": {"name": "lan"}}, "lo"),
                               ({"a/b": {}}, "invalid network device name"),
                               ({"lo": {"name": "x" * 16}}, "invalid network device name"),
                               ({"lo": {"name": "a%s"}}, "invalid network device name")):
            done = self.run_with(devices)
            self.assert_status(done, 1)
            self.assertIn(words.lower(), done.err.lower())
        namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
        done = self.run_with({"lo": {}}, linux={"namespaces": namespaces})
        self.assertIn("unable to move network devices without a NET namespace", done.err)


if __name__ == "__main__":
    harness.main()
