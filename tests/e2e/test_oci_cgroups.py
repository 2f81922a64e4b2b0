"""Cgroups of containers: limits, membership, removal; on this host and in a pure cgroup v2 view."""

import os
import signal
import time

import harness
from oci_case import OciCase, oci_program


class Cgroups(OciCase):
    def setUp(self):
        super().setUp()
        if harness.cgroup_v2_only():
            self.skipTest("a host with cgroup v1 hierarchies")

    def read(self, controller, name):
        with open(f"/sys/fs/cgroup/{controller}/{self.name}/{name}", encoding="ascii") as file:
            return file.read().strip()

    def test_limits_are_in_the_files_and_the_process_in_every_hierarchy(self):
        resources = {"pids": {"limit": 44}, "memory": {"limit": 64 << 20, "reservation": 32 << 20},
                     "cpu": {"shares": 512, "quota": 50000, "period": 100000}}
        pid = self.start_new(self.bundle("/bin/sleep", "1000", changes={"linux": {"resources": resources}}))
        self.assertEqual(self.read("pids", "pids.max"), "44")
        self.assertEqual(self.read("memory", "memory.limit_in_bytes"), str(64 << 20))
        self.assertEqual(self.read("memory", "memory.soft_limit_in_bytes"), str(32 << 20))
        self.assertEqual(self.read("cpu", "cpu.shares"), "512")
        self.assertEqual(self.read("cpu", "cpu.cfs_quota_us"), "50000")
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            for line in file:
                self.assertTrue(line.strip().endswith("/" + self.name), line)
        self.delete("--force")
        self.assertEqual(harness.cgroup_directories(self.name), [])

    def test_a_cgroup_namespace_is_rooted_at_the_container_in_every_hierarchy(self):
        done = self.run_in("cat /proc/self/cgroup; mknod /tmp/d b 7 0; head -c1 /tmp/d; head -c1 /dev/zero | wc -c",
                           {"root": {"readonly": False}, "process": {"capabilities": {
                               kind: ["CAP_MKNOD"] for kind in ("bounding", "effective", "permitted")}}})
        *members, zeros = done.out.splitlines()
        self.assertGreater(len(members), 1, str(done))
        self.assertEqual([line for line in members if not line.endswith(":/")], [], str(done))
        # The rules of the devices hierarchy hold all the same.
        self.assertEqual(zeros, "1", str(done))
        self.assertIn("Operation not permitted", done.err, str(done))

    def test_without_cgroups_it_stays_in_ours_and_sees_them_read_only(self):
        bundle = self.bundle("/bin/sh", "-c", "cat /proc/self/cgroup; touch /sys/fs/cgroup/pids/x 2>&1", changes={
            "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}], "resources": {"pids": {"limit": 3}}},
            "hostname": None})
        done = self.oci("--cgroup-manager=disabled", "run", "--bundle", bundle, self.name)
        with open("/proc/self/cgroup", encoding="ascii") as file:
            self.assertTrue(done.out.startswith(file.read()), str(done))
        self.assertIn("Read-only file system", done.out)
        done = self.oci("--cgroup-manager=nonsense", "run", "--bundle", bundle, self.name)
        self.assertNotEqual(done.status, 0)
        self.assertIn("disabled", done.err)

    def test_a_start_that_memory_does_not_suffice_for_is_told(self):
        for limit in (4 << 10, 64 << 10):
            done = self.run_in("true", {"linux": {"resources": {"memory": {"limit": limit}}}})
            self.assert_status(done, 1)
            self.assertRegex(done.err, "OOM-killed|[Cc]annot allocate memory|unable to set memory limit")
            self.assertIn("memory.limit", done.err)
            self.assertEqual(self.oci("list", "--quiet").out, "")

    def test_without_a_pid_namespace_sigkill_reaches_everybody(self):
        changes = {"linux": {"namespaces": [{"type": "mount"}]}, "hostname": None}
        members = f"/sys/fs/cgroup/pids/{self.name}/cgroup.procs"
        for init_first in (False, True):
            pid = self.start_new(self.bundle("/bin/sleep", "1000", changes=changes))
            for _ in range(3):
                self.assert_ok(self.kept_oci("exec", "--detach", self.name, "sleep", "1000"))
            self.assertEqual(self.count(members), 4)
            if init_first:
                os.kill(pid, signal.SIGKILL)
                self.wait_stopped()
                self.assertEqual(self.count(members), 3)
            self.assert_ok(self.oci("kill", self.name, "KILL"))
            harness.wait_until(lambda: self._reap() or self.count(members) == 0, "all are gone")
            self.assertEqual(self.oci("ps", "--format", "json", self.name).out, "[]\n")
            self.delete()

    def count(self, path):
        with open(path, encoding="ascii") as file:
            return len(file.readlines())

    def test_a_path_that_is_given_is_used_and_removed_with_its_parents_kept(self):
        path = f"/{self.name}-parent/below"
        self.addCleanup(self.remove_parents)
        pid = self.start_new(self.bundle("/bin/sleep", "1000", changes={"linux": {"cgroupsPath": path}}))
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            self.assertTrue(all(line.strip().endswith(path) for line in file))
        self.delete("--force")
        self.assertEqual([found for found in harness.cgroup_directories(self.name) if found.endswith("/below")], [])

    def remove_parents(self):
        for path in harness.cgroup_directories(self.name):
            os.rmdir(path)

    def test_a_container_fits_in_512_kilobytes(self):
        done = self.oci("run", "-b", self.bundle("/bin/true", changes={"linux": {"resources": {"memory": {"limit": 512 << 10}}}}), self.name)
        self.assertEqual(done.status, 0, str(done))

    def test_a_limit_of_pids_holds(self):
        done = self.run_in("for i in 1 2 3 4 5 6; do sleep 5 & done 2>&1; exit 0",
                           {"linux": {"resources": {"pids": {"limit": 4}}}})
        self.assertIn("can't fork", done.out + done.err)

    def test_pause_stops_and_resume_goes_on(self):
        self.start_new(self.bundle("/bin/sh", "-c", "while :; do echo x; sleep 0.02; done"))
        harness.wait_until(self.kept_output, "output")
        self.assert_ok(self.oci("pause", self.name))
        self.assertEqual(self.state_of()["status"], "paused")
        before = self.kept_output()
        time.sleep(0.3)
        self.assertEqual(self.kept_output(), before)
        self.assert_ok(self.oci("resume", self.name))
        harness.wait_until(lambda: len(self.kept_output()) > len(before), "it goes on")
        self.assert_ok(self.oci("pause", self.name))
        self.delete("--force")


