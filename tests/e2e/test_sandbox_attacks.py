# ctest: RELEASE_ONLY
# ctest: TIMEOUT 300
"""Guests that attack their sandbox: what they try harms at most themselves, and the host's kernel carries out nothing
that they ask for. CAISSON_ATTACK_SECONDS makes the random ones last longer, CAISSON_ATTACK_SEED makes them others."""

import os
import re
import stat
import subprocess
import time
import unittest

import guest_programs
import harness
from oci_case import OciCase

PLATFORMS = ("systrap", "ptrace")
SECONDS = os.environ.get("CAISSON_ATTACK_SECONDS", "2")
SEED = os.environ.get("CAISSON_ATTACK_SEED", "1")
LAYOUT = os.path.join(os.path.dirname(guest_programs.SOURCES), "..", "..", "src/sandbox/platform/layout_macros.h")

# What ends at a limit of the kernel's, of the container's, or at a number that the program thought of itself.
KINDS = {
    "files": "EMFILE", "event_counters": "EMFILE", "epolls": "EMFILE", "timers": "EMFILE", "sockets": "EMFILE",
    "epoll_chain": "ELOOP", "memory_files": "EMFILE", "process_timers": "EAGAIN", "rights_cycles": "ETOOMANYREFS",
    "processes": "EAGAIN", "bomb": "EAGAIN", "threads": "EAGAIN", "mounts": "EPERM",
    "mappings": "none", "deep_folders": "none", "names": "none", "links_to_links": "none", "queued_signals": "none",
}
# The memory of the kernel process: it and the container end by the container's limit, and nobody else.
HEAVY = ("full_pipes", "full_sockets", "files_in_memory")


def layout(name):
    """A number of the stub's layout."""
    with open(LAYOUT, encoding="utf-8") as file:
        return re.search(rf"#define {name} (0x[0-9a-f]+)", file.read()).group(1)


class AttackCase(OciCase):
    """Guests of their own root, with the attacking programs in /attacks."""

    def setUp(self):
        super().setUp()
        self.attacks = os.path.join(self.dir, "attacks")
        self.root = self.busybox_rootfs()
        os.mkdir(self.attacks)

    def attack(self, platform, program, *arguments, options=("--memory", "512m", "--pids", "300"), **more):
        if not os.path.exists(os.path.join(self.attacks, program)):
            guest_programs.build(program, self.attacks)
        return self.caisson("run", "--wall", "sandbox", "--platform", platform, "--rootfs", self.root, "--tmpfs", "/tmp",
                            "-v", f"{self.attacks}:/attacks:ro", *options, "--", f"/attacks/{program}", *arguments, **more)

    def survives(self, program, *arguments, **more):
        for platform in PLATFORMS:
            with self.subTest(platform=platform, seed=SEED):
                done = self.attack(platform, program, *arguments, timeout=60 + 4 * float(SECONDS), **more)
                self.assert_ok(done)
                self.assertTrue(done.out.endswith("still works\n"), str(done))
                yield done


