"""On a real cgroup v2 host with systemd as init: limits are enforced, and not only written."""

import json
import os
import re
import struct
import time

import harness
from oci_case import OciCase

CGROUP = "/sys/fs/cgroup"
MEMORY = 32 << 20
# Fills memory in steps, so that the limit is met in user space and not by one refused call.
EAT_MEMORY = "head -c 100000000 /dev/zero | tail -c 100000000 >/dev/null"


class V2Case(OciCase):
    def directory(self, name=None):
        """The cgroup of a running container, by its init."""
        with open(f"/proc/{self.state_of(name)['pid']}/cgroup", encoding="ascii") as file:
            return CGROUP + file.read().strip().removeprefix("0::")

    def read(self, name, directory=None):
        with open(os.path.join(directory or self.directory(), name), encoding="ascii") as file:
            return file.read().strip()

    def keyed(self, name, key, directory=None):
        return int(re.search(rf"^{key} (\d+)$", self.read(name, directory), re.MULTILINE).group(1))

    def sleeper(self, resources=None, **linux):
        changes = {"linux": {"resources": resources or {}, **linux}}
        return self.start_new(self.bundle("/bin/sleep", "1000", changes=changes))


class Limits(V2Case):
    def test_the_guest_is_what_these_tests_are_for(self):
        self.assertTrue(harness.cgroup_v2_only())
        with open(f"{CGROUP}/cgroup.controllers", encoding="ascii") as file:
            controllers = set(file.read().split())
        self.assertLessEqual({"cpuset", "cpu", "io", "memory", "pids"}, controllers)
        with open("/proc/1/comm", encoding="ascii") as file:
            self.assertEqual(file.read(), "systemd\n")

    def test_memory_is_bounded_and_why_knows_the_reason(self):
        done = self.caisson("run", "--keep", "--name", self.name, "--memory", "32m", "--",
                            "sh", "-c", EAT_MEMORY)
        self.assertNotEqual(done.status, 0)
        why = self.caisson("why", self.name)
        self.assertRegex(why.out + why.err, r"(?i)memory", str(why))
        self.assert_ok(self.caisson("rm", self.name))

    def test_memory_kill_of_init_is_named_in_the_error_of_create(self):
        changes = {"linux": {"resources": {"memory": {"limit": 4096, "swap": 4096}}}}
        done = self.create(self.bundle("/bin/true", changes=changes))
        self.assertNotEqual(done.status, 0)
        self.assertRegex(done.err, "container init was OOM-killed|memory limit", str(done))

    def test_memory_files(self):
        self.sleeper({"memory": {"limit": MEMORY, "reservation": MEMORY // 2, "swap": MEMORY * 2}})
        self.assertEqual(self.read("memory.max"), str(MEMORY))
        self.assertEqual(self.read("memory.low"), str(MEMORY // 2))
        self.assertEqual(self.read("memory.swap.max"), str(MEMORY))

    def test_a_tiny_memory_limit_is_enough_to_start(self):
        done = self.run_in("echo runs", {"linux": {"resources": {"memory": {"limit": 1 << 20}}}})
        self.assert_ok(done)
        self.assertEqual(done.out, "runs\n")

    def test_processor_time_is_bounded(self):
        resources = {"cpu": {"quota": 20000, "period": 100000, "shares": 2048}}
        changes = {"linux": {"resources": resources}}
        self.start_new(self.bundle("/bin/sh", "-c", "while :; do :; done", changes=changes))
        directory = self.directory()
        self.assertEqual(self.read("cpu.max"), "20000 100000")
        begin, used = time.monotonic(), self.keyed("cpu.stat", "usage_usec", directory)
        time.sleep(3)
        share = (self.keyed("cpu.stat", "usage_usec", directory) - used) / (time.monotonic() - begin) / 1e6
        self.assertLess(share, 0.35)
        self.assertGreater(self.keyed("cpu.stat", "nr_throttled", directory), 0)

    def test_processes_are_bounded(self):
        done = self.run_in("for i in 1 2 3 4 5 6; do sleep 5 & done 2>&1; exit 0",
                           {"linux": {"resources": {"pids": {"limit": 4}}}})
        self.assertIn("can't fork", done.out + done.err)

    def test_one_process_is_enough_to_run(self):
        config = harness.default_config()
        config["process"]["args"] = ["/bin/echo", "alone"]
        config["linux"]["resources"] = {"pids": {"limit": 1}}
        done = self.oci("run", "--bundle", self.bundle(config=config), self.name)
        self.assert_ok(done)
        self.assertEqual(done.out, "alone\n")

    def test_processors_are_chosen(self):
        pid = self.sleeper({"cpu": {"cpus": "1", "mems": "0"}})
        self.assertEqual(self.read("cpuset.cpus.effective"), "1")
        self.assertEqual(os.sched_getaffinity(pid), {1})
        done = self.oci("exec", self.name, "nproc")
        self.assertEqual(done.out.strip(), "1", str(done))

    def test_disk_throughput_is_bounded(self):
        device = os.stat("/").st_dev
        rate = 1 << 20
        limit = [{"major": os.major(device), "minor": os.minor(device), "rate": rate}]
        script = "dd if=/dev/zero of=/data bs=64k count=48 oflag=direct 2>/dev/null; ls -l /data"
        begin = time.monotonic()
        done = self.run_in(script, {"root": {"readonly": False},
                                    "linux": {"resources": {"blockIO": {"throttleWriteBpsDevice": limit}}}})
        self.assert_ok(done)
        self.assertGreater(time.monotonic() - begin, 2.0)  # 3 MiB at 1 MiB/s

    def test_unified_is_written_as_it_is(self):
        self.sleeper({"unified": {"memory.high": str(MEMORY), "pids.max": "33"}})
        self.assertEqual(self.read("memory.high"), str(MEMORY))
        self.assertEqual(self.read("pids.max"), "33")

    def test_an_unknown_file_of_unified_names_the_field(self):
        done = self.run_in("true", {"linux": {"resources": {"unified": {"memory.nonsense": "1"}}}})
        self.assertNotEqual(done.status, 0)
        self.assertIn("linux.resources.unified", done.err)


class Life(V2Case):
    def test_kill_all_ends_every_process_at_once(self):
        script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait"
        self.start_new(self.bundle("/bin/sh", "-c", script))
        directory = self.directory()
        harness.wait_until(lambda: len(self.read("cgroup.procs", directory).split()) == 9, "nine processes")
        self.assert_ok(self.oci("kill", "--all", self.name, "KILL"))
        self.wait_stopped()
        self.assertEqual(self.read("cgroup.procs", directory), "")

    def test_kill_all_without_a_pid_namespace(self):
        config = harness.default_config()
        config["process"]["args"] = ["/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"]
        config["linux"]["namespaces"] = [each for each in config["linux"]["namespaces"] if each["type"] != "pid"]
        self.start_new(self.bundle(config=config))
        directory = self.directory()
        harness.wait_until(lambda: len(self.read("cgroup.procs", directory).split()) == 3, "three processes")
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.wait_stopped()
        self.delete("--force")
        self.assertFalse(os.path.exists(directory))

    def test_pause_freezes_and_a_frozen_container_is_removed_at_once(self):
        self.sleeper()
        directory = self.directory()
        self.assert_ok(self.oci("pause", self.name))
        self.assertEqual(self.keyed("cgroup.events", "frozen", directory), 1)
        self.assertEqual(self.state_of()["status"], "paused")
        self.assert_ok(self.oci("resume", self.name))
        self.assertEqual(self.keyed("cgroup.events", "frozen", directory), 0)
        self.assert_ok(self.oci("pause", self.name))
        done = self.delete("--force")
        self.assertLess(done.seconds, 5.0)
        self.assertFalse(os.path.exists(directory))

    def test_stats_has_figures_of_every_controller(self):
        self.sleeper({"memory": {"limit": MEMORY}, "pids": {"limit": 11}})
        done = self.caisson("stats", "--json", self.name)
        self.assert_ok(done)
        text = json.dumps(json.loads(done.out.splitlines()[0]))
        self.assertIn(str(MEMORY), text)

    def test_an_exec_joins_the_cgroup(self):
        self.sleeper()
        directory = self.directory()
        done = self.oci("exec", self.name, "cat", "/proc/self/cgroup")
        self.assertEqual(done.out, "0::/\n", str(done))
        self.assert_ok(self.kept_oci("exec", "--detach", self.name, "sleep", "500"))
        harness.wait_until(lambda: len(self.read("cgroup.procs", directory).split()) == 2, "the second one")

    def test_an_exec_follows_an_init_that_moved_to_a_cgroup_below(self):
        script = "mkdir /sys/fs/cgroup/init && echo 1 >/sys/fs/cgroup/init/cgroup.procs && " \
                 "echo +pids >/sys/fs/cgroup/cgroup.subtree_control && exec sleep 1000"
        mounts = harness.default_config()["mounts"]
        mounts[-1]["options"] = ["nosuid", "noexec", "nodev", "rw"]
        self.start_new(self.bundle("/bin/sh", "-c", script, changes={"mounts": mounts}))
        harness.wait_until(lambda: self.directory().endswith("/init"), "init moved")
        done = self.oci("exec", self.name, "cat", "/proc/self/cgroup")
        self.assert_ok(done)
        self.assertEqual(done.out, "0::/init\n")

    def test_a_v2_namespace_shows_the_limits_at_the_root(self):
        out = self.output_of("cat /sys/fs/cgroup/pids.max; echo 1 >/sys/fs/cgroup/pids.max || echo refused",
                             {"linux": {"resources": {"pids": {"limit": 17}}}})
        self.assertEqual(out, "17\nrefused\n")


class Devices(V2Case):
    """BPF_PROG_TYPE_CGROUP_DEVICE, looked at from outside through bpf(2)."""

    def programs(self, directory):
        """Ids of the device programs attached to a cgroup."""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            ids = (ctypes.c_uint32 * 64)()
            # union bpf_attr, query: target_fd, attach_type, query_flags, attach_flags, prog_ids, prog_cnt
            attributes = bytearray(struct.pack("IIIIQI", fd, 6, 0, 0, ctypes.addressof(ids), 64) + bytes(92))
            buffer = (ctypes.c_char * len(attributes)).from_buffer(attributes)
            if libc.syscall(321, 16, buffer, len(attributes)) != 0:
                raise OSError(ctypes.get_errno(), "BPF_PROG_QUERY")
            count = struct.unpack_from("I", attributes, 24)[0]
            return list(ids[:count])
        finally:
            os.close(fd)

    def test_one_program_is_attached(self):
        self.sleeper()
        self.assertEqual(len(self.programs(self.directory())), 1)

    def test_what_is_not_allowed_is_refused(self):
        node = {"path": "/dev/denied", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}
        script = "cat /dev/denied; echo $?; head -c 3 /dev/zero | wc -c"
        out = self.output_of(script, {"linux": {"devices": [node]}})
        self.assertEqual(out, "1\n3\n")

    def test_what_is_allowed_for_reading_is_not_for_writing(self):
        disk = os.stat("/dev/vda").st_rdev
        number = {"type": "b", "major": os.major(disk), "minor": os.minor(disk)}
        node = {"path": "/dev/disk", "fileMode": 0o666, **number}
        rules = [{"allow": False, "access": "rwm"}, {"allow": True, "access": "r", **number}]
        script = "head -c 4 /dev/disk | wc -c; (: <>/dev/disk) 2>/dev/null || echo no"
        out = self.output_of(script, {"linux": {"devices": [node], "resources": {"devices": rules}}})
        self.assertEqual(out, "4\nno\n")


if __name__ == "__main__":
    harness.main()
