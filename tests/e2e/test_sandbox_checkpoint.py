# ctest: RELEASE_ONLY
# ctest: SERIAL
# ctest: TIMEOUT 300
"""`checkpoint` and `restore` of a sandbox: programs go on with all they had, on each platform; what cannot be is said.

Others must not make mounts meanwhile: a view of this machine has them all, and is restored with the same ones only."""

import json
import os
import shutil
import time
import unittest

import harness

PLATFORMS = ("systrap", "ptrace")

# Tells what it has, ten times a second, as a line of JSON in the file that it is given.
PROGRAM = """
import fcntl, hashlib, json, mmap, os, select, subprocess, sys, threading, time
out, bound = sys.argv[1], open(sys.argv[2])
bound.read(3)
block = bytearray(os.urandom(1 << 20)) * 8
digest = hashlib.sha256(block).hexdigest()
counts, lock = [0] * 3, threading.Lock()
def work(i):
    while True:
        with lock: counts[i] += 1
        time.sleep(0.01)
threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(3)]
for thread in threads: thread.start()
reader, writer = os.pipe()
os.write(writer, b"in the pipe")
named = open("/tmp/named", "w+"); named.write("x" * 10000); named.flush()
upper = open("/usr/upper", "w+"); upper.write("upper"); upper.flush()
removed = open("/tmp/removed", "w+"); removed.write("ghost"); removed.flush(); os.unlink("/tmp/removed")
fcntl.flock(named, fcntl.LOCK_EX)
memory = os.fdopen(os.memfd_create("m"), "w+b"); memory.write(b"m" * 5000); memory.flush()
shared = mmap.mmap(-1, 8192); shared[5000:5005] = b"share"
os.chdir("/usr/lib"); os.umask(0o27); os.environ["X"] = "y"
child = subprocess.Popen(["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"], stdout=subprocess.PIPE)
ended = subprocess.Popen(["true"]); os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
poll = select.epoll(); poll.register(child.stdout.fileno(), select.EPOLLIN)
begun, last, first_pid = time.monotonic(), 0, os.getpid()
for n in range(100000):
    poll.poll(5)
    last = int(child.stdout.readline())
    removed.seek(0); upper.seek(0); memory.seek(0)
    told = {"n": n, "counts": list(counts), "child": last, "digest": hashlib.sha256(block).hexdigest() == digest,
            "pipe": select.select([reader], [], [], 0)[0] == [reader], "named": named.tell(), "upper": upper.read(),
            "removed": removed.read(), "memory": len(memory.read()), "shared": shared[5000:5005].decode(), "cwd": os.getcwd(),
            "bound": bound.tell(), "clock": time.monotonic() - begun, "same": os.getpid() == first_pid,
            "names": sorted(os.listdir("/tmp")), "zombie": open(f"/proc/{ended.pid}/stat").read().split()[2],
            "locked": subprocess.run(["flock", "-n", "/tmp/named", "true"]).returncode}
    with open(out, "w") as file: json.dump(told, file)
    os.rename(out, out + ".told")
"""

SLEEPER = "trap 'echo term' TERM; i=0; while :; do i=$((i+1)); echo $i > /tmp/i; sleep 0.05; done"


