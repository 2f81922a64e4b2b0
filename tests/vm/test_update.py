"""update and events on a real cgroup v2 host: every controller is there."""

import json
import os
import signal
import subprocess

import harness
from oci_case import oci_program
from test_cgroups import MEMORY, V2Case
from update_case import UpdateClaims

MIB = 1 << 20
INITIAL = {"memory": {"limit": MEMORY, "reservation": 24 * MIB}, "pids": {"limit": 20},
           "cpu": {"shares": 100, "quota": 500000, "period": 1000000}}


class UpdateCase(UpdateClaims, V2Case):
    pass


class Update(UpdateCase):
    def test_memory_and_swap(self):
        self.sleeper(INITIAL)
        self.assert_updated("--memory", "64M", memory_max=64 * MIB, memory_low=24 * MIB)
        self.assert_updated("--memory-reservation", "32M", memory_low=32 * MIB)
        self.assert_updated("--memory-swap", "-1", memory_swap_max="max")
        self.assert_updated("--memory", "50M", "--memory-swap", "92M", memory_swap_max=42 * MIB,
                            memory_max=50 * MIB)
        self.assert_updated("--memory-swap", "60M", memory_swap_max=10 * MIB, memory_max=50 * MIB)
        self.assert_updated("--memory", "-1", memory_max="max", memory_swap_max="max")
        self.assert_refused("unable to set swap", json_input={"memory": {"limit": 0, "swap": 5}}, memory_max="max")
        self.assert_updated(json_input=INITIAL, memory_max=MEMORY, memory_low=24 * MIB, pids_max=20)

    def test_a_limit_below_the_usage_kills_unless_it_is_to_be_looked_at(self):
        self.sleeper(INITIAL)
        check = {"limit": 1024, "checkBeforeUpdate": True}
        self.assert_refused("rejecting memory limit", json_input={"memory": check}, memory_max=MEMORY)
        self.assert_refused("rejecting memory+swap limit", json_input={"memory": {**check, "swap": 2048}},
                            memory_max=MEMORY)
        self.assert_ok(self.update(json_input={"memory": {"checkBeforeUpdate": False}}))
        self.update("--memory", "1024")
        self.wait_stopped()

    def test_processor_time_weight_and_idleness(self):
        self.sleeper(INITIAL)
        self.assert_updated("--cpu-period", "900000", cpu_max="500000 900000")
        self.assert_updated("--cpu-quota", "600000", cpu_max="600000 900000")
        self.assert_updated("--cpu-quota", "-1", cpu_max="max 900000")
        self.assert_updated("--cpu-share", "1024", cpu_weight=100)
        self.assert_updated("--cpu-period", "900000", "--cpu-quota", "600000", "--cpu-burst", "500000",
                            cpu_max_burst=500000)
        self.assert_updated("--cpu-quota", "300000", "--cpu-burst", "200000", cpu_max="300000 900000",
                            cpu_max_burst=200000)
        self.assert_updated("--cpu-burst", "0", cpu_max_burst=0)
        self.assert_updated("--cpu-idle", "1", cpu_idle=1)
        self.assert_updated("--cpu-period", "100000", cpu_idle=1)
        for value in ("-1", "2"):
            self.assert_refused("cpu-idle", "--cpu-idle", value, cpu_idle=1)
        self.assert_updated("--cpu-share", "512", cpu_idle=0, cpu_weight=59)

    def test_files_by_their_own_names_and_back(self):
        self.sleeper(INITIAL)
        self.assert_updated(json_input={"unified": {"cpu.max": "max 100000", "cpu.weight": "16", "pids.max": "10"}},
                            cpu_max="max 100000", cpu_weight=16, pids_max=10)
        self.assert_updated("--cpu-quota", "5000", cpu_max="5000 1000000", cpu_weight=16)
        self.assert_refused("no such file or directory",
                            json_input={"pids": {"limit": 3}, "unified": {"memory.DOESNTEXIST": "baz"}}, pids_max=10)
        self.assert_refused("does not accept", "--pids-limit", "4", "--cpuset-cpus", "99", pids_max=10)

    def test_disks(self):
        self.sleeper(INITIAL)
        disk = os.stat("/dev/vda").st_rdev
        device = {"major": os.major(disk), "minor": os.minor(disk)}
        name = f"{device['major']}:{device['minor']}"
        self.assert_updated(json_input={"blockIO": {"throttleReadBpsDevice": [{**device, "rate": 1000000}]}},
                            io_max=f"{name} rbps=1000000 wbps=max riops=max wiops=max")
        self.assert_refused("does not accept", json_input={"blockIO": {"throttleWriteBpsDevice": [
            {**device, "rate": 5}]}, "cpu": {"cpus": "99"}},
            io_max=f"{name} rbps=1000000 wbps=max riops=max wiops=max")

    def test_devices_change_only_when_rules_are_given(self):
        disk = os.stat("/dev/vda").st_rdev
        device = {"type": "b", "major": os.major(disk), "minor": os.minor(disk)}
        self.sleeper(INITIAL, devices=[{"path": "/dev/disk", **device}])
        look = ("exec", self.name, "sh", "-c", ": < /dev/disk && echo read")
        self.assertNotIn("read", self.oci(*look).out)
        self.assert_updated("--pids-limit", "30", pids_max=30)
        deny = {"allow": False, "access": "rwm"}
        self.assert_ok(self.update(json_input={"devices": [deny, {"allow": True, "access": "r", **device}]}))
        self.assertEqual(self.oci(*look).out, "read\n")
        self.assert_ok(self.update(json_input={"devices": [deny]}))
        self.assertNotIn("read", self.oci(*look).out)

    def test_paused_ones_stay_paused(self):
        self.sleeper(INITIAL)
        self.assert_ok(self.oci("pause", self.name))
        self.assert_updated("--pids-limit", "30", pids_max=30)
        self.assertEqual(self.state_of()["status"], "paused")
        self.assert_ok(self.oci("resume", self.name))


