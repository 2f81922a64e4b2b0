"""What a configuration MUST bring about, seen from inside: one rich container is probed once, and
each check looks at its part of what was seen."""

import json
import os
import re

import harness
from suite import Skip, expect, must, sections

PROBE = r"""
p() { echo "== $1"; shift; "$@" 2>&1; }
p status cat /proc/self/status; p limits cat /proc/self/limits; p mounts cat /proc/self/mountinfo
p env env; p cwd pwd; p uid id -u; p gid id -g; p groups id -G; p umask sh -c umask; p hostname hostname
p domainname cat /proc/sys/kernel/domainname; p oom cat /proc/self/oom_score_adj; p args tr '\0' '\n' < /proc/1/cmdline
p dev stat -c '%n %F %t:%T %a %u:%g' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/ours
for l in fd stdin stdout stderr ptmx; do p link-$l readlink /dev/$l; done
p console ls /dev/console; p sysctl cat /proc/sys/net/ipv4/ip_forward; p write-root touch /x
p masked-file cat /masked-file; p masked-dir ls -A /masked-dir; p ro-read cat /ro/file; p ro-write touch /ro/new
p nice cut -d' ' -f18,19,41 /proc/self/stat; p pid sh -c 'echo $$'; p pids sh -c 'ls -d /proc/[0-9]* | wc -l'
p ns ls -l /proc/self/ns; p links ip -o link
p mqueue stat -f -c %T /dev/mqueue; p cgroup cat /proc/self/cgroup; p ionice ionice -p 1
p relative cat /mnt/relative/file; p order-a ls /mnt/a
"""
EXPECTED_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "ONE": "two words", "EMPTY": ""}
# Options that config.md says MUST be supported, with what mountinfo shows of them; None: nothing.
OPTIONS = {
    "async": None, "atime": None, "defaults": None, "dev": None, "diratime": None, "dirsync": r"\bdirsync\b",
    "exec": None, "loud": None, "noatime": r"\bnoatime\b", "nodev": r"\bnodev\b", "nodiratime": r"\bnodiratime\b",
    "noexec": r"\bnoexec\b", "norelatime": None, "nostrictatime": None, "nosuid": r"\bnosuid\b",
    "relatime": r"\brelatime\b", "ro": r"^ro\b", "rw": r"^rw\b", "silent": None, "strictatime": r"^(?!.*(rel|no)atime)",
    "suid": None, "sync": r"\bsync\b", "nosymfollow": r"\bnosymfollow\b", "iversion": None, "noiversion": None,
    "lazytime": r"\blazytime\b", "nolazytime": None,
    "private": None, "rprivate": None, "shared": "shared:", "rshared": "shared:", "slave": None, "rslave": None,
    "unbindable": "unbindable", "runbindable": "unbindable",
}
RECURSIVE = {"rro": r"^ro\b", "rnosuid": r"\bnosuid\b", "rnodev": r"\bnodev\b", "rnoexec": r"\bnoexec\b",
             "rnoatime": r"\bnoatime\b", "rnosymfollow": r"\bnosymfollow\b"}


def option_mount(lab, name):
    """Options of a file system on a tmpfs; those of a mount on a bind."""
    if name in list(OPTIONS)[:27]:
        return {"destination": f"/mnt/{name}", "type": "tmpfs", "source": "tmpfs", "options": [name]}
    return {"destination": f"/mnt/{name}", "source": os.path.join(lab.rootfs, "data"), "options": ["bind", name]}