class Delegation(OciCase):
    def test_a_writable_cgroup_belongs_to_the_containers_first_user(self):
        mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        config = harness.default_config()
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"].update(uidMappings=mapping, gidMappings=mapping)
        config["root"]["readonly"] = False
        script = "stat -c %u /sys/fs/cgroup /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/cgroup.max.depth; mkdir /sys/fs/cgroup/x 2>/dev/null && echo made"
        outputs = []
        for readonly in (True, False):
            if not readonly:
                config["mounts"][-1]["options"].remove("ro")
            bundle = self.bundle("/bin/sh", "-c", script, config=config)
            done = harness.run(self.v2_view([oci_program(), "--root", self.state, "run", "--bundle", bundle, self.name]))
            outputs.append(done.out.split())
        self.assertEqual(outputs, [["65534"] * 3, ["0", "0", "65534", "made"]])


class PureV2(OciCase):
    """The same commands where /sys/fs/cgroup is cgroup v2 alone, in one mount namespace."""

    def test_a_life_in_a_pure_v2_view(self):
        bundle = self.bundle("/bin/sleep", "1000", changes={"linux": {
            "devices": [{"path": "/dev/denied", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]}})
        script = f"""
        oci() {{ {oci_program()} --root {self.state} "$@"; }}
        oci create --bundle {bundle} {self.name} </dev/null >/dev/null 2>&1
        cgroup=/sys/fs/cgroup/{self.name}
        echo members $(wc -l < $cgroup/cgroup.procs)
        oci start {self.name}
        oci exec {self.name} sh -c 'cat /proc/self/cgroup; head -c1 /dev/denied 2>&1; head -c1 /dev/zero | wc -c'
        oci pause {self.name}; cat $cgroup/cgroup.freeze; oci state {self.name} | grep status
        oci resume {self.name}; cat $cgroup/cgroup.freeze
        oci kill --all {self.name} KILL
        while oci state {self.name} | grep -q running; do sleep 0.05; done
        oci delete {self.name}
        test -e $cgroup || echo gone
        """
        done = harness.run(self.v2_view(["sh", "-c", script]))
        self.assert_ok(done)
        for expected in ("members 1\n", "0::/", "Operation not permitted", "\n1\n1\n", '"paused"', "\n0\n", "gone\n"):
            self.assertIn(expected, done.out, str(done))


if __name__ == "__main__":
    harness.main()