class Attacks(AttackCase):
    def test_jumps_into_the_code_beside_the_guest(self):
        plans = ["0", "1", "2", "3", "4", "5"]
        for plan in plans if float(SECONDS) > 10 else plans[int(SEED) % 6:][:1] + ["5"]:
            for done in self.survives("jump", layout("STUB_TEXT"), "0x2000", plan):
                self.assertGreater(int(re.search(r"jumped to (\d+) places", done.out).group(1)), 1000)

    def test_writes_over_what_is_shared_with_the_kernel(self):
        for done in self.survives("scribble", layout("STUB_AREAS"), "0x80000", SECONDS):
            self.assertGreater(int(re.search(r"attacked (\d+) times", done.out).group(1)), 3)

    def test_arguments_that_change_while_they_are_read(self):
        for done in self.survives("race", SECONDS):
            self.assertIn("raced often", done.out)

    def test_random_calls(self):
        for done in self.survives("garbage", "calls", SEED, SECONDS):
            self.assertIn("in many processes", done.out)

    def test_requests_that_nobody_makes(self):
        for done in self.survives("garbage", "requests", SECONDS):
            self.assertIn("asked", done.out)

    def test_more_than_there_is(self):
        for kind, answer in KINDS.items():
            for done in self.survives("exhaust", kind):
                self.assertEqual(done.out.splitlines()[0], answer, f"{kind}: {done}")

    def test_memory_of_the_guest_s(self):
        # The host ends the process that has it, as it would without a sandbox; should the kernel process want memory
        # before that is gone, it ends too (docs/sandbox.md, what is not there yet). A neighbour never does.
        self.start_neighbour()
        for platform in PLATFORMS:
            done = self.attack(platform, "exhaust", "memory", options=("--memory", "128m"))
            self.assertIn((done.status, done.out[-12:]), ((0, "still works\n"), (137, "")), str(done))
            self.assertIn(self.name, self.caisson("ps").out, "a neighbour ended too")
        self.assert_ok(self.caisson("rm", "-f", self.name))

    def start_neighbour(self):
        self.assert_ok(self.caisson("run", "-d", "--name", self.name, "--wall", "sandbox", "--rootfs", self.root, "--",
                                    "sleep", "60"))

    def test_memory_of_the_kernel_s(self):
        self.start_neighbour()
        for kind in HEAVY:
            for platform in PLATFORMS:
                with self.subTest(kind=kind, platform=platform):
                    done = self.attack(platform, "exhaust", kind, options=("--memory", "64m"))
                    self.assert_status(done, 137)
                    self.assertIn(self.name, self.caisson("ps").out, "a neighbour ended too")
        self.assert_ok(self.caisson("rm", "-f", self.name))