def rich_config(lab, options):
    config = lab.config(PROBE)
    config["process"].update({
        "cwd": "/tmp", "env": [f"{key}={value}" for key, value in EXPECTED_ENV.items()],
        "user": {"uid": 0, "gid": 0, "umask": 0o27, "additionalGids": [5, 77]},
        "oomScoreAdj": 500, "noNewPrivileges": True,
        "capabilities": {"bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL", "CAP_CHOWN"],
                         "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 4096}],
        "scheduler": {"policy": "SCHED_BATCH", "nice": 7}, "ioPriority": {"class": "IOPRIO_CLASS_IDLE"}})
    config["annotations"] = {"org.example.key": "value"}
    config["hostname"], config["domainname"] = "conformance", "example.org"
    config["root"]["readonly"] = True
    for name in options:
        config["mounts"].append(option_mount(lab, name))
    config["mounts"] += [
        {"destination": "/mnt/relative", "source": "source", "options": ["bind"]},
        {"destination": "/mnt/a", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/mnt/a/b", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/mnt/rbind", "source": os.path.join(lab.rootfs, "data"), "options": ["rbind"]},
        {"destination": "/mnt/data", "type": "tmpfs", "source": "named", "options": ["size=64k", "mode=0711"]}]
    linux = config["linux"]
    linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    linux["devices"] = [{"path": "/dev/ours", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4}]
    linux["maskedPaths"] = ["/masked-file", "/masked-dir", "/no/such/path"]
    linux["readonlyPaths"] = ["/ro", "/no/such/path"]
    return config


def probe(lab, options):
    config = rich_config(lab, options)
    # Mount points of a read-only root are made before.
    for mount in config["mounts"]:
        os.makedirs(lab.rootfs + mount["destination"], exist_ok=True)
    bundle = lab.bundle(config)
    os.mkdir(os.path.join(bundle, "source"))
    with open(os.path.join(bundle, "source", "file"), "w", encoding="utf-8") as file:
        file.write("relative\n")
    done = lab.call("run", "--bundle", bundle, lab.new_id())
    expect(done.status == 0, str(done))
    return sections(done.out)


def seen(lab):
    """With all options of mounts at once; without any where the runtime does not know them all."""
    try:
        return lab.once("probe", lambda: probe(lab, [*OPTIONS, *RECURSIVE]))
    except AssertionError:
        return lab.once("plain probe", lambda: probe(lab, []))


def mounts_with(lab, option):
    table = seen(lab)["mounts"]
    if f" /mnt/{option} " in table:
        return table
    os.makedirs(os.path.join(lab.rootfs, "mnt", option), exist_ok=True)
    return lab.output("cat /proc/self/mountinfo", {"mounts": harness.default_config()["mounts"] + [option_mount(lab, option)]})


def mount_line(lab, target, table=None):
    """(options of the mount and of its file system, optional fields, type, source)"""
    for line in reversed((table or seen(lab)["mounts"]).splitlines()):
        fields = line.split()
        if fields[4] == target:
            dash = fields.index("-")
            return ",".join((fields[5], fields[dash + 3])), " ".join(fields[6:dash]), fields[dash + 1], fields[dash + 2]
    raise AssertionError(f"nothing is mounted on {target}")


for option, pattern in {**OPTIONS, **RECURSIVE}.items():
    @must(f"config.mounts.option-{option}")
    def mount_option(lab, option=option, pattern=pattern):
        options, propagation, _, _ = mount_line(lab, f"/mnt/{option}", mounts_with(lab, option))
        if pattern in ("shared:", "unbindable"):
            expect(pattern in propagation, f"propagation: {propagation!r}")
        elif pattern:
            expect(re.search(pattern, options), f"options: {options}")
        elif option.startswith("no") or option in ("suid", "dev", "exec", "async", "atime", "diratime"):
            against = {"nolazytime": "lazytime", "noiversion": "iversion", "norelatime": "norelatime",
                       "nostrictatime": "strictatime", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "async": "sync",
                       "atime": "noatime", "diratime": "nodiratime"}[option]
            expect(not re.search(rf"\b{against}\b", options), f"options: {options}")


def of_probe(name, part, test):
    @must(name)
    def check(lab):
        text = seen(lab)[part]
        expect(test(text), f"{part}: {text[:300]!r}")


def status_field(field, value):
    return lambda text: re.search(rf"(?m)^{field}:\s+{value}$", text)


