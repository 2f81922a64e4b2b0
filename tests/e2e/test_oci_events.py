"""events: a line of JSON for the figures of a container and for every lack of memory."""

import json
import os
import signal
import subprocess
import time

import harness
from oci_case import OciCase, oci_program

MIB = 1 << 20


class EventsCase(OciCase):
    def follow(self, *options):
        """`events` in the background, its output in a file; ends with the test."""
        path = os.path.join(self.dir, "events.log")
        with open(path, "wb") as out:
            process = subprocess.Popen([oci_program(), "--root", self.state, "events", *options, self.name],
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self._background.add(process.pid)

        def stop():
            if process.poll() is None:
                process.kill()
            process.wait()
            self._background.discard(process.pid)
        self.addCleanup(stop)
        return process, path

    def lines(self, path):
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def assert_ends(self, process):
        self.assertEqual(process.wait(harness.TIMEOUT), 0)


class Stats(EventsCase):
    def setUp(self):
        super().setUp()
        if harness.cgroup_v2_only():
            self.skipTest("a host with cgroup v1 hierarchies")

    def stats(self):
        done = self.oci("events", "--stats", self.name)
        self.assert_ok(done)
        self.assertEqual(done.err, "")
        self.assertTrue(done.out.startswith(f'{{"type":"stats","id":"{self.name}","data":{{"cpu":'), done.out)
        self.assertEqual(done.out.count("\n"), 1)
        return json.loads(done.out)["data"]

    def test_are_those_of_the_kernel(self):
        resources = {"memory": {"limit": 32 * MIB}, "pids": {"limit": 20}, "cpu": {"quota": 50000, "cpus": "0"}}
        self.start_new(self.bundle("/bin/sh", "-c", "dd if=/dev/zero of=/dev/null bs=1M count=2000; exec sleep 1000",
                                   changes={"linux": {"resources": resources}}))
        data = harness.wait_until(lambda: (found := self.stats())["cpu"]["throttling"].get("periods") and found,
                                  "a period of the quota")
        self.assertEqual(list(data), ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt",
                                      "network_interfaces"])
        self.assertEqual(data["pids"]["limit"], 20)
        self.assertGreaterEqual(data["pids"]["current"], 1)
        self.assertEqual(data["memory"]["usage"]["limit"], 32 * MIB)
        self.assertGreater(data["memory"]["usage"]["usage"], 0)
        self.assertGreaterEqual(data["memory"]["usage"]["max"], data["memory"]["usage"]["usage"])
        self.assertEqual(data["memory"]["raw"]["hierarchical_memory_limit"], 32 * MIB)
        self.assertGreater(data["cpu"]["usage"]["total"], 0)
        self.assertEqual(len(data["cpu"]["usage"]["percpu"]), len(data["cpu"]["usage"]["percpu_user"]))
        self.assertGreaterEqual(data["cpu"]["usage"]["total"] + 10**9, sum(data["cpu"]["usage"]["percpu"]))
        self.assertEqual(data["cpuset"]["cpus"], [0])
        self.assertEqual(data["cpuset"]["sched_relax_domain_level"], -1)
        self.assertIsNone(data["network_interfaces"])

    def test_are_of_created_and_paused_containers_too_but_not_of_stopped_ones(self):
        self.assert_ok(self.create(self.bundle("/bin/sleep", "1000")))
        self.assertIn("cpu", self.stats())
        self.assert_ok(self.oci("start", self.name))
        self.assert_ok(self.oci("pause", self.name))
        self.assertIn("cpu", self.stats())
        self.assert_ok(self.oci("resume", self.name))
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.wait_stopped()
        for options in ((), ("--stats",)):
            done = self.oci("events", *options, self.name)
            self.assert_status(done, 1)
            self.assertIn(f"container with id {self.name} is not running", done.err)
        done = self.oci("events", "--stats", self.name + "-not")
        self.assert_status(done, 1)
        self.assertIn("does not exist", done.err)

    def test_a_bad_interval_is_refused(self):
        self.start_new(self.bundle("/bin/sleep", "1000"))
        for value, text in (("0s", "duration interval must be greater than 0"), ("-5s", "must be greater than 0"),
                            ("5", "not a time"), ("x", "not a time")):
            done = self.oci("events", "--interval", value, self.name)
            self.assert_status(done, 1)
            self.assertIn(text, done.err)


