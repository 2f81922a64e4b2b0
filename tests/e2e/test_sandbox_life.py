# ctest: RELEASE_ONLY
# ctest: TIMEOUT 300
"""The life of sandboxes: pause and resume, processes as they are inside, limits as they are told, several containers
in one sandbox, what is kept of their writes."""

import json
import os
import subprocess
import time
import unittest

import harness

PLATFORMS = ("systrap", "ptrace")
COUNT = "while :; do echo >> /tmp/count; done"


def cpu_ticks(pid):
    """Processor time of a process and of all below it."""
    total, todo = 0, [pid]
    while todo:
        one = todo.pop()
        try:
            with open(f"/proc/{one}/stat", encoding="utf-8") as file:
                fields = file.read().rpartition(")")[2].split()
            with open(f"/proc/{one}/task/{one}/children", encoding="utf-8") as file:
                todo += file.read().split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total


class Life(harness.TestCase):
    def start(self, *arguments, platform="systrap", options=(), name=None):
        name = name or self.name
        self.assert_ok(self.caisson("run", "-d", "--name", name, "--wall", "sandbox", "--platform", platform, *options,
                                    "--", *arguments))
        return name

    def status(self, name):
        return json.loads(self.oci("state", name).out)["status"]

    def pid(self, name):
        return json.loads(self.oci("state", name).out)["pid"]

    def inside(self, name, script):
        done = self.caisson("exec", name, "--", "sh", "-c", script)
        self.assert_ok(done)
        return done.out.strip()

    # --- pause and resume

    def test_a_paused_one_stands_still_and_goes_on(self):
        for platform in PLATFORMS:
            with self.subTest(platform=platform):
                name = self.start("sh", "-c", COUNT, platform=platform, name=f"{self.name}-{platform}")
                harness.wait_until(lambda name=name: self.inside(name, "ls /tmp | grep -c count; true") == "1", "it counts")
                self.assert_ok(self.caisson("pause", name))
                self.assertEqual(self.status(name), "paused")
                before = cpu_ticks(self.pid(name))
                time.sleep(0.5)
                self.assertLessEqual(cpu_ticks(self.pid(name)) - before, 1)
                refused = self.caisson("exec", name, "--", "true")
                self.assert_status(refused, 125)
                self.assertIn("paused", refused.err)
                self.assertIn("sh", self.caisson("top", name).out)
                self.assert_status(self.caisson("pause", name), 1)
                self.assert_ok(self.caisson("resume", name))
                self.assertEqual(self.status(name), "running")
                first, second = self.inside(name, "wc -c < /tmp/count; sleep 0.2; wc -c < /tmp/count").split()
                self.assertLess(int(first), int(second))
                self.assert_ok(self.caisson("rm", "-f", name))

    def test_timers_do_not_run_out_while_it_is_paused(self):
        name = self.start("sh", "-c", "sleep 0.5; echo woke; sleep 1000")
        self.assert_ok(self.caisson("pause", name))
        time.sleep(0.8)
        self.assertEqual(self.caisson("logs", name).out, "")
        self.assert_ok(self.caisson("resume", name))
        harness.wait_until(lambda: self.caisson("logs", name).out == "woke\n", "it wakes")
        self.assert_ok(self.caisson("rm", "-f", name))

    def test_a_paused_one_is_stopped_and_killed(self):
        name = self.start("sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done")
        harness.wait_until(lambda: "up\n" in self.caisson("logs", name).out, "it heeds the signal")
        self.assert_ok(self.caisson("pause", name))
        self.assert_ok(self.caisson("stop", name))
        self.assertIn("exited (7)", self.caisson("ps", "-a").out)
        self.assert_ok(self.caisson("rm", name))
        name = self.start("sleep", "1000")
        self.assert_ok(self.caisson("pause", name))
        self.assert_ok(self.caisson("kill", name))
        harness.wait_until(lambda: "killed (9)" in self.caisson("ps", "-a").out, "it ends")
        self.assert_ok(self.caisson("rm", name))

    # --- the end

    def test_what_an_init_does_not_heed_ends_it_nevertheless(self):
        name = self.start("sleep", "1000")
        begun = time.monotonic()
        self.assert_ok(self.caisson("stop", name))
        self.assertLess(time.monotonic() - begun, 5)
        self.assert_ok(self.caisson("rm", name))

    # --- processes

    def test_processes_are_those_inside(self):
        name = self.start("sh", "-c", "sleep 1001 & exec sleep 1002")
        harness.wait_until(lambda: "sleep 1001\n" in self.caisson("top", name).out and " sleep 1002\n" in self.caisson("top", name).out, "both run")
        lines = [line.split() for line in self.caisson("top", name).out.splitlines()]
        self.assertEqual(lines[0][:3], ["PID", "PARENT", "USER"])
        self.assertEqual([(line[0], line[1], line[2], line[-2:]) for line in lines[1:]],
                         [("1", "0", "root", ["sleep", "1002"]), ("2", "1", "root", ["sleep", "1001"])])
        listed = json.loads(self.caisson("top", "--json", name).out)
        self.assertEqual([(p["pid"], p["command"]) for p in listed], [(1, ["sleep", "1002"]), (2, ["sleep", "1001"])])
        self.assertEqual(json.loads(self.oci("ps", "--format", "json", name).out), [1, 2])
        self.assertIn("sleep 1001", self.oci("ps", name).out)
        self.assert_ok(self.caisson("rm", "-f", name))

    # --- limits

    def test_limits_are_told(self):
        name = self.start("sleep", "1000", options=("--memory", "64M", "--pids", "99", "--cpus", "1"))
        script = ("grep MemTotal /proc/meminfo; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max "
                  "/sys/fs/cgroup/cpu.max; grep -c ^processor /proc/cpuinfo; nproc")
        words = self.inside(name, script).split()
        self.assertEqual(words, ["MemTotal:", "65536", "kB", "67108864", "99", "100000", "100000", "1", "1"])
        self.assert_ok(self.caisson("update", "--memory", "128M", name))
        self.assertEqual(self.inside(name, "cat /sys/fs/cgroup/memory.max"), str(128 << 20))
        self.assert_ok(self.caisson("rm", "-f", name))

    @unittest.skipUnless(os.path.exists("/usr/bin/python3"), "needs python3")
    def test_the_want_of_memory_is_told(self):
        for platform in PLATFORMS:
            name = f"{self.name}-{platform}"
            done = self.caisson("run", "--keep", "--name", name, "--wall", "sandbox", "--platform", platform, "--memory", "64M",
                                "--", "/usr/bin/python3", "-c", "x = bytearray(200 << 20)")
            self.assert_status(done, 137)
            self.assertIn("killed (out of memory)", self.caisson("ps", "-a").out)
            self.assert_ok(self.caisson("rm", name))

    def test_lines_of_two_writers_stay_whole(self):
        log = os.path.join(self.dir, "log")
        for platform in PLATFORMS:
            with open(log, "ab") as file:
                command = [harness.CAISSON, "--root", self.state, "run", "--wall", "sandbox", "--platform", platform, "--",
                           "sh", "-c", "for i in $(seq 200); do echo inside $i; done"]
                with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file) as process:
                    for number in range(200):
                        with open(log, "ab", buffering=0) as own:
                            own.write(b"outside %d\n" % number)
                    self.assertEqual(process.wait(harness.TIMEOUT), 0)
        with open(log, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(sorted(line.split()[0] for line in lines), ["inside"] * 400 + ["outside"] * 400)

    # --- what is written

    def test_changes_in_memory_are_told(self):
        rootfs = self.busybox_rootfs()
        name = self.start("sh", "-c", "echo x > /new; rm /bin/false; sleep 1000",
                          options=("--rootfs", rootfs, "--overlay", "memory"))
        harness.wait_until(lambda: "/new" in self.caisson("diff", name).out, "it writes")
        self.assertEqual(self.caisson("diff", name).out.split(), ["C", "/bin", "D", "/bin/false", "A", "/new"])
        self.assert_ok(self.caisson("rm", "-f", name))

    def test_a_folder_keeps_what_is_written(self):
        rootfs, upper = self.busybox_rootfs(), os.path.join(self.dir, "upper")
        os.mkdir(upper)
        before = sorted(os.listdir(rootfs))
        options = ("--rootfs", rootfs, "--overlay", upper)
        for platform in PLATFORMS:
            name = self.start("sh", "-c", "echo kept >> /new; mkdir -p /d; chown 77:88 /d; rm -f /bin/false; sync; echo done; sleep 1000",
                              platform=platform, options=options, name=f"{self.name}-{platform}")
            harness.wait_until(lambda name=name: "done" in self.caisson("logs", name).out, "it writes")
            self.assertIn("A /new", self.caisson("diff", name).out)
            self.assert_ok(self.caisson("kill", name))
            self.assertEqual(self.caisson("diff", name).out.split(), ["C", "/bin", "D", "/bin/false", "A", "/d", "A", "/new"])
            self.assert_ok(self.caisson("rm", "-f", name))
        with open(os.path.join(upper, "new"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "kept\nkept\n")
        self.assertEqual(os.stat(os.path.join(upper, "d")).st_uid, 77)
        self.assertEqual(sorted(os.listdir(rootfs)), before)
        self.assertTrue(os.path.lexists(os.path.join(rootfs, "bin/false")))
        missing = self.caisson("run", "--wall", "sandbox", "--rootfs", rootfs, "--overlay", "/no/such/folder", "--", "true")
        self.assert_status(missing, 125)
        self.assertIn("/no/such/folder", missing.err)


class Pods(harness.TestCase):
    """Several containers in one sandbox, as Kubernetes' runtimes ask for them."""

    def create(self, name, *command, annotations, namespaces=None):
        bundle = self.bundle(*command, changes={"annotations": {"org.caisson.wall": "sandbox", **annotations}})
        create = [harness.CAISSON + "-oci", "--root", self.state, "create", "--bundle", bundle, name]
        with open(os.path.join(self.dir, f"{name}.out"), "wb") as out:
            subprocess.run(create, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True, timeout=harness.TIMEOUT)

    def output(self, name):
        with open(os.path.join(self.dir, f"{name}.out"), encoding="utf-8") as file:
            return file.read()

    def status(self, name):
        return json.loads(self.oci("state", name).out)["status"]

    def pod(self, platform, *command):
        name = f"{self.name}-{platform}"
        self.create(name, *command, annotations={"org.caisson.platform": platform,
                                                 "io.kubernetes.cri.container-type": "sandbox"})
        self.assert_ok(self.oci("start", name))
        return name

    def member(self, pod, name, *command):
        name = f"{pod}-{name}"
        self.create(name, *command, annotations={"io.kubernetes.cri.container-type": "container",
                                                 "io.kubernetes.cri.sandbox-id": pod})
        return name

    def test_containers_of_a_pod_live_beside_each_other(self):
        for platform in PLATFORMS:
            with self.subTest(platform=platform):
                self.life_of_a_pod(platform)

    def life_of_a_pod(self, platform):
        pod = self.pod(platform, "sleep", "1000")
        one = self.member(pod, "one", "sh", "-c", "echo $$; echo x > /tmp/one; trap 'exit 5' TERM; while :; do sleep 0.05; done")
        two = self.member(pod, "two", "sh", "-c", "ls /tmp; nc -l -p 7000")
        self.assertEqual([self.status(name) for name in (pod, one, two)], ["running", "created", "created"])
        for name in (one, two):
            self.assert_ok(self.oci("start", name))
        harness.wait_until(lambda: self.output(one) == "1\n", "the first has a pid namespace of its own")
        self.assertEqual(self.output(two), "")
        # One network.
        harness.wait_until(lambda: self.oci("exec", one, "sh", "-c", "echo through | nc 127.0.0.1 7000").status == 0,
                           "the other answers")
        harness.wait_until(lambda: self.output(two) == "through\n", "it arrives")
        harness.wait_until(lambda: self.status(two) == "stopped", "it ends")
        self.assert_ok(self.oci("delete", two))
        self.assertIn("/tmp/one", self.oci("exec", one, "find", "/tmp/one").out)
        self.assertNotEqual(self.oci("exec", pod, "find", "/tmp/one").status, 0)
        self.assertEqual(json.loads(self.oci("ps", "--format", "json", pod).out), [1])
        self.assertIn("sh", self.caisson("sandbox", "processes", one).out)
        refused = self.oci("pause", one)
        self.assertNotEqual(refused.status, 0)
        self.assertIn(pod, refused.err)
        self.assert_ok(self.oci("kill", one, "TERM"))
        harness.wait_until(lambda: self.status(one) == "stopped", "it ends")
        self.assert_ok(self.oci("delete", one))
        # A name can be taken again.
        again = self.member(pod, "one", "sleep", "1000")
        self.assert_ok(self.oci("start", again))
        self.assert_ok(self.oci("kill", pod, "KILL"))
        harness.wait_until(lambda: self.status(again) == "stopped", "the pod's end is that of all")
        for name in (again, pod):
            self.assert_ok(self.oci("delete", name))

    def test_only_running_sandboxes_are_joined(self):
        done = self.caisson("run", "--sandbox", "no-such-one", "--", "true")
        self.assert_status(done, 125)
        self.assertIn("no-such-one", done.err)
        self.assert_ok(self.caisson("run", "-d", "--name", self.name, "--", "sleep", "1000"))
        done = self.caisson("run", "--sandbox", self.name, "--", "true")
        self.assert_status(done, 125)
        self.assertIn("--wall sandbox", done.err)
        self.assert_ok(self.caisson("rm", "-f", self.name))

    def test_a_command_runs_beside_a_container(self):
        self.assert_ok(self.caisson("run", "-d", "--name", self.name, "--wall", "sandbox", "--", "sleep", "1000"))
        done = self.caisson("run", "--sandbox", self.name, "--", "sh", "-c", "echo pid $$; cat; exit 3", input="in\n")
        self.assertEqual((done.status, done.out), (3, "pid 1\nin\n"), str(done))
        self.assert_status(self.caisson("run", "--sandbox", self.name, "--", "/no/such/program"), 127)
        self.assert_ok(self.caisson("rm", "-f", self.name))


if __name__ == "__main__":
    harness.main()