for arguments in (
        ("config.process.env", "env", lambda text: all(f"{key}={value}" in text.splitlines() for key, value in EXPECTED_ENV.items())),
        ("config.process.env.nothing-of-the-callers", "env", lambda text: "SHLVL_OF_CALLER" not in text and "CONFORMANCE_CALLER" not in text),
        ("config.process.cwd", "cwd", lambda text: text == "/tmp"),
        ("config.process.args", "args", lambda text: text.startswith("/bin/sh\n-c\n")),
        ("config.process.user.uid", "uid", lambda text: text == "0"),
        ("config.process.user.gid", "gid", lambda text: text == "0"),
        ("config.process.user.additionalGids", "groups", lambda text: set(text.split()) == {"0", "5", "77"}),
        ("config.process.user.umask", "umask", lambda text: int(text, 8) == 0o27),
        ("config.process.noNewPrivileges", "status", status_field("NoNewPrivs", 1)),
        ("config.process.oomScoreAdj", "oom", lambda text: text == "500"),
        ("config.process.rlimits.soft", "limits", lambda text: re.search(r"Max open files +77 ", text)),
        ("config.process.rlimits.hard", "limits", lambda text: re.search(r"Max open files +77 +99 ", text)),
        ("config.process.rlimits.each-type", "limits", lambda text: re.search(r"Max core file size +0 +4096 ", text)),
        ("config.process.capabilities.bounding", "status", status_field("CapBnd", "0000000000000021")),
        ("config.process.capabilities.permitted", "status", status_field("CapPrm", "0000000000000021")),
        ("config.process.capabilities.inheritable", "status", status_field("CapInh", "0000000000000001")),
        ("config.process.capabilities.ambient", "status", status_field("CapAmb", "0000000000000001")),
        ("config.process.scheduler.policy", "nice", lambda text: text.split()[2] == "3"),
        ("config.process.scheduler.nice", "nice", lambda text: text.split()[1] == "7"),
        ("config.process.ioPriority", "ionice", lambda text: "idle" in text),
        ("config.root.readonly", "write-root", lambda text: "Read-only file system" in text),
        ("config.hostname", "hostname", lambda text: text == "conformance"),
        ("config.domainname", "domainname", lambda text: text == "example.org"),
        ("config.mounts.relative-source-is-below-the-bundle", "relative", lambda text: text == "relative"),
        ("config.mounts.in-order", "order-a", lambda text: text == "b"),
        ("linux.default-devices.null", "dev", lambda text: "/dev/null character special file 1:3 666" in text),
        ("linux.default-devices.zero", "dev", lambda text: "/dev/zero character special file 1:5 666" in text),
        ("linux.default-devices.full", "dev", lambda text: "/dev/full character special file 1:7 666" in text),
        ("linux.default-devices.random", "dev", lambda text: "/dev/random character special file 1:8 666" in text),
        ("linux.default-devices.urandom", "dev", lambda text: "/dev/urandom character special file 1:9 666" in text),
        ("linux.default-devices.tty", "dev", lambda text: "/dev/tty character special file 5:0 666" in text),
        ("linux.default-devices.ptmx", "link-ptmx", lambda text: text in ("pts/ptmx", "/dev/pts/ptmx")),
        ("linux.default-devices.no-console-without-a-terminal", "console", lambda text: "No such file" in text),
        ("linux.devices.type-and-number", "dev", lambda text: "/dev/ours character special file 1:5" in text),
        ("linux.devices.fileMode", "dev", lambda text: re.search(r"/dev/ours .* 640 ", text)),
        ("linux.devices.uid-and-gid", "dev", lambda text: re.search(r"/dev/ours .* 3:4", text)),
        ("runtime-linux.symbolic-links.fd", "link-fd", lambda text: text == "/proc/self/fd"),
        ("runtime-linux.symbolic-links.stdin", "link-stdin", lambda text: text == "/proc/self/fd/0"),
        ("runtime-linux.symbolic-links.stdout", "link-stdout", lambda text: text == "/proc/self/fd/1"),
        ("runtime-linux.symbolic-links.stderr", "link-stderr", lambda text: text == "/proc/self/fd/2"),
        ("linux.sysctl", "sysctl", lambda text: text == "1"),
        ("linux.maskedPaths.file", "masked-file", lambda text: "secret" not in text),
        ("linux.maskedPaths.directory", "masked-dir", lambda text: text == ""),
        ("linux.readonlyPaths.can-be-read", "ro-read", lambda text: text == "text"),
        ("linux.readonlyPaths.cannot-be-written", "ro-write", lambda text: "Read-only file system" in text),
        ("linux.namespaces.pid.sees-its-own-only", "pids", lambda text: int(text) <= 5),
        ("linux.namespaces.network.has-loopback-alone", "links", lambda text: len(text.splitlines()) == 1 or "LOOPBACK" in text)):
    of_probe(*arguments)

