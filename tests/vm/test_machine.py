"""A machine with systemd, AppArmor and an older kernel: what caisson does there for root and for users."""

import os
import subprocess

import harness
from oci_case import OciCase

USER = 1000
PROFILE = "caisson-test"
RULES = """
profile caisson-test flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  mount,
  umount,
  signal,
  ptrace,
  deny /forbidden w,
}
"""


class Run(OciCase):
    def test_the_view_of_this_machine(self):
        done = self.caisson("run", "--", "sh", "-c", "echo changed >/etc/motd; cat /etc/motd; hostname; ps -e | wc -l")
        self.assert_ok(done)
        self.assertIn("changed\n", done.out)
        with open("/etc/motd", encoding="utf-8") as file:
            self.assertNotIn("changed", file.read())

    def test_doctor_finds_nothing_wrong(self):
        self.assert_ok(self.caisson("doctor"))

    def test_a_bundle_from_create_to_delete(self):
        self.start_new(self.bundle("/bin/sleep", "1000"))
        done = self.oci("exec", self.name, "id", "-u")
        self.assertEqual(done.out, "0\n", str(done))
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.wait_stopped()
        self.delete()

    def test_a_user_namespace_and_an_id_mapped_mount(self):
        shared = os.path.join(self.dir, "shared")
        os.mkdir(shared)
        maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        mount = {"destination": "/shared", "type": "bind", "source": shared, "options": ["bind", "rw"],
                 "uidMappings": maps, "gidMappings": maps}
        config = harness.default_config()
        config["mounts"].append(mount)
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"].update(uidMappings=maps, gidMappings=maps)
        config["process"]["args"] = ["/bin/sh", "-c", "touch /shared/new && stat -c %u /shared/new"]
        bundle = self.bundle(config=config)
        os.mkdir(os.path.join(bundle, "rootfs/shared"))
        os.chmod(bundle, 0o755)
        done = self.oci("run", "--bundle", bundle, self.name)
        self.assert_ok(done)
        self.assertEqual(done.out, "0\n")
        self.assertEqual(os.stat(os.path.join(shared, "new")).st_uid, 0)

    def test_peers_and_we_write_the_same_limits(self):
        resources = {"memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20},
                     "cpu": {"quota": 50000, "period": 100000}, "pids": {"limit": 55}}
        names = ("memory.max", "memory.low", "memory.swap.max", "cpu.max", "pids.max", "cpuset.cpus")
        script = "; ".join(f"cat /sys/fs/cgroup/{name}" for name in names)
        bundle = self.bundle("/bin/sh", "-c", script, changes={"linux": {"resources": resources}})
        ours = self.oci("run", "--bundle", bundle, self.name)
        self.assert_ok(ours)
        for peer in ("runc", "crun"):
            root = os.path.join(self.dir, peer)
            theirs = harness.run([peer, "--root", root, "run", "--bundle", bundle, f"{self.name}-{peer}"])
            self.assert_ok(theirs)
            self.assertEqual(ours.out, theirs.out, peer)


class AppArmor(OciCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run(["apparmor_parser", "--replace", "--skip-cache"], input=RULES, text=True, check=True)

    @classmethod
    def tearDownClass(cls):
        subprocess.run(["apparmor_parser", "--remove"], input=RULES, text=True, check=True)

    def test_a_profile_confines_the_program(self):
        out = self.output_of("cat /proc/self/attr/current; echo x >/allowed && echo written; echo x >/forbidden || echo no",
                             {"root": {"readonly": False}, "process": {"apparmorProfile": PROFILE}})
        self.assertEqual(out, f"{PROFILE} (enforce)\nwritten\nno\n")

    def test_without_a_profile_nothing_is_confined(self):
        self.assertEqual(self.output_of("cat /proc/self/attr/current"), "unconfined\n")

    def test_an_exec_gets_the_containers_profile_or_its_own(self):
        self.start_new(self.bundle("/bin/sleep", "1000", changes={"process": {"apparmorProfile": PROFILE}}))
        done = self.oci("exec", self.name, "cat", "/proc/self/attr/current")
        self.assertEqual(done.out, f"{PROFILE} (enforce)\n", str(done))

    def test_an_exec_into_an_unconfined_container_takes_the_option(self):
        self.start_new(self.bundle("/bin/sleep", "1000"))
        done = self.oci("exec", "--apparmor", PROFILE, self.name, "cat", "/proc/self/attr/current")
        self.assertEqual(done.out, f"{PROFILE} (enforce)\n", str(done))

    def test_a_missing_profile_is_refused_by_name(self):
        done = self.run_in("true", {"process": {"apparmorProfile": "no-such-profile"}})
        self.assertNotEqual(done.status, 0)
        self.assertIn("no-such-profile", done.err)
        self.assertIn("apparmor", done.err.lower())


class Users(OciCase):
    """User 1000 with a session of systemd, as after a login."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run(["systemctl", "start", f"user@{USER}.service"], check=True, timeout=90)

    def setUp(self):
        super().setUp()
        os.chmod("/opt/caisson", 0o755)

    def in_session(self, *argv, delegate=True):
        """Runs a program in a scope of the user's systemd that is delegated to him."""
        scope = ["systemd-run", "--user", "--scope", "--quiet", "--collect", f"--unit={self.name}-caller"]
        if delegate:
            scope += ["--property=Delegate=yes"]
        runtime = f"/run/user/{USER}"
        environment = {"HOME": "/home/guest", "USER": "guest", "XDG_RUNTIME_DIR": runtime, "PATH": os.environ["PATH"],
                       "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
        return harness.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--", *scope, *argv],
                           env=environment, cwd="/home/guest")

    def test_a_view_for_a_user(self):
        done = self.in_session(harness.CAISSON, "run", "-q", "--", "sh", "-c", "id -u; echo $$")
        self.assert_ok(done)
        self.assertRegex(done.out, r"^1000\n\d+\n$")

    def test_limits_below_a_cgroup_with_processes_are_refused_with_the_reason(self):
        done = self.in_session(harness.CAISSON, "run", "-q", "--pids", "21", "--", "true")
        self.assert_status(done, 125)
        self.assertIn("--pids", done.err)
        self.assertRegex(done.err, r"-caller\.scope: EBUSY \(processes live in it itself\)")
        self.assertNotIn("memory in", done.err)


if __name__ == "__main__":
    harness.main()
