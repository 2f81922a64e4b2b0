"""What MUST be an error (config.md: invalid or unsupported values), as a table: a change of a good
configuration that makes it bad. None removes a member."""

import suite
from suite import expect, must

NAMESPACES = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]


def seccomp(**more):
    return {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", **more}}}


def syscall(**more):
    return seccomp(syscalls=[{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO", **more}])


def mount(**more):
    return {"mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, more]}


def rlimit(*limits):
    return {"process": {"rlimits": list(limits)}}


def namespaces(*more):
    return {"linux": {"namespaces": NAMESPACES + list(more)}}


def device(**more):
    return {"linux": {"devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, **more}]}}


def hook(**more):
    return {"hooks": {"createRuntime": [{"path": "/bin/true", **more}]}}


NOFILE = {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}
REFUSALS = {
    "config.ociVersion.missing": {"ociVersion": None},
    "config.ociVersion.not-semver": {"ociVersion": "one"},
    "config.ociVersion.major-unsupported": {"ociVersion": "9.0.0"},
    "config.ociVersion.wrong-type": {"ociVersion": 1},
    "config.root.path.missing": {"root": {"path": None}},
    "config.root.path.no-directory": {"root": {"path": "/no/such/rootfs"}},
    "config.root.readonly.wrong-type": {"root": {"readonly": "yes"}},
    "config.hostname.wrong-type": {"hostname": 1},
    "config.annotations.not-an-object": {"annotations": []},
    "config.annotations.value-not-a-string": {"annotations": {"a": 1}},
    "config.annotations.empty-key": {"annotations": {"": "x"}},
    "config.mounts.destination-missing": mount(type="tmpfs", source="tmpfs"),
    "config.mounts.source-of-a-bind-missing": mount(destination="/mnt", source="/no/such/source", options=["bind"]),
    "config.mounts.type-unknown": mount(destination="/mnt", type="nosuchfs", source="x"),
    "config.mounts.option-unknown-to-the-file-system": mount(destination="/mnt", type="tmpfs", source="tmpfs",
                                                             options=["nosuchoption=1"]),
    "config.mounts.options-wrong-type": mount(destination="/mnt", type="tmpfs", source="tmpfs", options="ro"),
    "config.mounts.uidMappings-without-gidMappings": mount(
        destination="/mnt", source="/var", options=["bind"],
        uidMappings=[{"containerID": 0, "hostID": 0, "size": 1}]),
    "config.process.args-missing": {"process": {"args": None}},
    "config.process.args-empty": {"process": {"args": []}},
    "config.process.args-wrong-type": {"process": {"args": "sh"}},
    "config.process.args-no-such-program": {"process": {"args": ["/no/such/program"]}},
    "config.process.cwd-missing": {"process": {"cwd": None}},
    "config.process.cwd-relative": {"process": {"cwd": "tmp"}},
    "config.process.env-wrong-type": {"process": {"env": {"A": "b"}}},
    "config.process.terminal-wrong-type": {"process": {"terminal": "no"}},
    "config.process.user.uid-negative": {"process": {"user": {"uid": -1}}},
    "config.process.user.uid-wrong-type": {"process": {"user": {"uid": "root"}}},
    "config.process.rlimits.duplicate-type": rlimit(NOFILE, NOFILE),
    "config.process.rlimits.type-unknown": rlimit({"type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1}),
    "config.process.rlimits.soft-above-hard": rlimit({"type": "RLIMIT_NOFILE", "soft": 65, "hard": 64}),
    "config.process.oomScoreAdj.out-of-range": {"process": {"oomScoreAdj": 1001}},
    "config.process.apparmorProfile.unknown": {"process": {"apparmorProfile": "no-such-profile-of-ours"}},
    "config.process.scheduler.policy-unknown": {"process": {"scheduler": {"policy": "SCHED_NOSUCH"}}},
    "config.process.scheduler.policy-missing": {"process": {"scheduler": {"nice": 1}}},
    "config.process.scheduler.flag-unknown": {"process": {"scheduler": {"policy": "SCHED_OTHER",
                                                                       "flags": ["SCHED_FLAG_NOSUCH"]}}},
    "config.process.ioPriority.class-unknown": {"process": {"ioPriority": {"class": "IOPRIO_CLASS_NOSUCH"}}},
    "config.process.ioPriority.priority-out-of-range": {"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE",
                                                                                  "priority": 9}}},
    "config.hooks.path-missing": {"hooks": {"createRuntime": [{"args": ["x"]}]}},
    "config.hooks.path-relative": hook(path="bin/true"),
    "config.hooks.timeout-zero": hook(timeout=0),
    "config.hooks.timeout-negative": hook(timeout=-1),
    "config.hooks.no-such-program": hook(path="/no/such/hook"),
    "linux.namespaces.duplicate-type": namespaces({"type": "uts"}),
    "linux.namespaces.type-unknown": namespaces({"type": "nosuch"}),
    "linux.namespaces.type-missing": namespaces({"path": "/proc/self/ns/cgroup"}),
    "linux.namespaces.path-relative": namespaces({"type": "cgroup", "path": "proc/self/ns/cgroup"}),
    "linux.namespaces.path-missing": namespaces({"type": "cgroup", "path": "/no/such/ns"}),
    "linux.namespaces.path-of-another-type": namespaces({"type": "cgroup", "path": "/proc/self/ns/uts"}),
    "linux.namespaces.path-no-namespace": namespaces({"type": "cgroup", "path": "/dev/null"}),
    "linux.uidMappings.without-a-user-namespace": {"linux": {"uidMappings": [
        {"containerID": 0, "hostID": 1000, "size": 1}]}},
    "linux.uidMappings.size-missing": {"linux": {
        "namespaces": NAMESPACES + [{"type": "user"}],
        "uidMappings": [{"containerID": 0, "hostID": 1000}], "gidMappings": [{"containerID": 0, "hostID": 1000}]}},
    "linux.timeOffsets.without-a-time-namespace": {"linux": {"timeOffsets": {"monotonic": {"secs": 1}}}},
    "linux.timeOffsets.clock-unknown": {"linux": {"namespaces": NAMESPACES + [{"type": "time"}],
                                                  "timeOffsets": {"realtime": {"secs": 1}}}},
    "linux.devices.type-unknown": device(type="x"),
    "linux.devices.type-missing": device(type=None),
    "linux.devices.path-missing": device(path=None),
    "linux.devices.major-missing": device(major=None),
    "linux.netDevices.missing-on-the-host": {"linux": {"netDevices": {"nosuchdev0": {}}}},
    "linux.sysctl.unknown": {"linux": {"sysctl": {"net.no.such": "1"}}},
    "linux.sysctl.not-of-a-namespace": {"linux": {"sysctl": {"vm.swappiness": "10"}}},
    "linux.rootfsPropagation.unknown": {"linux": {"rootfsPropagation": "nosuch"}},
    "linux.maskedPaths.wrong-type": {"linux": {"maskedPaths": "/proc/kcore"}},
    "linux.personality.domain-unknown": {"linux": {"personality": {"domain": "BSD"}}},
    "linux.personality.domain-missing": {"linux": {"personality": {}}},
    "linux.memoryPolicy.mode-unknown": {"linux": {"memoryPolicy": {"mode": "MPOL_NOSUCH"}}},
    "linux.memoryPolicy.flag-unknown": {"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0",
                                                                   "flags": ["MPOL_F_NOSUCH"]}}},
    "linux.memoryPolicy.nodes-malformed": {"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-"}}},
    "linux.resources.unified.controller-missing": {"linux": {"resources": {"unified": {"nosuch.max": "1"}}}},
    "linux.resources.unified.slash-in-key": {"linux": {"resources": {"unified": {"pids/../pids.max": "1"}}}},
    "linux.resources.devices.type-unknown": {"linux": {"resources": {"devices": [{"allow": True, "type": "x",
                                                                                   "access": "r"}]}}},
    "linux.resources.devices.access-unknown": {"linux": {"resources": {"devices": [{"allow": True, "type": "c",
                                                                                     "access": "q"}]}}},
    "linux.resources.hugepageLimits.pageSize-missing": {"linux": {"resources": {"hugepageLimits": [{"limit": 1}]}}},
    "linux.resources.memory.limit-wrong-type": {"linux": {"resources": {"memory": {"limit": "1m"}}}},
    "linux.seccomp.defaultAction-missing": {"linux": {"seccomp": {"syscalls": []}}},
    "linux.seccomp.defaultAction-unknown": {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_NOSUCH"}}},
    "linux.seccomp.architecture-unknown": seccomp(architectures=["SCMP_ARCH_NOSUCH"]),
    "linux.seccomp.flag-unknown": seccomp(flags=["SECCOMP_FILTER_FLAG_NOSUCH"]),
    "linux.seccomp.listenerMetadata-without-listenerPath": seccomp(listenerMetadata="x"),
    "linux.seccomp.syscalls.names-missing": syscall(names=None),
    "linux.seccomp.syscalls.names-empty": syscall(names=[]),
    "linux.seccomp.syscalls.action-missing": syscall(action=None),
    "linux.seccomp.syscalls.action-unknown": syscall(action="SCMP_ACT_NOSUCH"),
    "linux.seccomp.syscalls.errnoRet-without-errno": syscall(action="SCMP_ACT_KILL", errnoRet=1),
    "linux.seccomp.syscalls.args.op-unknown": syscall(args=[{"index": 0, "value": 0, "op": "SCMP_CMP_NOSUCH"}]),
    "linux.seccomp.syscalls.args.op-missing": syscall(args=[{"index": 0, "value": 0}]),
    "linux.seccomp.syscalls.args.index-out-of-range": syscall(args=[{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]),
}


def without_none(value):
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


def register(name, change):
    @must(f"{name}-errors")
    def check(lab):
        lab.refused(without_none(lab.config("true", change)))


for refusal, changes in REFUSALS.items():
    register(refusal, changes)


@must("config.json-malformed-errors")
def malformed(lab):
    lab.refused('{"ociVersion": "1.0.2", ')


@must("config.extensibility.unknown-properties-are-ignored")
def unknown_properties(lab):
    expect(lab.output("echo ok", {"nosuch": {"a": [1]}, "process": {"nosuch": 1}, "linux": {"nosuch": None}}) == "ok\n",
           "an unknown property changed something")


@must("config.platform.other-platforms-are-ignored")
def other_platforms(lab):
    expect(lab.output("echo ok", {"windows": {"layerFolders": ["x"]}, "solaris": {"milestone": "x"}}) == "ok\n",
           "windows or solaris changed something")


@must("config.ociVersion.later-minor-is-accepted")
def later_minor(lab):
    done = lab.run(lab.config("true", {"ociVersion": "1.99.0"}))
    expect(done.status == 0, str(done))


@must("config.process.capabilities.unknown-is-a-warning")
def unknown_capability(lab):
    done = lab.run(lab.config("grep CapBnd /proc/self/status", {"process": {"capabilities": {
        "bounding": ["CAP_KILL", "CAP_NOSUCH"]}}}))
    expect(done.status == 0, str(done))
    expect("0000000000000020" in done.out, f"the known one is not there: {done.out}")
    expect("CAP_NOSUCH" in done.err, "no warning")


assert suite.CHECKS
