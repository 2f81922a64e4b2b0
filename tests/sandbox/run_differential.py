#!/usr/bin/env python3
"""Runs differential programs on the host and in the sandbox and compares what they print, case by case.

    run_differential.py PROGRAM...                      host, systrap and ptrace side by side
    run_differential.py --on ptrace PROGRAM...          host and ptrace
    run_differential.py --on host --repeat 50 PROGRAM   the host against itself: is a program deterministic?

CAISSON names the program under test. Exit status: 0 equal, 1 different, 77 no sandbox here.
"""

import argparse
import concurrent.futures
import ctypes
import difflib
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77
PLATFORMS = ("ptrace", "systrap")
TIMEOUT = 280  # seconds for a program; a case has its own
CASE_TIMEOUT = 20
# Of cases that are known to differ, some wait for what never comes.
KNOWN_CASE_TIMEOUT = 2
ENTRY = re.compile(r"(?P<case>\w+\.\w+)(?: (?P<platform>\w+))?: (?P<reason>\S.*)")


class Outcome:
    """What one program printed: {case: lines}, and what it said besides."""

    def __init__(self):
        self.cases = {}
        self.complaints = []
        self.hung = False  # the last case ended, the program did not

    def add(self, text):
        current = None
        for line in text.splitlines():
            if line.startswith("== "):
                current = self.cases.setdefault(line[3:], [])
            elif current is None:
                self.complaints.append(line)
            else:
                current.append(line)

    def ended(self, case):
        return any(line.startswith("-- ") for line in self.cases.get(case, ()))


def read_known(path, family, cases, platform):
    """{case: reason} of this family; complains about entries that cannot be right."""
    known, problems = {}, []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = ENTRY.fullmatch(line.strip())
            if not match or match["platform"] not in (None, *PLATFORMS):
                problems.append(f"{path}:{number}: not 'FAMILY.CASE [PLATFORM]: reason'")
                continue
            of, case = match["case"].split(".")
            if of == family and case not in cases:
                problems.append(f"{path}:{number}: {family} has no case {case}")
            elif of == family and match["platform"] in (None, platform):
                known[case] = match["reason"]
    return known, problems


def compare(expected, found, known, where):
    """Lines that say what differs without being known to, and what is known to and does not."""
    report = []
    for case, lines in expected.cases.items():
        other = found.cases.get(case)
        if other == lines:
            if case in known:
                report.append(f"{case}: prints the same; take it from the list of known differences")
        elif case not in known:
            report.append(f"{case}:")
            report += ["  (not reached)"] if other is None else _difference(lines, other, where)
    return report


def _difference(lines, other, where):
    diff = difflib.unified_diff(lines, other, "host", where, lineterm="", n=2)
    return [f"  {line}" for line in diff if not line.startswith("@@")]


class Host:
    """The kernel of this machine: own processes, mounts, network and names, a tmpfs to write to."""

    name = "host"

    def __init__(self, scratch):
        self.scratch = scratch

    def command(self, program, cases, _):
        return ["unshare", "--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child",
                "--mount-proc", "--", sys.executable, "-B", os.path.abspath(__file__), "--inside",
                self.scratch, program, *cases]

    def environment(self):
        return {**os.environ, "TMPDIR": self.scratch}


class Sandbox:
    def __init__(self, caisson, platform, scratch):
        self.caisson, self.platform, self.scratch = caisson, platform, scratch
        self.name = platform

    def missing(self):
        """Why there is no such sandbox here, or None."""
        if not self.caisson:
            return "CAISSON names no program"
        text = subprocess.run([self.caisson, "run", "--help"], capture_output=True, text=True,
                              timeout=30, check=False).stdout
        if "--wall" not in text or "--platform" not in text:
            return f"{self.caisson} has no 'run --wall sandbox --platform {self.platform}'"
        return None

    def command(self, program, cases, case_timeout):
        inside = "/mnt/differential"
        options = ["--wall", "sandbox", "--platform", self.platform, "--cap-add", "ALL", "--seccomp",
                   "unconfined", "--new-privileges", "--quiet", "--tmpfs", f"{self.scratch}:suid,dev,exec",
                   "-e", f"TMPDIR={self.scratch}", "-e", f"CASE_TIMEOUT={case_timeout}",
                   "-v", f"{os.path.dirname(program)}:{inside}:ro", "-w", "/"]
        return [self.caisson, "run", *options, "--", f"{inside}/{os.path.basename(program)}", *cases]

    def environment(self):
        return None


def run_once(place, program, cases, case_timeout):
    process = subprocess.Popen(place.command(program, cases, case_timeout), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", env=place.environment(), start_new_session=True)
    try:
        return process.communicate(timeout=TIMEOUT)[0], process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0], None


