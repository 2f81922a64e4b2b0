"""Holds what floor (and caisson) make against what runc and crun make from the same configuration.

A lower bound is worth nothing if it leaves something out, and a fast runtime neither.
"""

import subprocess

from caisson_bench.entries import OciRuntime, floor_entries, oci_runtimes
from caisson_bench.places import PATH, leftover_cgroups

PROBE = """cat /proc/self/mountinfo; echo ---
grep -E '^(Cap|NoNewPrivs|Groups|Umask|NSpid)' /proc/self/status; grep 'open files' /proc/self/limits
hostname; ifconfig lo | grep -c UP; id; cut -d' ' -f6 /proc/self/stat
ls -l /dev | sed 's/.*[0-9][0-9]:[0-9][0-9] //' | grep -v -e '^total' -e '^core'
cat /proc/self/cgroup | sed 's,/caisson-bench/.*,/OWN,'"""

MASKED = ("/proc/acpi", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/kcore", "/proc/sched_debug")


def normal_mount(line):
    """Mount point, flags and type. Masks differ by taste (read-only or not, whose null): just that they are there."""
    fields, _, tail = line.partition(" - ")
    root, point, flags = fields.split()[3:6]
    kind = tail.split()[0]
    if any(point == m or point.startswith(m + "/") for m in MASKED):
        return f"{point} masked by {'null' if root == '/null' else kind}"
    subtree = root if point.startswith("/proc/") else ""
    return f"{point} {','.join(sorted(flags.split(',')))} {kind} {subtree}".rstrip()


def normalise(output):
    mounts, _, rest = output.partition("---\n")
    facts = []
    for line in rest.splitlines():
        # The number of processes that helped before the payload differs and means nothing.
        facts.append(line if not line.startswith("NSpid") else "NSpid: 1 level" if len(line.split()) == 2 else line)
    return sorted(map(normal_mount, mounts.splitlines())), facts


def result_of(command, environment=()):
    environment = {"PATH": PATH, **dict(e.split("=", 1) for e in environment)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return None, f"status {done.returncode}: {done.stderr.strip()[:300]}"
    return normalise(done.stdout), None


def competitors(view, ours):
    payload = ["sh", "-c", PROBE]
    for runtime in oci_runtimes(view, ours):
        container = f"{runtime.name}-check"
        yield runtime.name, runtime.command("run", "-b", runtime.bundle(view, payload), container), runtime.environment, [], []
        if isinstance(runtime, OciRuntime):
            subprocess.run(runtime.command("delete", "--force", container), capture_output=True)
    for entry in floor_entries(view, payload):
        yield entry.name, entry.steps[0].arguments, [], entry.before, entry.after


def differences(expected, found):
    for title, wanted, got in zip(("mounts", "process"), expected, found):
        for line in wanted:
            if line not in got:
                yield f"{title}: missing: {line}"
        for line in got:
            if line not in wanted:
                yield f"{title}: extra:   {line}"


def check_view(view, ours):
    """True if all of them make the same container as runc."""
    expected, good = None, True
    results = {}
    for name, command, environment, before, after in competitors(view, ours):
        for other in before:
            subprocess.run(other, check=True)
        results[name] = result_of(command, environment)
        for other in after:
            subprocess.run(other, check=True)
    for yardstick in ("runc", "crun"):
        expected = expected or results.get(yardstick, (None,))[0]
    for name, (found, error) in results.items():
        problems = [error] if error else list(differences(expected, found)) if expected else ["nothing to compare with"]
        print(f"  {view:<7} {name:<12} {'same' if not problems else 'DIFFERS'}")
        for problem in problems:
            print(f"      {problem}")
        good = good and not problems
    for directory in leftover_cgroups():
        print(f"  {view:<7} left behind: {directory}")
        good = False
    return good