for file_system, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devpts", "/dev/pts"), ("tmpfs", "/dev/shm"), ("mqueue", "/dev/mqueue")):
    @must(f"linux.default-filesystems.{place[1:].replace('/', '-')}")
    def default_file_system(lab, file_system=file_system, place=place):
        expect(mount_line(lab, place)[2] == file_system, str(mount_line(lab, place)))


@must("config.mounts.source")
def mount_source(lab):
    expect(mount_line(lab, "/mnt/data")[3] == "named", str(mount_line(lab, "/mnt/data")))


@must("config.mounts.data-goes-to-the-file-system")
def mount_data(lab):
    options = mount_line(lab, "/mnt/data")[0]
    expect("size=64k" in options and "mode=711" in options, options)


@must("config.mounts.option-rbind")
def rbind(lab):
    expect(mount_line(lab, "/mnt/rbind"), "")


# --- namespaces

for kind, file in (("pid", "pid"), ("network", "net"), ("mount", "mnt"), ("ipc", "ipc"), ("uts", "uts"), ("cgroup", "cgroup")):
    @must(f"linux.namespaces.{kind}.new")
    def new_namespace(lab, file=file):
        own = os.readlink(f"/proc/self/ns/{file}")
        expect(own not in seen(lab)["ns"], f"{own} is the caller's")

    if kind in ("mount", "pid"):
        continue

    @must(f"linux.namespaces.{kind}.missing-means-the-callers")
    def inherited(lab, kind=kind, file=file):
        config = lab.config(f"readlink /proc/self/ns/{file}")
        config["linux"]["namespaces"] = [entry for entry in config["linux"]["namespaces"] if entry["type"] != kind]
        if kind == "uts":
            del config["hostname"]
        if kind == "network":
            config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "sysfs"]
        done = lab.run(config)
        expect(done.out.strip() == os.readlink(f"/proc/self/ns/{file}"), str(done) + done.out)

    @must(f"linux.namespaces.{kind}.path-is-joined")
    def joined(lab, kind=kind, file=file):
        first = lab.create(lab.config("sleep 1000", {"linux": {"namespaces": [
            {"type": each} for each in ("pid", "network", "ipc", "uts", "mount", "cgroup")]}}))
        pid = lab.state(first)["pid"]
        config = lab.config(f"readlink /proc/self/ns/{file}")
        config["linux"]["namespaces"] = [entry if entry["type"] != kind else {"type": kind, "path": f"/proc/{pid}/ns/{file}"}
                                         for entry in config["linux"]["namespaces"]]
        theirs = os.readlink(f"/proc/{pid}/ns/{file}")
        done = lab.run(config)
        lab.end(first)
        expect(done.out.strip() == theirs, f"{done.out!r} instead of {theirs}; {done}")


def time_namespace(lab):
    config = lab.config("readlink /proc/self/ns/time; cat /proc/self/timens_offsets")
    config["linux"]["namespaces"].append({"type": "time"})
    config["linux"]["timeOffsets"] = {"monotonic": {"secs": 1000, "nanosecs": 5}, "boottime": {"secs": 2000}}
    done = lab.run(config)
    expect(done.status == 0, str(done))
    return done.out


for time_rule, time_pattern in (("namespaces.time.new", r"time:"), ("timeOffsets.monotonic", r"monotonic\s+1000\s+5"),
                                ("timeOffsets.boottime", r"boottime\s+2000\s+0")):
    @must(f"linux.{time_rule}")
    def in_time_namespace(lab, pattern=time_pattern):
        out = lab.once("time", lambda: time_namespace(lab))
        expect(re.search(pattern, out) and os.readlink("/proc/self/ns/time") not in out, out)