def run_cases(outcome, place, program, cases, case_timeout=CASE_TIMEOUT):
    """When the whole program ends in the middle of a case, it goes on behind that one."""
    rest = list(cases)
    while rest:
        text, status = run_once(place, program, rest, case_timeout)
        outcome.add(text)
        outcome.hung = outcome.hung or status is None
        reached = [case for case in rest if case in outcome.cases]
        if not reached:
            outcome.complaints.append(f"{os.path.basename(program)} did not start (status {status})")
            break
        last = reached[-1]
        if not outcome.ended(last):
            outcome.cases[last].append(f"-- the program ended here (status {status})")
        rest = rest[rest.index(last) + 1:]


def run_program(place, program, cases, known=()):
    outcome = Outcome()
    run_cases(outcome, place, program, [case for case in cases if case not in known])
    run_cases(outcome, place, program, [case for case in cases if case in known], KNOWN_CASE_TIMEOUT)
    return outcome


def list_cases(program, wanted):
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    unknown = set(wanted) - set(names)
    if unknown:
        sys.exit(f"{program} has no case {', '.join(sorted(unknown))}")
    return [name for name in names if not wanted or name in wanted]


class Comparison:
    """One program on the host and, at the same time, on what is compared with it."""

    def __init__(self, program, options, scratch):
        self.program, self.family = program, os.path.basename(program)
        self.cases = list_cases(program, options.case)
        self.host = Host(scratch)
        self.first = None  # the host's first run: what all others are compared with
        self.problems = []
        self.places, self.known, self.equal = [], {"host": {}}, {}
        everything = list_cases(program, ())
        for platform in options.on:
            if platform == "host":
                continue
            self.places.append(Sandbox(os.environ.get("CAISSON"), platform, scratch))
            self.known[platform], problems = read_known(options.known, self.family, everything, platform)
            self.problems += problems

    def run(self):
        places = [self.host, *self.places]
        with concurrent.futures.ThreadPoolExecutor(len(places)) as pool:
            outcomes = list(pool.map(
                lambda place: run_program(place, self.program, self.cases, self.known[place.name]), places))
        if self.first is None:
            self.first = outcomes[0]
            if len(self.first.cases) != len(self.cases) or not all(map(self.first.ended, self.cases)):
                self.problems += ["the host itself ran not all cases:", *self.first.complaints]
        for place, found in zip(places, outcomes):
            self._compare(place.name, found)

    def _compare(self, name, found):
        problems = found.complaints + compare(self.first, found, self.known[name], name)
        if found.hung:
            problems.append(f"{self.family} did not end within {TIMEOUT} s")
        self.equal[name] = sum(found.cases.get(case) == lines for case, lines in self.first.cases.items())
        self.problems += [f"on {name}:", *problems] if problems else []


def check(program, options, scratch):
    """Compares one program; gives whether all is well."""
    begin = time.monotonic()
    comparison = Comparison(program, options, scratch)
    if options.on == ["host"]:
        comparison.run()
    for _ in range(options.repeat):
        if not comparison.problems:
            comparison.run()
    equal = ", ".join(f"{count} on {name}" for name, count in comparison.equal.items())
    print("\n".join(comparison.problems + [f"{comparison.family}: of {len(comparison.cases)} cases are equal {equal}"
                                           f" ({time.monotonic() - begin:.1f} s)"]), flush=True)
    return not comparison.problems


def inside(scratch, command):
    """Runs in new namespaces: makes the scratch file system, brings the loopback device up."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", scratch.encode(), b"tmpfs", 0, b"size=1g") != 0:
        sys.exit(f"mount tmpfs on {scratch}: {os.strerror(ctypes.get_errno())}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x49))  # SIOCSIFFLAGS: up, running
    os.execv(command[0], command)


def start_load(count):
    return [subprocess.Popen(["timeout", "1800", "sh", "-c", "while :; do :; done"], start_new_session=True)
            for _ in range(count)]


def main():
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", choices=("host", *PLATFORMS), action="append", help="only there; may be repeated")
    parser.add_argument("--case", action="append", default=[], help="only this case; may be repeated")
    parser.add_argument("--repeat", type=int, default=1, help="run so often, stop at the first difference")
    parser.add_argument("--load", type=int, default=0, help="so many spinning processes beside it")
    parser.add_argument("--known", default=os.path.join(HERE, "known_differences.txt"))
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    options.on = options.on or list(PLATFORMS)
    if os.geteuid() != 0:
        sys.exit("the cases need root")
    scratch = tempfile.mkdtemp(prefix="caisson-differential-", dir="/var/tmp")
    load = []
    try:
        for platform in set(options.on) - {"host"}:
            missing = Sandbox(os.environ.get("CAISSON"), platform, scratch).missing()
            if missing:
                print(f"skipped: {missing}")
                return SKIPPED
        load = start_load(options.load)
        results = [check(os.path.abspath(program), options, scratch) for program in options.program]
        return 0 if all(results) else 1
    finally:
        for process in load:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