class Systemd(UpdateCase):
    def test_keeps_new_limits_over_its_reload(self):
        unit = f"caisson-{self.name}.scope"
        bundle = self.bundle("/bin/sleep", "1000", changes={"linux": {
            "resources": INITIAL, "cgroupsPath": f"system.slice:caisson:{self.name}"}})
        self.assert_ok(self.kept_oci("--systemd-cgroup", "run", "--detach", "--bundle", bundle, self.name))
        self.assert_files(memory_max=MEMORY, pids_max=20)
        self.assert_updated("--memory", "64M", "--pids-limit", "30", "--cpu-quota", "123456",
                            memory_max=64 * MIB, pids_max=30, cpu_max="123456 1000000")
        shown = harness.run(["systemctl", "show", "-p", "MemoryMax", "-p", "TasksMax", unit]).out
        self.assertEqual(sorted(shown.split()), [f"MemoryMax={64 * MIB}", "TasksMax=30"])
        self.assert_ok(harness.run(["systemctl", "daemon-reload"]))
        self.assert_files(memory_max=64 * MIB, pids_max=30)
        self.assert_refused("does not accept", "--pids-limit", "4", "--cpuset-cpus", "99", pids_max=30)


class Events(UpdateCase):
    def test_stats_have_every_figure(self):
        self.sleeper(INITIAL)
        data = json.loads(self.oci("events", "--stats", self.name).out)["data"]
        self.assertEqual(data["memory"]["usage"]["limit"], MEMORY)
        self.assertGreater(data["memory"]["usage"]["usage"], 0)
        self.assertGreaterEqual(data["memory"]["swap"]["usage"], data["memory"]["usage"]["usage"])
        self.assertIn("anon", data["memory"]["raw"])
        self.assertEqual(data["pids"], {"current": 1, "limit": 20})
        self.assertGreater(data["cpu"]["usage"]["total"], 0)

    def test_every_kill_for_lack_of_memory_is_told(self):
        self.sleeper({"memory": {"limit": MEMORY, "swap": MEMORY}})
        path = os.path.join(self.dir, "events.log")
        with open(path, "wb") as out:
            process = subprocess.Popen([oci_program(), "--root", self.state, "events", "--interval", "100ms",
                                        self.name], stdin=subprocess.DEVNULL, stdout=out)
        self._background.add(process.pid)

        def kinds():
            with open(path, encoding="utf-8") as file:
                return [json.loads(line)["type"] for line in file if line.endswith("\n")]
        harness.wait_until(kinds, "it listens")
        for _ in range(2):
            done = self.oci("exec", self.name, "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1")
            self.assert_status(done, 128 + signal.SIGKILL)
        self.delete("--force")
        self.assertEqual(process.wait(harness.TIMEOUT), 0)
        self._background.discard(process.pid)
        self.assertEqual(kinds().count("oom"), 2)


class Delegation(UpdateCase):
    def test_a_writable_cgroup_belongs_to_the_containers_root(self):
        mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        config = harness.default_config()
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"].update(uidMappings=mapping, gidMappings=mapping)
        for readonly, owner in ((True, "65534"), (False, "0")):
            if not readonly:
                config["mounts"][-1]["options"].remove("ro")
            bundle = self.bundle("/bin/sh", "-c", "stat -c %u /sys/fs/cgroup", config=config)
            os.chmod(os.path.join(bundle, "rootfs"), 0o755)
            done = self.oci("run", "--bundle", bundle, self.name)
            self.assertEqual(done.out.strip(), owner, str(done))


if __name__ == "__main__":
    harness.main()
