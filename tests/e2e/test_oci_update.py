"""update: new limits for containers that exist, seen in the files from outside and by their effect
inside; on this host's v1 hierarchies and in a pure cgroup v2 view."""

import json
import os

import harness
from oci_case import KILLED, OciCase, oci_program
from update_case import UpdateClaims

UNLIMITED_V1 = "9223372036854771712"
MIB = 1 << 20


class UpdateCase(UpdateClaims, OciCase):
    RESOURCES = {"memory": {"limit": 32 * MIB, "reservation": 24 * MIB}, "pids": {"limit": 20},
                 "cpu": {"shares": 100, "quota": 500000, "period": 1000000}}

    def setUp(self):
        super().setUp()
        if harness.cgroup_v2_only():
            self.skipTest("a host with cgroup v1 hierarchies")

    def start_limited(self, *args, resources=None):
        changes = {"linux": {"resources": self.RESOURCES if resources is None else resources}}
        return self.start_new(self.bundle(*(args or ("/bin/sleep", "1000")), changes=changes))

    def path(self, file):
        controller = "blkio" if file.startswith("blkio") else file.split(".")[0]
        return f"/sys/fs/cgroup/{controller}/{self.name}/{file}"

    def read(self, file):
        with open(self.path(file), encoding="ascii") as stream:
            return stream.read().strip()

    def file_of(self, keyword):
        """pids_max: a dot instead of the first underscore."""
        return keyword.replace("_", ".", 1)