@unittest.skipUnless(shutil.which("python3", path="/usr/bin") and shutil.which("flock"), "needs python3 and flock")
class SandboxCheckpoint(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.image = os.path.join(self.dir, "image")
        self.bound = os.path.join(self.dir, "bound")
        os.mkdir(self.bound)
        with open(os.path.join(self.bound, "input"), "w", encoding="utf-8") as file:
            file.write("some input")

    def start(self, *command, platform="systrap", name=None):
        self.assert_ok(self.caisson("run", "-d", "--keep", "--wall", "sandbox", "--platform", platform, "--name",
                                    name or self.name, "-v", f"{self.bound}:/bound", "--", *command))

    def start_program(self, platform="systrap"):
        self.start("/usr/bin/python3", "-c", PROGRAM, "/bound/out", "/bound/input", platform=platform)
        return self.next_told()

    def next_told(self):
        """What the program tells from now on."""
        path = os.path.join(self.bound, "out.told")
        if os.path.exists(path):
            os.remove(path)
        harness.wait_until(lambda: os.path.exists(path), "the program tells")
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def checkpoint(self, *options):
        return self.caisson("checkpoint", "--image-path", self.image, *options, self.name)

    def restore(self, name=None):
        return self.caisson("restore", "-d", "--keep", "--image-path", self.image, name or self.name)

    def remove(self, name=None):
        self.assert_ok(self.caisson("rm", "-f", name or self.name))

    def counter(self):
        done = self.caisson("exec", self.name, "sh", "-c", "cat /tmp/i 2>/dev/null; true")
        self.assert_ok(done)
        return int(done.out or 0)

    def assert_goes_on(self, before, after):
        same = ("digest", "pipe", "named", "upper", "removed", "memory", "shared", "cwd", "bound", "same", "names",
                "zombie", "locked")
        self.assertEqual({key: after[key] for key in same}, {key: before[key] for key in same})
        self.assertGreater(after["n"], before["n"])
        self.assertGreater(after["child"], before["child"])
        for one, other in zip(after["counts"], before["counts"]):
            self.assertGreater(one, other)

    # --- going on

    def test_a_program_goes_on_with_all_it_had(self):
        for platform in PLATFORMS:
            before = self.start_program(platform)
            self.assertTrue(before["digest"] and before["pipe"] and before["same"], before)
            self.assertEqual((before["zombie"], before["locked"]), ("Z", 1))
            self.assert_ok(self.checkpoint())
            self.assertNotIn(self.name, self.caisson("list", "-a").out)
            time.sleep(3.0)
            self.assert_ok(self.restore())
            after = self.next_told()
            self.assert_goes_on(before, after)
            # The clock stood still with the program.
            self.assertLess(after["clock"] - before["clock"], 2.8)
            self.assert_goes_on(after, self.next_told())
            self.remove()

    def test_left_running_it_runs_on_and_its_image_is_that_moment_s(self):
        self.start_program()
        self.assert_ok(self.checkpoint("--leave-running"))
        running = self.next_told()
        self.assertTrue(running["digest"])
        self.remove()
        self.assert_ok(self.restore())
        restored = self.next_told()
        self.assertTrue(restored["digest"] and restored["pipe"])
        self.assertLess(restored["child"], running["child"] + 100)
        self.remove()

    def test_two_of_the_same_image_are_apart(self):
        self.start("sh", "-c", SLEEPER)
        harness.wait_until(lambda: self.counter() > 3, "it counts")
        self.assert_ok(self.checkpoint())
        other = harness.new_name()
        self.assert_ok(self.restore())
        self.assert_ok(self.restore(other))
        # Nor does either need the files any more.
        shutil.rmtree(self.image)
        self.assert_ok(self.caisson("exec", self.name, "sh", "-c", "echo mine > /tmp/mine"))
        self.assertNotEqual(self.caisson("exec", other, "ls", "/tmp/mine").status, 0)
        first = self.counter()
        harness.wait_until(lambda: self.counter() > first, "it goes on counting")
        self.remove()
        self.remove(other)

    def test_one_that_was_restored_is_saved_again(self):
        before = self.start_program()
        for _ in range(2):
            self.assert_ok(self.checkpoint())
            self.assert_ok(self.restore())
            after = self.next_told()
            self.assert_goes_on(before, after)
            before = after
        self.remove()

    def test_a_signal_reaches_a_restored_handler(self):
        self.start("sh", "-c", SLEEPER)
        harness.wait_until(lambda: self.counter() > 3, "it counts")
        self.assert_ok(self.checkpoint())
        self.assert_ok(self.restore())
        self.assert_ok(self.caisson("kill", "--signal", "TERM", self.name))
        harness.wait_until(lambda: "term" in self.caisson("logs", self.name).out, "the handler runs")
        self.remove()

    def test_memory_that_was_given_back_is_empty(self):
        script = ("import mmap, os, sys, time\n"
                  "m = mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
                  "m[:] = b'x' * len(m)\n"
                  "open('/tmp/i', 'w').write('1')\n"
                  "while not os.path.exists('/tmp/go'): time.sleep(0.02)\n"
                  "m.madvise(mmap.MADV_DONTNEED, 4096, 8192)\n"
                  "pid = os.fork()\n"
                  "m[0:4] = b'mine' if pid else b'hers'\n"
                  "if pid: os.waitpid(pid, 0)\n"
                  "print(m[0:4], m[4096:12288] == bytes(8192), m[12288:] == b'x' * (len(m) - 12288), flush=True)\n"
                  "time.sleep(1000 if pid else 0)\n")
        for platform in PLATFORMS:
            self.start("/usr/bin/python3", "-c", script, platform=platform)
            harness.wait_until(lambda: self.caisson("exec", self.name, "cat", "/tmp/i").out == "1", "it is ready")
            self.assert_ok(self.checkpoint())
            self.assert_ok(self.restore())
            self.assert_ok(self.caisson("exec", self.name, "touch", "/tmp/go"))
            harness.wait_until(lambda: self.caisson("logs", self.name).out.count("\n") >= 2, "both tell")
            self.assertEqual(sorted(self.caisson("logs", self.name).out.splitlines()),
                             ["b'hers' True True", "b'mine' True True"])
            self.remove()

    # --- what cannot be

    def assert_runs_on(self):
        first = self.counter()
        harness.wait_until(lambda: self.counter() > first, "it runs on")
        self.assertEqual([name for name in os.listdir(self.image) if name != "config.json"], [])

    def test_what_cannot_be_saved_is_named_and_runs_on(self):
        self.start("sh", "-c", f"echo x > /usr/removed; exec 7< /usr/removed; rm /usr/removed; {SLEEPER}")
        harness.wait_until(lambda: self.counter() > 3, "it counts")
        done = self.checkpoint()
        self.assertNotEqual(done.status, 0)
        for word in ("(sh)", "descriptor 7", "removed"):
            self.assertIn(word, done.err)
        self.assert_runs_on()
        self.remove()

    def test_programs_from_outside_are_not_saved(self):
        self.start("sh", "-c", SLEEPER)
        harness.wait_until(lambda: self.counter() > 3, "it counts")
        outside = self.caisson_in_background("exec", self.name, "sleep", "1000")
        harness.wait_until(lambda: "sleep" in self.caisson("sandbox", "processes", self.name).out
                           or outside.poll() is not None, "it is in")
        time.sleep(0.2)
        done = self.checkpoint()
        self.assertNotEqual(done.status, 0)
        self.assertIn("from outside", done.err)
        self.assert_runs_on()
        self.remove()
        outside.wait(timeout=20)

    def test_damaged_images_are_refused_and_leave_nothing(self):
        self.start("sh", "-c", SLEEPER)
        harness.wait_until(lambda: self.counter() > 3, "it counts")
        self.assert_ok(self.checkpoint())
        state, memory = (os.path.join(self.image, name) for name in ("sandbox.state", "sandbox.memory"))
        with open(state, "rb") as file:
            whole = file.read()
        middle = len(whole) // 2
        for damaged in (b"", whole[:20], whole[:-1], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:],
                        b"x" * len(whole)):
            with open(state, "wb") as file:
                file.write(damaged)
            done = self.restore()
            self.assertNotEqual(done.status, 0)
            self.assertIn("damaged", done.err + self.caisson("logs", self.name).out)
            self.caisson("rm", "-f", self.name)
        with open(state, "wb") as file:
            file.write(whole)
        os.truncate(memory, 4096)
        self.assertNotEqual(self.restore().status, 0)
        self.caisson("rm", "-f", self.name)
        os.remove(memory)
        done = self.restore()
        self.assertNotEqual(done.status, 0)
        self.assertIn("--image-path", done.err)

    def test_a_file_that_was_changed_is_named(self):
        self.start("sh", "-c", f"exec 7< /bound/input; {SLEEPER}")
        harness.wait_until(lambda: self.counter() > 3, "it counts")
        self.assert_ok(self.checkpoint())
        with open(os.path.join(self.bound, "input"), "w", encoding="utf-8") as file:
            file.write("something else")
        done = self.restore()
        self.assertNotEqual(done.status, 0)
        self.assertIn("/bound/input", done.err + self.caisson("logs", self.name).out)
        self.caisson("rm", "-f", self.name)

    def test_a_pre_dump_is_refused(self):
        self.start("sh", "-c", SLEEPER)
        harness.wait_until(lambda: self.counter() > 3, "it counts")
        done = self.checkpoint("--pre-dump")
        self.assertNotEqual(done.status, 0)
        self.assertIn("--pre-dump", done.err)
        self.remove()


if __name__ == "__main__":
    harness.main()