@must("linux.uidMappings")
def uid_mappings(lab):
    config = lab.config("cat /proc/self/uid_map /proc/self/gid_map")
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 500}]
    done = lab.run(config)
    expect(done.status == 0, str(done))
    maps = [line.split() for line in done.out.splitlines()]
    expect(maps == [["0", "100000", "1000"], ["0", "200000", "500"]], done.out)


@must("linux.personality")
def personality(lab):
    if os.uname().machine != "x86_64":
        raise Skip("needs x86_64")
    expect(lab.output("uname -m", {"linux": {"personality": {"domain": "LINUX32"}}}).strip() in ("i686", "i386"), "not 32 bits")


for mode, wanted in (("shared", "shared:"), ("slave", ""), ("private", ""), ("unbindable", "unbindable")):
    @must(f"linux.rootfsPropagation.{mode}")
    def root_propagation(lab, mode=mode, wanted=wanted):
        out = lab.output("cat /proc/self/mountinfo", {"linux": {"rootfsPropagation": mode}})
        line = next(line for line in out.splitlines() if line.split()[4] == "/")
        expect(wanted in line and (wanted == "shared:" or "shared:" not in line), line)


@must("config.process.terminal-false-keeps-the-callers-streams")
def no_terminal(lab):
    expect(lab.output("[ -t 1 ] && echo terminal || echo none") == "none\n", "a terminal")


@must("config.process.user.ordinary")
def ordinary_user(lab):
    out = lab.output("id -u; id -g; grep CapEff /proc/self/status", {"process": {"user": {"uid": 1234, "gid": 567}}})
    expect(out.split()[:2] == ["1234", "567"], out)


@must("config.process.path-lookup-uses-the-containers-env")
def path_lookup(lab):
    done = lab.run(lab.config(None, {"process": {"args": ["echo", "found"], "env": ["PATH=/bin"]}}))
    expect(done.out == "found\n", str(done))


# --- seccomp

