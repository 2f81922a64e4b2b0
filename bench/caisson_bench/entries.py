"""What is measured: commands of each competitor for each suite, as entries of bench/interleave's list."""

import subprocess
from dataclasses import dataclass, field

from caisson_bench.places import (BUILD, CGROUP_PARENT, PATH, ROOT, STATE, docker_seccomp, make_bundle, many_binds,
                                  remove_cgroups, thousand_masks, which)


@dataclass
class Step:
    arguments: list
    label: str = ""
    timed: bool = True
    copies: int = 1
    environment: list = field(default_factory=list)

    def lines(self):
        if self.label:
            yield f"{'step' if self.timed else 'quiet'} {self.label}"
        yield from (f"arg {a}" for a in self.arguments)
        yield f"env PATH={PATH}"
        yield from (f"env {e}" for e in self.environment)
        if self.copies > 1:
            yield f"copies {self.copies}"


@dataclass
class Entry:
    name: str
    steps: list
    before: list = field(default_factory=list)  # commands run once before the suite
    after: list = field(default_factory=list)  # and once after it, whatever happened

    def lines(self):
        yield f"name {self.name}"
        for step in self.steps:
            yield from step.lines()


class OciRuntime:
    """Anything with runc's command line."""

    def __init__(self, name, program, environment=()):
        self.name, self.program, self.environment = name, str(program), list(environment)

    def command(self, *arguments):
        return [self.program, "--root", str(STATE / self.name), *map(str, arguments)]

    def step(self, *arguments, label="", timed=True, copies=1):
        return Step(self.command(*arguments), label, timed, copies, self.environment)

    def bundle(self, view, payload, name=None, change=None):
        return make_bundle(view, name or self.name, payload, change)

    def clean(self, container):
        return Step(self.command("delete", "--force", container), environment=self.environment)


def crun_environment(program, view):
    """The preload that crun 1.8 needs where RLIMIT_MEMLOCK cannot be raised; empty where it runs without."""
    runtime = OciRuntime("crun", program)
    bundle = runtime.bundle(view, ["true"], "probe")
    probe = subprocess.run(runtime.command("run", "-b", bundle, "probe"), capture_output=True, text=True)
    if "RLIM_MEMLOCK" not in probe.stderr:
        return []
    subprocess.run(runtime.command("delete", "--force", "probe"), capture_output=True)
    remove_cgroups(parents=False)
    return [f"LD_PRELOAD={BUILD / 'memlock_shim.so'}"]


def oci_runtimes(view, ours, extra=()):
    runtimes = [OciRuntime("caisson", ours)] if ours.exists() else []
    if which("crun"):
        runtimes.append(OciRuntime("crun", which("crun"), crun_environment(which("crun"), view)))
    if which("runc"):
        runtimes.append(OciRuntime("runc", which("runc")))
    return runtimes + [OciRuntime(name, program) for name, program in extra]


def floor_command(name, payload, *options):
    names = ["--id", name, "--cgroup", f"{CGROUP_PARENT}/{name}", "--state", str(STATE)]
    return [str(BUILD / "floor"), "--rootfs", str(BUILD / "rootfs"), *names, *options, "--", *payload]


def floor_entries(view, payload):
    """floor: nothing kept between starts. floor-pin: device program kept. floor-tiny: that and a tiny mount namespace."""
    tiny = str(BUILD / f"tiny-{view}")
    pin = ["--pin", str(BUILD / "bpf" / "devices")] if view == "v2" else []
    entries = [Entry("floor", [Step(floor_command("floor", payload))])]
    if pin:
        entries.append(Entry("floor-pin", [Step(floor_command("floor-pin", payload, *pin))]))
    entries.append(
        Entry(
            "floor-tiny",
            [Step(floor_command("floor-tiny", payload, *pin, "--tiny", tiny))],
            before=[[str(BUILD / "floor"), "--make-tiny", tiny]],
            after=[["umount", tiny]],
        )
    )
    return entries


def bwrap_entry(payload=("true",)):
    options = ["--unshare-all", "--hostname", "runc", "--ro-bind", str(BUILD / "rootfs"), "/", "--proc", "/proc"]
    options += ["--dev", "/dev", "--cap-drop", "ALL"]
    return Entry("bwrap", [Step([which("bwrap"), *options, *payload])])


