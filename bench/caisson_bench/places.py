"""Where things are, and how the programs and bundles under build/bench come to be."""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
ROOT = SOURCE.parent
BUILD = ROOT / "build" / "bench"
RESULTS = SOURCE / "results"
STATE = Path("/run/caisson-bench")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CGROUP_PARENT = "caisson-bench"
CGROUP = Path("/sys/fs/cgroup")

FLAGS = ["-std=c++23", "-O2", "-static", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-fno-exceptions", "-fno-rtti"]
PROGRAMS = {
    "floor": (["g++", *FLAGS], "floor.cc"),
    "interleave": (["g++", *FLAGS], "interleave.cc"),
    "memlock_shim.so": (["gcc", "-O2", "-shared", "-fPIC", "-nostdlib"], "memlock_shim.c"),
}


class BenchError(Exception):
    """Something the caller can mend; the text says what."""


def which(name):
    return shutil.which(name, path=PATH)


def lock():
    """Two runs at once would measure each other and share names. Keep the result: closing it lets go."""
    file = (BUILD / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise BenchError("another bench/run or bench/profile is under way in this tree") from None
    return file


def build():
    BUILD.mkdir(parents=True, exist_ok=True)
    for name, (compiler, source) in PROGRAMS.items():
        program, code = BUILD / name, SOURCE / source
        newest = max(file.stat().st_mtime for file in [code, *SOURCE.glob("*.h")])
        if program.exists() and program.stat().st_mtime > newest:
            continue
        if not which(compiler[0]):
            raise BenchError(f"{compiler[0]} is needed to build {source}")
        subprocess.run([*compiler, str(code), "-o", str(program)], check=True)
    make_rootfs()


def git(*arguments):
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def build_revision(revision):
    """(name, program) of another revision of ours. All are built in one worktree, by what that revision's ./dev does;
    their programs are kept."""
    commit = git("rev-parse", "--verify", f"{revision}^{{commit}}")
    name, kept = f"caisson-{commit[:9]}", ROOT / "build" / "compare" / commit
    program = kept / "caisson-oci"
    if program.exists():
        return name, program
    tree = ROOT / "build" / "compare" / "tree"
    if (tree / ".git").exists():
        git("-C", str(tree), "checkout", "--quiet", "--force", "--detach", commit)
    else:
        git("worktree", "prune")
        git("worktree", "add", "--quiet", "--force", "--detach", str(tree), commit)
    print(f"building {revision} ({commit[:9]})", flush=True)
    done = subprocess.run([str(tree / "dev"), "build"], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"{revision} does not build:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    fresh = kept.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    shutil.copy2(tree / "build/release/caisson", fresh / "caisson")
    (fresh / "caisson-oci").symlink_to("caisson")
    fresh.rename(kept)
    return name, program


def make_rootfs():
    rootfs = BUILD / "rootfs"
    busybox = which("busybox")
    if not busybox:
        raise BenchError("a static busybox is needed for the containers (Debian: busybox-static)")
    if (rootfs / "bin" / "busybox").exists():
        return
    for directory in ("bin", "proc", "sys", "dev", "etc", "tmp"):
        (rootfs / directory).mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox, rootfs / "bin" / "busybox")
    for applet in ("true", "sh", "cat", "sleep", "ls", "grep", "hostname", "ifconfig", "id"):
        link = rootfs / "bin" / applet
        if not link.is_symlink():
            link.symlink_to("busybox")


def docker_seccomp(config):
    """The filter that dockerd asks for."""
    profile = json.loads((ROOT / "src/spec/testdata/docker.json").read_text())["linux"]["seccomp"]
    config["linux"]["seccomp"] = profile


def files_of_rootfs(directory, count):
    """Their paths inside."""
    paths = [f"/etc/{directory}/{number}" for number in range(count)]
    (BUILD / "rootfs/etc" / directory).mkdir(exist_ok=True)
    for path in paths:
        (BUILD / "rootfs" / path[1:]).touch()
    return paths


def thousand_masks(config):
    config["linux"]["maskedPaths"] += files_of_rootfs("masked", 1000)


def many_binds(config):
    source = BUILD / "rootfs/etc"
    config["mounts"] += [{"destination": path, "type": "bind", "source": str(source / path[5:]), "options": ["rbind", "ro"]}
                         for path in files_of_rootfs("bound", 200)]


def make_bundle(view, name, arguments, change=None):
    """The configuration of `runc spec` (asked for inside the view, it depends on it), with `arguments` as payload."""
    bundle = BUILD / "bundles" / view / name
    bundle.mkdir(parents=True, exist_ok=True)
    config_file = bundle / "config.json"
    config_file.unlink(missing_ok=True)
    generator = which("runc") or which("crun")
    if not generator:
        raise BenchError("runc or crun is needed to write the standard configuration (`runc spec`)")
    subprocess.run([generator, "spec"], cwd=bundle, check=True)
    config = json.loads(config_file.read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = list(arguments)
    config["root"]["path"] = str(BUILD / "rootfs")
    config["linux"]["cgroupsPath"] = f"/{CGROUP_PARENT}/{name}"
    if change:
        change(config)
    config_file.write_text(json.dumps(config, indent=1))
    return bundle


def hierarchies():
    """Roots of what is mounted: one for cgroup v2, one for each v1 hierarchy beside it."""
    if (CGROUP / "cgroup.controllers").exists():
        return [CGROUP]
    return [d for d in CGROUP.iterdir() if (d / "cgroup.procs").exists() and not d.is_symlink()]


def make_parent_cgroups():
    """One parent for all containers. With v1 it gets a large share of the processors: there, niceness of a task counts
    only against tasks of its own group."""
    for root in hierarchies():
        parent = root / CGROUP_PARENT
        parent.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if root != CGROUP and (root / file).exists():
                (parent / file).write_text((root / file).read_text())
        if (parent / "cpu.shares").exists():
            (parent / "cpu.shares").write_text("262144")


def leftover_cgroups():
    return [d for root in hierarchies() for d in (root / CGROUP_PARENT).glob("*") if d.is_dir()]


def remove_cgroups(parents=True):
    """What a competitor failed to remove, and the parents."""
    for directory in leftover_cgroups() + [root / CGROUP_PARENT for root in hierarchies() if parents]:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            print(f"cannot remove {directory}: {error.strerror}")