class Outside(AttackCase):
    """The processes of a sandbox, as the host sees them."""

    def started(self, platform, script, wall="sandbox"):
        """A container that runs until its test ends: (pid of the kernel process, pids of all)."""
        folder = os.path.join(self.dir, "volume")
        os.makedirs(folder, exist_ok=True)
        annotations = {"org.caisson.wall": "sandbox", "org.caisson.platform": platform} if wall == "sandbox" else {}
        mounts = harness.default_config()["mounts"] + [
            {"destination": "/v", "type": "bind", "source": folder, "options": ["bind"]},
            {"destination": "/attacks", "type": "bind", "source": self.attacks, "options": ["bind", "ro"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}]
        bundle = self.bundle("sh", "-c", script, changes={"annotations": annotations, "mounts": mounts})
        name = f"{self.name}-{platform}-{wall}"
        pid = self.start_new(bundle, name=name)
        self.addCleanup(self.stop, name)
        return pid, folder

    def stop(self, name):
        self.oci("kill", name, "KILL")
        self.wait_stopped(name)
        self.oci("delete", name)

    @staticmethod
    def members(pid):
        """Those in the pid namespace of a process, and in namespaces below: by the cgroup that they share."""
        cgroup = read(f"/proc/{pid}/cgroup")
        return [int(other) for other in filter(str.isdigit, os.listdir("/proc")) if read(f"/proc/{other}/cgroup") == cgroup]

    def settled_members(self, pid):
        """The same once none of them is about to end any more, or to become what it will be."""
        members = []

        def settled():
            before, members[:] = list(members), self.members(pid)
            time.sleep(0.3)
            return before == members and sum(not is_stub(member) for member in members) == 2

        harness.wait_until(settled, "nothing but the kernel process, the gofer and stubs is there")
        return members

    def test_who_may_do_what(self):
        for platform in PLATFORMS:
            with self.subTest(platform=platform):
                pid, folder = self.started(platform, "sleep 100 & : > /v/up; wait")
                harness.wait_until(lambda folder=folder: os.path.exists(f"{folder}/up"), "it runs")
                os.remove(f"{folder}/up")
                members = self.settled_members(pid)
                kinds = [self.check_process(member, pid) for member in members]
                self.assertEqual(kinds.count("kernel"), 1)
                self.assertEqual(kinds.count("gofer"), 1)
                self.assertGreaterEqual(kinds.count("stub"), 2, kinds)

    def check_process(self, pid, kernel):
        status = dict(line.split(":\t", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        descriptors = {number: os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}
        kind = self.kind_of(pid, kernel)
        five = "000000000000001f"  # CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID
        for name in ("CapPrm", "CapEff", "CapBnd"):
            self.assertEqual(status[name], five if kind == "gofer" else "0" * 16, f"{kind} {name}")
        for name in ("CapInh", "CapAmb"):
            self.assertEqual(status[name], "0" * 16, f"{kind} {name}")
        for thread in os.listdir(f"/proc/{pid}/task"):
            text = read(f"/proc/{pid}/task/{thread}/status")
            self.assertIn("NoNewPrivs:\t1\n", text, kind)
            self.assertIn("Seccomp:\t2\n", text, kind)
        for space in ("mnt", "pid", "net", "ipc", "uts"):
            self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/{space}"), os.readlink(f"/proc/self/ns/{space}"), f"{kind} {space}")
        self.check_root(pid, kind)
        self.check_descriptors(pid, kind, descriptors)
        # What is short of memory loses a program first, and not its kernel.
        more = int(read(f"/proc/{pid}/oom_score_adj")) - int(read(f"/proc/{kernel}/oom_score_adj"))
        self.assertEqual(more, 100 if kind == "stub" else 0, kind)
        return kind

    @staticmethod
    def kind_of(pid, kernel):
        if pid == kernel:
            return "kernel"
        return "stub" if is_stub(pid) else "gofer"

    def check_root(self, pid, kind):
        """One mount, read-only, without a file in it."""
        mounts = read(f"/proc/{pid}/mountinfo").splitlines()
        self.assertEqual(len(mounts), 1, f"{kind}: {mounts}")
        self.assertTrue(mounts[0].split()[5].startswith("ro,"), mounts)
        for _, _, files in os.walk(f"/proc/{pid}/root/"):
            self.assertEqual(files, [], kind)

    def check_descriptors(self, pid, kind, descriptors):
        """What is open of the host: the places that the container shows, and its standard streams."""
        self.assertLess(len(descriptors), {"stub": 7, "gofer": 12, "kernel": 60}[kind], descriptors)
        shown = {os.stat(path).st_dev for path in (self.dir, "/dev/null")}
        for number, what in descriptors.items():
            if what.startswith(("socket:", "pipe:", "/memfd:", "anon_inode:")):
                self.assertTrue(kind != "stub" or not what.startswith("pipe:"), descriptors)
                continue
            self.assertNotEqual(kind, "stub", what)
            info = os.stat(f"/proc/{pid}/fd/{number}")
            if self.is_only_processes(pid, kind, number):
                continue
            self.assertTrue(what == "/dev/null" or (info.st_dev in shown and not stat.S_ISBLK(info.st_mode)), what)

    @staticmethod
    def is_only_processes(pid, kind, number):
        """The kernel process has a proc that is mounted nowhere, of its own pid namespace and without the rest of one."""
        place = f"/proc/{pid}/fd/{number}"
        return kind == "kernel" and not os.path.exists(f"{place}/sys") and os.path.exists(f"{place}/1/status")

    # --- what the host's kernel is asked

    def calls_of(self, platform, wall, work):
        """(number, address, arguments) of what the host's kernel carries out for the guest's processes meanwhile.
        `work` makes /v/go.ready in the process that makes the calls, and begins when /v/go is there."""
        pid, folder = self.started(platform, f"{work}; : > /v/done; sleep 100", wall)
        harness.wait_until(lambda: os.path.exists(f"{folder}/go.ready"), "it runs")
        members = [member for member in self.members(pid) if wall != "sandbox" or is_stub(member)]
        self.assertGreaterEqual(len(members), 1)
        threads = [thread for member in members for thread in os.listdir(f"/proc/{member}/task")]
        tracer = subprocess.Popen([os.path.join(self.attacks, "host_calls"), *threads], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self._background.add(tracer.pid)
        try:
            first = tracer.stdout.readline().strip()
            if first == "no trace point":
                self.skipTest("the host has no trace point raw_syscalls:sys_enter")
            self.assertEqual(first, "ready")
            open(f"{folder}/go", "w", encoding="utf-8").close()
            harness.wait_until(lambda: os.path.exists(f"{folder}/done"), "the guest made its calls")
            lines = tracer.communicate(timeout=harness.TIMEOUT)[0].splitlines()
        finally:
            tracer.kill()
            tracer.wait()
            self._background.discard(tracer.pid)
            for name in ("go.ready", "go", "done"):
                if os.path.exists(f"{folder}/{name}"):
                    os.remove(f"{folder}/{name}")
        return [[int(word, 0) for word in line.split()] for line in lines if not line.startswith("lost")]

    def test_the_host_s_kernel_answers_no_call_of_the_guest_s(self):
        for program in ("host_calls", "garbage"):
            guest_programs.build(program, self.attacks)
        for platform in PLATFORMS:
            with self.subTest(platform=platform, seed=SEED):
                calls = self.calls_of(platform, "sandbox", f"/attacks/garbage calls {SEED} 1 /v/go")
                self.assertGreater(len(calls), 20, "what the kernel process orders must be among them")
                foreign = [call for call in calls if not is_ordered(*call)]
                self.assertEqual(foreign[:10], [], f"{len(foreign)} of {len(calls)}")
        # The control: without a sandbox the same trace is full of them. (No random ones: those would be the host's to carry out.)
        calls = self.calls_of("systrap", "namespaces", ": > /v/go.ready; while [ ! -e /v/go ]; do sleep 0.05; done; i=0; "
                              "while [ $i -lt 300 ]; do [ -e /none ]; i=$((i+1)); done")
        self.assertGreater(sum(not is_ordered(*call) for call in calls), 100)


def is_stub(pid):
    try:
        return os.readlink(f"/proc/{pid}/fd/0").startswith("/memfd:commands")
    except OSError:
        return False


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


# x86-64: what stubs do themselves (signals, threads, futexes, their end) and what they are ordered to do to memory.
_OWN = {15: "rt_sigreturn", 24: "sched_yield", 56: "clone", 60: "exit", 157: "prctl", 131: "sigaltstack", 202: "futex",
        231: "exit_group", 317: "seccomp", 319: "memfd_create", 8: "lseek", 110: "getppid", 47: "recvmsg"}
# uretprobe and uprobe: Linux lets them pass every filter, and refuses them where no probe is.
_PAST_FILTERS = (335, 336)
_MEMORY = {9: "mmap", 10: "mprotect", 11: "munmap", 25: "mremap", 28: "madvise"}


def is_ordered(number, address, *arguments):
    """By an instruction of the stub's own, and one of the calls that it has orders for."""
    if number in _PAST_FILTERS:
        return True
    text, region = int(layout("STUB_TEXT"), 16), int(layout("STUB_REGION"), 16)
    if not text <= address < text + 0x2000:
        return False
    if number == 3:  # close: of the slots for files and the listener's
        return arguments[0] < 8
    if number == 9 and arguments[4] & 0xffffffff not in (0xffffffff, 0, 1, 4):  # mmap of a file: shared pages and slot
        return False
    return number in _OWN or (number in _MEMORY and (arguments[0] < region or text - 0x10000 <= arguments[0]))


if __name__ == "__main__":
    harness.main()
