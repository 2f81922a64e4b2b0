"""--systemd-cgroup: the container's cgroup is a scope of systemd, for root and for a user's session."""

import json
import os
import signal
import subprocess
import threading

import harness
from oci_case import OciCase, oci_program

USER = 1000


def systemctl(*arguments, user=False):
    argv = ["systemctl", *(["--user"] if user else []), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()


def properties(unit, *names, show=systemctl):
    lines = show("show", unit, *(f"--property={name}" for name in names)).splitlines()
    return dict(line.split("=", 1) for line in lines)


class SystemdCase(OciCase):
    def setUp(self):
        self.addCleanup(self.assert_no_unit)  # after all that the others add
        super().setUp()
        self.unit = f"test-{self.name}.scope"

    def assert_no_unit(self):
        harness.wait_until(lambda: self.gone(self.name), "end of all units")

    def gone(self, name):
        return systemctl("list-units", "--all", "--plain", "--no-legend", f"*{name}*") == ""

    def scope_bundle(self, *args, resources=None, path=None, **changes):
        linux = {"cgroupsPath": path or f"system.slice:test:{self.name}", "resources": resources or {}}
        return self.bundle(*(args or ("/bin/sleep", "1000")), changes={"linux": linux, **changes})

    def create(self, bundle, *options, name=None, **more):
        return self.kept([oci_program(), "--root", self.state, "--systemd-cgroup", "create", "--bundle", bundle,
                          *options, name or self.name], **more)

    def cgroup_of(self, pid):
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            paths = {line.split(":", 2)[2].strip() for line in file}
        self.assertEqual(len(paths), 1, paths)  # the same in every hierarchy
        return paths.pop()


class Scopes(SystemdCase):
    def test_a_life_in_a_scope(self):
        pid = self.start_new(self.scope_bundle())
        self.assertEqual(self.cgroup_of(pid), f"/system.slice/{self.unit}")
        shown = properties(self.unit, "ActiveState", "Slice", "Delegate", "Description", "DefaultDependencies")
        self.assertEqual(shown, {"ActiveState": "active", "Slice": "system.slice", "Delegate": "yes",
                                 "Description": f"caisson container {self.name}", "DefaultDependencies": "no"})
        self.assertEqual(self.state_of()["systemd-scope"], self.unit)
        inside = self.oci("exec", self.name, "cat", "/proc/self/cgroup").out.splitlines()
        self.assertEqual({line.split(":", 2)[2] for line in inside}, {"/"})
        self.assert_ok(self.oci("pause", self.name))
        self.assert_ok(self.oci("resume", self.name))
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.wait_stopped()
        self.delete()
        self.assertEqual(harness.cgroup_directories(self.unit), [])

    def test_limits_are_properties_and_files(self):
        if not harness.cgroup_v2_only():
            self.skipTest("names of cgroup v2")
        resources = {"memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20},
                     "cpu": {"quota": 33333, "period": 100000, "shares": 512, "cpus": "1", "mems": "0"},
                     "pids": {"limit": 44}, "unified": {"memory.high": str(48 << 20)}}
        self.start_new(self.scope_bundle(resources=resources))
        shown = properties(self.unit, "MemoryMax", "MemoryLow", "MemorySwapMax", "MemoryHigh", "TasksMax", "CPUWeight",
                           "CPUQuotaPerSecUSec", "AllowedCPUs", "AllowedMemoryNodes")
        self.assertEqual(shown, {"MemoryMax": str(64 << 20), "MemoryLow": str(32 << 20), "MemorySwapMax": str(32 << 20),
                                 "MemoryHigh": str(48 << 20), "TasksMax": "44", "CPUWeight": shown["CPUWeight"],
                                 "CPUQuotaPerSecUSec": "340ms", "AllowedCPUs": "1", "AllowedMemoryNodes": "0"})
        directory = f"/sys/fs/cgroup/system.slice/{self.unit}"
        for name, value in (("memory.max", str(64 << 20)), ("cpu.max", "33333 100000"), ("pids.max", "44"),
                            ("cpuset.cpus", "1"), ("cpu.weight", shown["CPUWeight"])):
            with open(f"{directory}/{name}", encoding="ascii") as file:
                self.assertEqual(file.read().strip(), value, name)

    def test_limits_and_devices_outlive_a_reload_of_systemd(self):
        node = {"path": "/dev/denied", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}
        bundle = self.scope_bundle("/bin/sleep", "1000", resources={"memory": {"limit": 64 << 20}, "pids": {"limit": 44}})
        config = os.path.join(bundle, "config.json")
        with open(config, encoding="utf-8") as file:
            content = json.load(file)
        content["linux"]["devices"] = [node]
        content["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"}]
        self.write_config(bundle, content)
        self.start_new(bundle)
        check = ("exec", self.name, "sh", "-c", "head -c 2 /dev/zero | wc -c; (: </dev/denied) 2>/dev/null || echo no")
        self.assertEqual(self.oci(*check).out, "2\nno\n")
        systemctl("daemon-reload")
        self.assertEqual(self.oci(*check).out, "2\nno\n")
        memory = "memory.max" if harness.cgroup_v2_only() else "memory.limit_in_bytes"
        root = "/sys/fs/cgroup" if harness.cgroup_v2_only() else "/sys/fs/cgroup/memory"
        with open(f"{root}/system.slice/{self.unit}/{memory}", encoding="ascii") as file:
            self.assertEqual(file.read().strip(), str(64 << 20))

    def test_slices_with_dashes_are_nested(self):
        pid = self.start_new(self.scope_bundle(path=f"testing-web.slice:test:{self.name}"))
        self.assertEqual(self.cgroup_of(pid), f"/testing.slice/testing-web.slice/{self.unit}")

    def test_without_a_path_the_name_is_ours(self):
        bundle = self.bundle("/bin/sleep", "1000")
        pid = self.start_new(bundle)
        self.assertEqual(self.cgroup_of(pid), f"/system.slice/caisson-{self.name}.scope")

    def test_annotations_are_properties(self):
        annotations = {"org.systemd.property.TimeoutStopSec": "uint64 7",
                       "org.systemd.property.CollectMode": "'inactive'",
                       "org.systemd.property.Before": "['umount.target']"}
        self.start_new(self.scope_bundle(annotations=annotations))
        shown = properties(self.unit, "TimeoutStopUSec", "CollectMode", "Before")
        self.assertEqual(shown["TimeoutStopUSec"], "7s")
        self.assertEqual(shown["CollectMode"], "inactive")
        self.assertIn("umount.target", shown["Before"])

    def test_an_unknown_property_of_an_annotation_is_refused(self):
        done = self.create(self.scope_bundle(annotations={"org.systemd.property.NoSuchThing": "true"}))
        self.assertNotEqual(done.status, 0)
        self.assertIn("NoSuchThing", done.err)

    def test_a_failed_unit_of_the_same_name_is_no_obstacle(self):
        subprocess.run(["systemd-run", "--quiet", "--wait", f"--unit={self.unit.removesuffix('.scope')}-x", "false"],
                       check=False, timeout=60)
        failed = subprocess.run(["systemd-run", "--scope", "--quiet", f"--unit={self.unit}", "sh", "-c",
                                 "kill -KILL $$"], check=False, timeout=60)
        self.assertNotEqual(failed.returncode, 0)
        self.addCleanup(systemctl, "reset-failed")
        self.start_new(self.scope_bundle())
        self.delete("--force")
        systemctl("reset-failed")

    def test_a_unit_in_use_is_named_and_left_alone(self):
        other = subprocess.Popen(["systemd-run", "--scope", "--quiet", f"--unit={self.unit}", "sleep", "1000"])
        self._background.add(other.pid)
        try:
            harness.wait_until(lambda: systemctl("is-active", self.unit) == "active", "the other scope")
            done = self.create(self.scope_bundle())
            self.assertNotEqual(done.status, 0)
            self.assertIn(self.unit, done.err)
            self.assertIn("in use", done.err)
            self.assertEqual(systemctl("is-active", self.unit), "active")
            self.assertIsNone(other.poll())
        finally:
            other.kill()
            other.wait()
            self._background.discard(other.pid)
            harness.wait_until(lambda: systemctl("is-active", self.unit) != "active", "its end")
            systemctl("reset-failed")

    def test_a_create_that_fails_leaves_no_scope(self):
        done = self.create(self.scope_bundle("/bin/no-such-program"))
        self.assertNotEqual(done.status, 0)

    def test_a_killed_create_leaves_no_scope(self):
        for step in ("create:process", "create:save", "create:done"):
            name = f"{self.name}-{step.partition(':')[2]}"
            bundle = self.scope_bundle(path=f"system.slice:test:{name}")
            done = self.create(bundle, name=name, env={"CAISSON_FAULT": step})
            self.assertEqual(done.status, 128 + signal.SIGKILL, step)
            self.oci("delete", "--force", name)
            harness.wait_until(lambda: self.gone(name), f"end of the scope after {step}")

    def test_a_container_that_ends_by_itself_is_deleted(self):
        self.start_new(self.scope_bundle("/bin/true"))
        self.wait_stopped()
        self.delete()

    def test_an_out_of_memory_kill_leaves_nothing(self):
        bundle = self.scope_bundle("/bin/sh", "-c", "head -c 100000000 /dev/zero | tail -c 100000000 >/dev/null",
                                   resources={"memory": {"limit": 16 << 20, "swap": 16 << 20}})
        self.start_new(bundle)
        self.wait_stopped()
        self.delete()

    def test_many_at_once(self):
        bundle = self.bundle("/bin/true")
        results = []

        def one(number):
            results.append(harness.run([oci_program(), "--root", self.state, "--systemd-cgroup", "run", "--bundle", bundle,
                                        f"{self.name}-{number}"], timeout=120))
        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([str(each) for each in results if each.status != 0], [])

    def test_the_bus_daemon_serves_as_well(self):
        address = "unix:path=/run/dbus/system_bus_socket"
        self.assert_ok(self.create(self.scope_bundle(), env={"DBUS_SYSTEM_BUS_ADDRESS": address}))
        self.assertEqual(systemctl("is-active", self.unit), "active")

    def test_a_bus_that_never_answers_is_left_for_the_next(self):
        import socket
        path = os.path.join(self.dir, "silent")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
            silent.bind(path)
            silent.listen(4)
            done = self.create(self.scope_bundle(), env={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={path}"}, timeout=60)
        # The next address is tried.
        self.assert_ok(done)


class Sessions(SystemdCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run(["systemctl", "start", f"user@{USER}.service"], check=True, timeout=90)

    def as_guest(self, *argv, **options):
        runtime = f"/run/user/{USER}"
        environment = {"HOME": "/home/guest", "USER": "guest", "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": runtime}
        return harness.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--", *argv],
                           env=environment, cwd="/home/guest", **options)

    def rootless_bundle(self, *args, resources=None):
        config = harness.default_config()
        config["mounts"] = [each for each in config["mounts"] if each["destination"] not in ("/dev/pts", "/sys", "/sys/fs/cgroup")]
        config["mounts"].append({"destination": "/sys", "type": "none", "source": "/sys",
                                 "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]})
        config["linux"]["namespaces"] = [{"type": kind} for kind in ("user", "pid", "ipc", "uts", "mount", "cgroup")]
        config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": USER, "size": 1}]
        config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": USER, "size": 1}]
        config["linux"]["resources"] = resources or {}
        config["linux"]["cgroupsPath"] = f"user.slice:test:{self.name}"
        bundle = self.bundle(*args, config=config)
        subprocess.run(["chown", "-R", f"{USER}:{USER}", bundle], check=True)
        return bundle

    def test_a_user_gets_limits_by_his_own_systemd(self):
        if not harness.cgroup_v2_only():
            self.skipTest("nothing of cgroup v1 is delegated to users")
        resources = {"memory": {"limit": 64 << 20}, "pids": {"limit": 33}}
        bundle = self.rootless_bundle("/bin/sh", "-c", "cat /proc/self/cgroup", resources=resources)
        state = f"/run/user/{USER}/caisson-{self.name}"
        script = f"""
        {oci_program()} --root {state} --systemd-cgroup create --bundle {bundle} {self.name} </dev/null >/dev/null 2>/home/guest/err ||
          {{ cat /home/guest/err; exit 1; }}
        systemctl --user show {self.unit} --property=MemoryMax,TasksMax,ActiveState
        cat /sys/fs/cgroup/user.slice/user-{USER}.slice/user@{USER}.service/user.slice/{self.unit}/pids.max
        {oci_program()} --root {state} delete --force {self.name}
        systemctl --user list-units --all --plain --no-legend '*{self.name}*'
        """
        done = self.as_guest("sh", "-c", script)
        self.assert_ok(done)
        self.assertEqual(sorted(done.out.split()), sorted(["MemoryMax=67108864", "TasksMax=33", "ActiveState=active", "33"]))


if __name__ == "__main__":
    harness.main()