class Following(EventsCase):
    def test_goes_on_until_the_container_is_deleted(self):
        self.start_new(self.bundle("/bin/sleep", "1000"))
        process, path = self.follow("--interval", "50ms")
        harness.wait_until(lambda: len(self.lines(path)) >= 3, "three intervals")
        self.delete("--force")
        self.assert_ends(process)
        for line in self.lines(path):
            self.assertEqual((line["type"], line["id"]), ("stats", self.name))

    def test_ends_with_the_program_and_keeps_its_interval(self):
        self.start_new(self.bundle("/bin/sleep", "1000"))
        begin = time.monotonic()
        process, path = self.follow("--interval", "1h")
        time.sleep(0.2)
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.assert_ends(process)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(self.lines(path), [])

    def test_a_reader_that_goes_away_ends_it(self):
        self.start_new(self.bundle("/bin/sleep", "1000"))
        process = subprocess.Popen([oci_program(), "--root", self.state, "events", "--interval", "20ms", self.name],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._background.add(process.pid)
        process.stdout.readline()
        process.stdout.close()
        self.assertNotEqual(process.wait(harness.TIMEOUT), 0)
        self._background.discard(process.pid)

    def test_every_kill_for_lack_of_memory_comes_before_the_end(self):
        if harness.cgroup_v2_only():
            self.skipTest("a host with cgroup v1 hierarchies")
        resources = {"memory": {"limit": 32 * MIB, "swap": 32 * MIB}}
        hog = "dd if=/dev/zero of=/dev/null bs=64M count=1"
        self.start_new(self.bundle("/bin/sleep", "1000", changes={"linux": {"resources": resources}}))
        process, path = self.follow("--interval", "100ms")
        harness.wait_until(lambda: self.lines(path), "it listens")
        for _ in range(3):
            self.assert_status(self.oci("exec", self.name, "sh", "-c", f"exec {hog}"), 128 + signal.SIGKILL)
        harness.wait_until(lambda: [line for line in self.lines(path) if line["type"] == "oom"], "an oom event")
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.assert_ends(process)
        found = [line for line in self.lines(path) if line["type"] == "oom"]
        self.assertEqual(found, [{"type": "oom", "id": self.name}] * 3)

    def test_the_end_of_init_by_the_oom_killer_is_told_first(self):
        if harness.cgroup_v2_only():
            self.skipTest("a host with cgroup v1 hierarchies")
        resources = {"memory": {"limit": 16 * MIB, "swap": 16 * MIB}}
        script = "trap 'exec dd if=/dev/zero of=/dev/null bs=64M count=1' TERM; while :; do sleep 0.01; done"
        self.start_new(self.bundle("/bin/sh", "-c", script, changes={"linux": {"resources": resources}}))
        process, path = self.follow("--interval", "30ms")
        harness.wait_until(lambda: self.lines(path), "it listens")
        self.assert_ok(self.oci("kill", self.name, "TERM"))
        self.assert_ends(process)
        self.assertIn({"type": "oom", "id": self.name}, self.lines(path))


class PureV2(OciCase):
    def test_stats_in_a_pure_v2_view(self):
        bundle = self.bundle("/bin/sleep", "1000")
        script = f"""
        oci() {{ {oci_program()} --root {self.state} "$@"; }}
        oci run -d --bundle {bundle} {self.name} </dev/null >/dev/null 2>&1
        oci events --stats {self.name}
        oci events --interval 30ms {self.name} > {self.dir}/log &
        while ! test -s {self.dir}/log; do sleep 0.02; done
        oci delete --force {self.name}
        wait $! && echo ended
        """
        done = harness.run(self.v2_view(["sh", "-c", script]))
        self.assert_ok(done)
        first, last = done.out.splitlines()
        data = json.loads(first)["data"]
        self.assertGreater(data["cpu"]["usage"]["total"], 0)
        if os.path.exists("/proc/pressure/cpu"):
            self.assertEqual(list(data["cpu"]["psi"]["some"]), ["avg10", "avg60", "avg300", "total"])
        self.assertEqual(last, "ended")


if __name__ == "__main__":
    harness.main()