class Limits(UpdateCase):
    def test_memory_grows_shrinks_and_becomes_unlimited(self):
        self.start_limited()
        self.assert_updated("--memory", str(64 * MIB), memory_limit_in_bytes=64 * MIB,
                            memory_soft_limit_in_bytes=24 * MIB)
        self.assert_updated("--memory", "50M", memory_limit_in_bytes=50 * MIB)
        self.assert_updated("--memory-reservation", "32M", memory_soft_limit_in_bytes=32 * MIB,
                            memory_limit_in_bytes=50 * MIB)
        if os.path.exists(self.path("memory.memsw.limit_in_bytes")):
            self.assert_updated("--memory-swap", "-1", **{"memory_memsw.limit_in_bytes": UNLIMITED_V1})
            self.assert_updated("--memory-swap", "92M", **{"memory_memsw.limit_in_bytes": 92 * MIB})
            # Above what both were together, then below.
            self.assert_updated("--memory", "100M", "--memory-swap", "120M", memory_limit_in_bytes=100 * MIB,
                                **{"memory_memsw.limit_in_bytes": 120 * MIB})
            self.assert_updated("--memory", "30M", "--memory-swap", "50M", memory_limit_in_bytes=30 * MIB,
                                **{"memory_memsw.limit_in_bytes": 50 * MIB})
            self.assert_refused("memory+swap limit should be >= memory limit", "--memory", "60M",
                                memory_limit_in_bytes=30 * MIB)
            self.assert_updated("--memory", "-1", memory_limit_in_bytes=UNLIMITED_V1,
                                **{"memory_memsw.limit_in_bytes": UNLIMITED_V1})
        self.assert_updated("--memory", "-1", memory_limit_in_bytes=UNLIMITED_V1)

    def test_less_memory_than_is_in_use_is_refused_and_nothing_changes(self):
        self.start_limited()
        self.assert_refused("unable to set memory limit to 4096", "--memory", "4096", "--cpu-share", "300",
                            memory_limit_in_bytes=32 * MIB, cpu_shares=100)
        self.assert_refused("rejecting memory limit", json_input={
            "memory": {"limit": 4096, "checkBeforeUpdate": True}, "pids": {"limit": 5}},
            memory_limit_in_bytes=32 * MIB, pids_max=20)
        self.assertEqual(self.state_of()["status"], "running")

    def test_cpu_time_and_weight(self):
        self.start_limited()
        self.assert_updated("--cpu-period", "900000", cpu_cfs_period_us=900000, cpu_cfs_quota_us=500000)
        self.assert_updated("--cpu-quota", "600000", cpu_cfs_period_us=900000, cpu_cfs_quota_us=600000)
        self.assert_updated("--cpu-quota", "-1", cpu_cfs_period_us=900000, cpu_cfs_quota_us=-1)
        self.assert_updated("--cpu-share", "200", cpu_shares=200, cpu_cfs_quota_us=-1)
        self.assert_refused("the minimum allowed cpu-shares is 2", "--cpu-share", "1", cpu_shares=200)
        if os.path.exists(self.path("cpu.idle")):
            self.assert_updated("--cpu-idle", "1", cpu_idle=1)
            self.assert_updated("--cpu-period", "10000", cpu_idle=1)
            for value in ("-1", "2", "x"):
                self.assert_refused("cpu-idle", "--cpu-idle", value, cpu_idle=1)
            self.assert_updated(json_input={"cpu": {"idle": 0}}, cpu_idle=0, cpu_shares=200)

    def test_values_that_stand_in_each_others_way(self):
        parent = f"/sys/fs/cgroup/cpu/{self.name}"
        os.mkdir(parent)
        self.addCleanup(lambda: os.path.isdir(parent) and os.rmdir(parent))
        with open(os.path.join(parent, "cpu.cfs_quota_us"), "w", encoding="ascii") as file:
            file.write("50000")
        changes = {"linux": {"cgroupsPath": f"/{self.name}/below"}}
        self.start_new(self.bundle("/bin/sleep", "1000", changes=changes))
        self.addCleanup(self.oci, "delete", "--force", self.name)
        below = os.path.join(parent, "below")

        def read(name):
            with open(os.path.join(below, name), encoding="ascii") as file:
                return file.read().strip()

        # The parent has half a CPU: 60 % is too much at any period, and 30 % of a shorter period is
        # refused as long as the quota is that of the longer one.
        self.assert_status(self.update("--cpu-quota", "60000"), 1)
        self.assertEqual(read("cpu.cfs_quota_us"), "-1")
        self.assert_ok(self.update("--cpu-quota", "30000"))
        self.assert_ok(self.update("--cpu-period", "10000", "--cpu-quota", "3000"))
        self.assertEqual((read("cpu.cfs_period_us"), read("cpu.cfs_quota_us")), ("10000", "3000"))
        if os.path.exists(os.path.join(below, "cpu.cfs_burst_us")):
            self.assert_ok(self.update("--cpu-burst", "3000"))
            self.assert_ok(self.update("--cpu-quota", "1000", "--cpu-burst", "500"))
            self.assertEqual((read("cpu.cfs_quota_us"), read("cpu.cfs_burst_us")), ("1000", "500"))

    def test_processors_and_disks(self):
        self.start_limited()
        last = os.cpu_count() - 1
        self.assert_updated("--cpuset-cpus", str(last), cpuset_cpus=last)
        done = self.oci("exec", self.name, "sh", "-c", "grep Cpus_allowed_list /proc/self/status")
        self.assertEqual(done.out.split()[-1], str(last))
        self.assert_refused("does not accept", "--pids-limit", "5", "--cpuset-cpus", "999",
                            cpuset_cpus=last, pids_max=20)
        self.assert_refused("not a list", "--cpuset-cpus", "0-", cpuset_cpus=last)
        if os.path.exists(self.path("blkio.bfq.weight")):
            self.assert_updated("--blkio-weight", "700", **{"blkio_bfq.weight": 700})

    def test_a_limit_of_processes_takes_hold_at_once(self):
        self.start_limited(resources={"pids": {"limit": -1}})
        self.assert_files(pids_max="max")
        self.assert_updated("--pids-limit", "3", pids_max=3)
        done = self.oci("exec", self.name, "sh", "-c", "sleep 1 & sleep 1 & sleep 1 & wait")
        self.assertIn("can't fork", done.out + done.err)
        self.assert_updated("--pids-limit", "-1", pids_max="max")
        self.assert_ok(self.oci("exec", self.name, "sh", "-c", "sleep 0 & sleep 0 & wait"))
        self.assert_updated("--pids-limit", "0", pids_max=0)
        self.assert_updated(json_input={"pids": {"limit": 1}}, pids_max=1)

    def test_everything_at_once_from_standard_input_and_a_file(self):
        self.start_limited()
        self.assert_updated("--cpu-period", "900000", "--cpu-quota", "600000", "--cpu-share", "200", "--memory",
                            "64M", "--memory-reservation", "32M", "--pids-limit", "10", pids_max=10,
                            memory_limit_in_bytes=64 * MIB, cpu_shares=200, cpu_cfs_quota_us=600000)
        path = os.path.join(self.dir, "resources.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**self.RESOURCES, "unknown": {"x": 1}}, file)
        # With --resources nothing else counts.
        self.assert_updated("--resources", path, "--pids-limit", "7", pids_max=20, cpu_shares=100,
                            memory_limit_in_bytes=32 * MIB, cpu_cfs_quota_us=500000, cpu_cfs_period_us=1000000)
        done = self.oci("update", "-r", os.path.join(self.dir, "absent"), self.name)
        self.assert_status(done, 1)
        self.assertIn("absent", done.err)
        done = self.oci("update", "-r", "-", self.name, input="{\"pids\": {\"limit\": \"x\"}}")
        self.assert_status(done, 1)
        self.assertIn("pids.limit", done.err)

    def test_unified_needs_its_controller(self):
        self.start_limited()
        self.assert_refused("cpu.max", json_input={"unified": {"cpu.max": "max 100000"}}, cpu_cfs_quota_us=500000)


class Devices(UpdateCase):
    def allowed(self):
        with open(f"/sys/fs/cgroup/devices/{self.name}/devices.list", encoding="ascii") as file:
            return file.read().splitlines()

    def test_stay_as_they_are_unless_rules_are_given(self):
        self.start_limited()
        # Somebody else's rule (a GPU tool's, say) survives what has nothing to do with it.
        with open(f"/sys/fs/cgroup/devices/{self.name}/devices.allow", "w", encoding="ascii") as file:
            file.write("c 195:* rw")
        self.assert_updated("--pids-limit", "9", pids_max=9)
        self.assertIn("c 195:* rw", self.allowed())
        rules = [{"allow": False, "access": "rwm"},
                 {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}]
        self.assert_ok(self.update(json_input={"devices": rules}))
        self.assertIn("c 1:11 r", self.allowed())
        self.assertNotIn("c 195:* rw", self.allowed())
        self.assertIn("c 1:3 rwm", self.allowed())
        self.assert_ok(self.update(json_input={"devices": rules[:1]}))
        self.assertNotIn("c 1:11 r", self.allowed())

    def test_are_never_taken_away_while_others_change(self):
        script = "while :; do echo x > /dev/null || echo denied; done"
        self.start_limited("/bin/sh", "-c", script)
        for minor in range(10):
            self.assert_ok(self.update(json_input={"devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 200, "minor": minor, "access": "r"}]}))
            self.assert_ok(self.update("--pids-limit", "30"))
        self.assertEqual(self.kept_output(), "")


class Life(UpdateCase):
    def test_created_and_paused_ones_can_be_updated_and_stopped_ones_not(self):
        changes = {"linux": {"resources": {"pids": {"limit": 20}}}}
        self.assert_ok(self.create(self.bundle("/bin/sleep", "1000", changes=changes)))
        self.assert_updated("--pids-limit", "11", pids_max=11)
        self.assertEqual(self.state_of()["status"], "created")
        self.assert_ok(self.oci("start", self.name))
        self.assert_files(pids_max=11)
        self.assert_ok(self.oci("pause", self.name))
        self.assert_updated("--pids-limit", "12", pids_max=12)
        self.assertEqual(self.state_of()["status"], "paused")
        self.assert_ok(self.oci("resume", self.name))
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.wait_stopped()
        done = self.update("--pids-limit", "13")
        self.assert_status(done, 1)
        self.assertIn("container not running", done.err)
        done = self.oci("update", "--pids-limit", "1", f"{self.name}-not")
        self.assert_status(done, 1)
        self.assertIn("does not exist", done.err)

    def test_the_new_limit_kills_what_wants_more(self):
        self.start_limited(resources={"memory": {"limit": 128 * MIB}})
        self.assert_ok(self.update("--memory", "16M", "--memory-swap", "16M"))
        done = self.oci("exec", self.name, "dd", "if=/dev/zero", "of=/dev/null", "bs=48M", "count=1")
        self.assert_status(done, KILLED)
        self.assert_ok(self.update("--memory", "128M", "--memory-swap", "128M"))
        self.assert_ok(self.oci("exec", self.name, "dd", "if=/dev/zero", "of=/dev/null", "bs=48M", "count=1"))

    def test_what_has_no_meaning_here_is_said(self):
        self.start_limited()
        if not os.path.isdir("/sys/fs/resctrl/info"):
            self.assert_refused("l3 cache schema is not enabled", "--l3-cache-schema", "L3:0=f", pids_max=20)
            self.assert_refused("memory bandwidth schema is not enabled", "--mem-bw-schema", "MB:0=5", pids_max=20)
        self.assert_updated("--kernel-memory", "5m", "--kernel-memory-tcp", "5m", "--pids-limit", "8", pids_max=8)


class PureV2(OciCase):
    def test_huge_pages_and_unified_in_a_pure_v2_view(self):
        bundle = self.bundle("/bin/sleep", "1000")
        script = f"""
        oci() {{ {oci_program()} --root {self.state} "$@"; }}
        grep -qw hugetlb /sys/fs/cgroup/cgroup.controllers || {{ echo no-hugetlb; exit; }}
        before=$(cat /sys/fs/cgroup/cgroup.subtree_control)
        oci run -d --bundle {bundle} {self.name} </dev/null >/dev/null 2>&1
        cgroup=/sys/fs/cgroup/{self.name}
        echo '{{"hugepageLimits":[{{"pageSize":"2MB","limit":4194304}}]}}' | oci update -r - {self.name}
        echo limits $(cat $cgroup/hugetlb.2MB.max $cgroup/hugetlb.2MB.rsvd.max)
        echo '{{"unified":{{"hugetlb.2MB.max":"8388608","cgroup.max.depth":"3"}}}}' | oci update -r - {self.name}
        echo unified $(cat $cgroup/hugetlb.2MB.max $cgroup/cgroup.max.depth)
        echo '{{"unified":{{"cgroup.max.depth":"9","hugetlb.absent":"1"}}}}' | oci update -r - {self.name} 2>&1
        echo kept $(cat $cgroup/cgroup.max.depth)
        echo '{{"unified":{{"rdma.max":"1"}}}}' | oci update -r - {self.name} 2>&1
        oci update --memory 64m {self.name} 2>&1
        echo '{{"devices":[{{"allow":false,"access":"rwm"}},{{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}}]}}' \\
          | oci update -r - {self.name} && echo devices
        oci exec {self.name} sh -c 'echo x > /dev/null && echo null'
        oci delete --force {self.name}
        case " $before " in *" hugetlb "*) ;; *) echo -hugetlb > /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null;; esac
        """
        done = harness.run(self.v2_view(["sh", "-c", script]))
        self.assert_ok(done)
        if "no-hugetlb" in done.out:
            self.skipTest("no v2 controller to try it with")
        for expected in ("limits 4194304 4194304\n", "unified 8388608 3\n", "no hugetlb.absent", "kept 3\n",
                         "controller \"rdma\" not available", "no cgroup controller memory", "devices\nnull\n"):
            self.assertIn(expected, done.out, str(done))


class People(UpdateCase):
    def test_update_by_people(self):
        rootfs = self.busybox_rootfs()
        self.assert_ok(self.caisson("run", "-d", "--name", self.name, "--rootfs", rootfs, "--pids", "50", "--",
                                    "sleep", "1000"))
        self.addCleanup(self.caisson, "rm", "--force", self.name)
        done = self.caisson("update", "--memory", "64m", "--cpus", "1.5", "--pids", "40", "--cpuset", "0", self.name)
        self.assert_ok(done)
        self.assertEqual(done.out, self.name + "\n")
        inspected = json.loads(self.caisson("inspect", self.name).out)[0]
        self.assertEqual(inspected["resources"]["memory"]["limit"], 64 * MIB)
        self.assertEqual(inspected["resources"]["cpu"], {"quota": 150000, "period": 100000, "cpus": "0"})
        directory = {entry["controllers"]: entry["directory"] for entry in inspected["cgroups"]}
        with open(os.path.join(directory["pids"], "pids.max"), encoding="ascii") as file:
            self.assertEqual(file.read().strip(), "40")
        done = self.caisson("update", "--json", "--cpus", "-1", self.name)
        self.assertEqual(json.loads(done.out)["id"], self.name)
        for options, text in (((), "no limit to change"), (("--memory", "much"), "not a size"),
                              (("--cpus", "x"), "not a number of CPUs")):
            done = self.caisson("update", *options, self.name)
            self.assertNotEqual(done.status, 0)
            self.assertIn(text, done.err)


if __name__ == "__main__":
    harness.main()