def filtered(script, **more):
    return script, {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", **more}}}


def rule(name, **more):
    return {"names": [name], "action": "SCMP_ACT_ERRNO", **more}


SECCOMP = {
    "action-ERRNO-is-EPERM-by-default": (filtered("mkdir /tmp/x 2>&1", syscalls=[rule("mkdir")]), "Operation not permitted"),
    "errnoRet": (filtered("mkdir /tmp/x 2>&1", syscalls=[rule("mkdir", errnoRet=28)]), "No space left"),
    "unknown-system-call-names-are-skipped": (filtered("echo ok", syscalls=[rule("no_such_call")]), "ok"),
    "args-EQ": (filtered("kill -0 1 && echo ok; kill -18 1 2>&1", syscalls=[
        rule("kill", args=[{"index": 1, "value": 18, "op": "SCMP_CMP_EQ"}])]), "ok\n.*not permitted"),
    "args-NE": (filtered("kill -0 1 && echo ok; kill -18 1 2>&1", syscalls=[
        rule("kill", args=[{"index": 1, "value": 0, "op": "SCMP_CMP_NE"}])]), "ok\n.*not permitted"),
    "args-GT": (filtered("kill -0 1 && echo ok; kill -18 1 2>&1", syscalls=[
        rule("kill", args=[{"index": 1, "value": 17, "op": "SCMP_CMP_GT"}])]), "ok\n.*not permitted"),
    "args-GE": (filtered("kill -0 1 && echo ok; kill -18 1 2>&1", syscalls=[
        rule("kill", args=[{"index": 1, "value": 18, "op": "SCMP_CMP_GE"}])]), "ok\n.*not permitted"),
    "args-MASKED_EQ": (filtered("kill -0 1 && echo ok; kill -18 1 2>&1", syscalls=[
        rule("kill", args=[{"index": 1, "value": 16, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ"}])]), "ok\n.*not permitted"),
    "args-LT": (filtered("kill -18 1 && echo ok; kill -0 1 2>&1", syscalls=[
        rule("kill", args=[{"index": 1, "value": 1, "op": "SCMP_CMP_LT"}])]), "ok\n.*not permitted"),
    "args-LE": (filtered("kill -18 1 && echo ok; kill -0 1 2>&1", syscalls=[
        rule("kill", args=[{"index": 1, "value": 0, "op": "SCMP_CMP_LE"}])]), "ok\n.*not permitted"),
    "action-KILL_PROCESS": (filtered("sh -c 'mkdir /tmp/x'; echo status $?", syscalls=[
        {"names": ["mkdir"], "action": "SCMP_ACT_KILL_PROCESS"}]), "status 159"),
    "action-TRAP": (filtered("sh -c 'mkdir /tmp/x'; echo status $?", syscalls=[
        {"names": ["mkdir"], "action": "SCMP_ACT_TRAP"}]), "status 159"),
    "action-LOG-allows": (filtered("mkdir /dev/shm/x && echo ok", syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_LOG"}]), "ok"),
    "flags-empty-list": (filtered("echo ok", flags=[]), "ok"),
    "flags-LOG": (filtered("echo ok", flags=["SECCOMP_FILTER_FLAG_LOG"]), "ok"),
}
for seccomp_rule, (arguments, wanted) in SECCOMP.items():
    @must(f"linux.seccomp.{seccomp_rule}")
    def seccomp(lab, arguments=arguments, wanted=wanted):
        script, changes = arguments
        done = lab.run(lab.config(f"trap : CONT; {script}; true", changes))
        expect(done.status == 0 and re.search(wanted, done.out, re.S), f"{done.out!r}; {done}")


# --- cgroups

def in_cgroup(lab, resources, controller, file):
    point = f"/sys/fs/cgroup/{controller}"
    if not os.path.isdir(point):
        raise Skip(f"no v1 hierarchy of {controller} here")
    config = lab.config("sleep 1000", {"linux": {"resources": resources}})
    name = lab.create(config)
    try:
        pid = lab.state(name)["pid"]
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as lines:
            path = next(line.rstrip("\n").split(":", 2)[2] for line in lines if controller in line.split(":")[1].split(","))
        with open(f"{point}{path}/{file}", encoding="utf-8") as content:
            return path, content.read().strip(), config
    finally:
        lab.end(name)


@must("linux.cgroupsPath.absolute-is-below-the-mount-point")
def cgroups_path(lab):
    path, _, config = in_cgroup(lab, {}, "pids", "pids.max")
    expect(path == config["linux"]["cgroupsPath"], path)


for limit, arguments, value in (
        ("pids.limit", ({"pids": {"limit": 1234}}, "pids", "pids.max"), "1234"),
        ("pids.limit-minus-one", ({"pids": {"limit": -1}}, "pids", "pids.max"), "max"),
        ("memory.limit", ({"memory": {"limit": 67108864}}, "memory", "memory.limit_in_bytes"), "67108864"),
        ("memory.reservation", ({"memory": {"reservation": 33554432}}, "memory", "memory.soft_limit_in_bytes"), "33554432"),
        ("cpu.shares", ({"cpu": {"shares": 512}}, "cpu", "cpu.shares"), "512"),
        ("cpu.quota", ({"cpu": {"quota": 50000, "period": 100000}}, "cpu", "cpu.cfs_quota_us"), "50000"),
        ("cpu.period", ({"cpu": {"quota": 50000, "period": 200000}}, "cpu", "cpu.cfs_period_us"), "200000"),
        ("cpu.cpus", ({"cpu": {"cpus": "0"}}, "cpuset", "cpuset.cpus"), "0"),
        ("cpu.mems", ({"cpu": {"mems": "0"}}, "cpuset", "cpuset.mems"), "0"),
        ("network.classID", ({"network": {"classID": 1048577}}, "net_cls", "net_cls.classid"), "1048577")):
    @must(f"linux.resources.{limit}")
    def resource(lab, arguments=arguments, value=value):
        _, found, _ = in_cgroup(lab, *arguments)
        expect(found == value, f"{found}, not {value}")


@must("linux.resources.devices.allow-and-deny-in-order")
def device_rules(lab):
    script = "mknod /dev/n c 1 3 2>&1; cat /dev/zero 2>&1 | head -c 1 | wc -c; echo x 2>&1 > /dev/full"
    out = lab.output(script + "; true", {"process": {"capabilities": {"bounding": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"]}},
                                         "linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}}})
    expect("1\n" in out, f"a default device is denied: {out}")


@must("linux.resources.devices.denied")
def denied_device(lab):
    done = lab.run(lab.config("cat /dev/loop-x", {"linux": {
        "devices": [{"path": "/dev/loop-x", "type": "b", "major": 7, "minor": 0}],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]}}}))
    expect("not permitted" in done.err, str(done))


# --- features.md

def features(lab):
    done = lab.call("features")
    expect(done.status == 0, str(done))
    return json.loads(done.out)


def semver(text):
    return re.fullmatch(r"\d+\.\d+\.\d+([-+].*)?", text)


def strings(value):
    return isinstance(value, list) and value and all(isinstance(item, str) for item in value)


FEATURES = {
    "ociVersionMin": lambda d: semver(d["ociVersionMin"]),
    "ociVersionMax": lambda d: semver(d["ociVersionMax"]),
    "hooks": lambda d: strings(d["hooks"]),
    "mountOptions": lambda d: strings(d["mountOptions"]),
    "mountOptions.has-what-must-be-supported": lambda d: set(OPTIONS) - {"defaults"} - set(d["mountOptions"]) <= {"loud", "silent", "iversion", "noiversion", "async", "sync", "dirsync", "nosymfollow"},
    "linux.namespaces": lambda d: {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"} <= set(d["linux"]["namespaces"]),
    "linux.capabilities": lambda d: "CAP_CHOWN" in d["linux"]["capabilities"],
    "linux.cgroup": lambda d: all(isinstance(d["linux"]["cgroup"][key], bool) for key in ("v1", "v2", "systemd", "systemdUser")),
    "linux.seccomp.enabled": lambda d: d["linux"]["seccomp"]["enabled"] in (True, False),
    "linux.seccomp.actions": lambda d: "SCMP_ACT_ALLOW" in d["linux"]["seccomp"]["actions"],
    "linux.seccomp.operators": lambda d: "SCMP_CMP_EQ" in d["linux"]["seccomp"]["operators"],
    "linux.seccomp.archs": lambda d: "SCMP_ARCH_X86_64" in d["linux"]["seccomp"]["archs"],
    "linux.seccomp.knownFlags": lambda d: strings(d["linux"]["seccomp"]["knownFlags"]),
    "linux.seccomp.supportedFlags": lambda d: set(d["linux"]["seccomp"]["supportedFlags"]) <= set(d["linux"]["seccomp"]["knownFlags"]),
    "linux.apparmor": lambda d: isinstance(d["linux"]["apparmor"]["enabled"], bool),
    "linux.selinux": lambda d: isinstance(d["linux"]["selinux"]["enabled"], bool),
    "linux.intelRdt": lambda d: isinstance(d["linux"]["intelRdt"]["enabled"], bool),
    "linux.memoryPolicy": lambda d: strings(d["linux"]["memoryPolicy"]["modes"]),
    "linux.netDevices": lambda d: isinstance(d["linux"]["netDevices"]["enabled"], bool),
    "linux.mountExtensions.idmap": lambda d: isinstance(d["linux"]["mountExtensions"]["idmap"]["enabled"], bool),
    "annotations": lambda d: all(isinstance(value, str) for value in d["annotations"].values()),
    "potentiallyUnsafeConfigAnnotations": lambda d: strings(d["potentiallyUnsafeConfigAnnotations"]),
}
for field, holds in FEATURES.items():
    @must(f"features.{field}")
    def feature(lab, holds=holds):
        document = lab.once("features", lambda: features(lab))
        expect(holds(document), "absent or of the wrong form")


assert harness