def suite_run(view, runtimes, copies=1):
    entries = [Entry(r.name, [r.step("run", "-b", r.bundle(view, ["true"]), f"{r.name}-run")]) for r in runtimes]
    if which("bwrap"):
        entries.append(bwrap_entry())
    entries += floor_entries(view, ["true"])
    entries.append(Entry("bare busybox", [Step([str(BUILD / "rootfs/bin/busybox"), "true"])]))
    return entries


def suite_changed(change):
    """As `run`, of a configuration with more in it."""
    def suite(view, runtimes):
        names = [f"{runtime.name}-{change.__name__}" for runtime in runtimes]
        return [Entry(runtime.name, [runtime.step("run", "-b", runtime.bundle(view, ["true"], name, change), name)])
                for runtime, name in zip(runtimes, names)] + floor_entries(view, ["true"])
    return suite


def suite_lifecycle(view, runtimes):
    def steps(runtime):
        container, bundle = f"{runtime.name}-life", runtime.bundle(view, ["true"])
        yield runtime.step("create", "-b", bundle, container, label="create")
        yield runtime.step("start", container, label="start")
        yield runtime.step("delete", "--force", container, label="delete")

    return [Entry(r.name, list(steps(r))) for r in runtimes]


def with_sleeping_container(view, runtime, suite, steps):
    container = f"{runtime.name}-{suite}"
    bundle = runtime.bundle(view, ["sleep", "100000"])
    start = ["env", *runtime.environment, *runtime.command("run", "-d", "-b", bundle, container)]
    return Entry(runtime.name, steps(container), before=[start], after=[runtime.command("delete", "--force", container)])


def suite_exec(view, runtimes):
    return [with_sleeping_container(view, r, "exec", lambda c, r=r: [r.step("exec", c, "true")]) for r in runtimes]


def suite_verbs(view, runtimes):
    def steps(runtime, container):
        return [
            runtime.step("state", container, label="state"),
            runtime.step("list", label="list"),
            runtime.step("kill", container, "CONT", label="kill"),
        ]

    return [with_sleeping_container(view, r, "verbs", lambda c, r=r: steps(r, c)) for r in runtimes]


def suite_parallel(view, runtimes, copies=8):
    entries = []
    for runtime in runtimes:
        for copy in range(copies):
            bundle = runtime.bundle(view, ["true"], f"{runtime.name}-{copy}")
        place = bundle.parent / f"{runtime.name}-%c"
        entries.append(Entry(runtime.name, [runtime.step("run", "-b", place, f"{runtime.name}-%c", copies=copies)]))
    if which("bwrap"):
        entry = bwrap_entry()
        entry.steps[0].copies = copies
        entries.append(entry)
    for entry in floor_entries(view, ["true"]):
        command = entry.steps[0].arguments
        for option in ("--id", "--cgroup"):
            command[command.index(option) + 1] += "-%c"
        entry.steps[0].copies = copies
        entries.append(entry)
    return entries


def suite_cli(view, runtimes):
    """A command on a throw-away view of this machine, against what people use for that today."""
    del view, runtimes
    entries = []
    ours = ROOT / "build/release/caisson"
    if ours.exists():
        entries.append(Entry("caisson", [Step([str(ours), "run", "--", "/bin/true"])]))
    if which("bwrap"):
        view_of_host = ["--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
        entries.append(Entry("bwrap", [Step([which("bwrap"), *view_of_host, "/bin/true"])]))
    flags = ["--fork", "--mount", "--pid", "--uts", "--ipc", "--net", "--mount-proc"]
    entries.append(Entry("unshare", [Step([which("unshare"), *flags, "/bin/true"])]))
    entries.append(Entry("bare true", [Step(["/bin/true"])]))
    return entries


# name: (maker, further mounts in the host's table, yardstick)
SUITES = {
    "run": (suite_run, 0, "crun"),
    "seccomp": (suite_changed(docker_seccomp), 0, "crun"),
    "masks-1000": (suite_changed(thousand_masks), 0, "crun"),
    "binds-200": (suite_changed(many_binds), 0, "crun"),
    "lifecycle": (suite_lifecycle, 0, "crun"),
    "exec": (suite_exec, 0, "crun"),
    "verbs": (suite_verbs, 0, "crun"),
    "parallel": (suite_parallel, 0, "crun"),
    "mounts-1000": (suite_run, 1000, "crun"),
    "mounts-5000": (suite_run, 5000, "crun"),
    "mounts-10000": (suite_run, 10000, "crun"),
    "cli": (suite_cli, 0, "bwrap"),
}
