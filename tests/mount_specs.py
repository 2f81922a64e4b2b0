"""Random mounts of config.json, the same for the same seed, and what programs see of them in one form for every wall."""

import dataclasses
import os
import random

import harness

# What the root file system has before anything is mounted.
FOLDERS = ("a/b/c", "data/inner", "dev", "etc", "proc", "sys", "tmp")
FILES = {"a/file": "of a\n", "a/b/file": "of b\n", "data/file": "of data\n", "etc/conf": "of the image\n", "tmp/kept": "kept\n"}
LINKS = {"link": "/a/b", "relative": "a/../data", "up": "../../../../etc", "chain": "/link", "a/back": "../data/inner",
         "conf": "/etc/conf", "dangling": "/nowhere/yet"}
PLACES = ("/a", "/a/b", "/a/b/c", "/data", "/data/inner", "/etc", "/tmp", "/link", "/relative", "/up", "/chain",
          "/a/back", "/link/c", "/dangling", "/new", "/new/deep/er", "/a/new", "/a//b/./", "/data/../a/b", "/../../data",
          "/dev/own", "/tmp/x")
FILE_PLACES = ("/a/file", "/etc/conf", "/etc/extra", "/conf", "/new/file", "/data/file", "/dev/file", "/link/file")
# What sources have, too: where the host has no mount point, the sandbox makes one in memory, even in a read-only
# folder; the namespaces make it in the folder, to be seen by its other mounts, or refuse.
_DEEP = ("c", "b/c", "inner", "below/new", "new/deep/er", "deep/er", "x", "own", "pts", "shm", "back")
BELOW = _DEEP + tuple(f"{above}/{path}" for above in _DEEP for path in ("inner", "below/new", "c"))
FILES_BELOW = ("file", "conf", "extra", "b/file", "null")
FLAGS = ("ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "strictatime", "relatime", "rw", "suid", "dev", "exec")
PROPAGATION = ("private", "rprivate", "slave", "rslave")
MASKED = ("/a/b", "/a/file", "/data", "/etc/conf", "/link", "/sys/firmware", "/proc/sys", "/missing", "/new", "/tmp")
READONLY = ("/a", "/a/file", "/data/inner", "/etc", "/link", "/proc/sys", "/missing", "/tmp", "/dev/shm")


@dataclasses.dataclass
class Case:
    """A description without its folder: sources are names below the folder "sources"."""
    number: int
    mounts: list
    changes: dict
    shown: list


def make_case(seed, number):
    dice = random.Random(f"{seed}:{number}")
    mounts = standard_mounts(dice)
    for _ in range(dice.randrange(7)):
        mounts.append(random_mount(dice, [mount["destination"] for mount in mounts]))
    masked = dice.sample(MASKED, dice.choice((0, 0, 1, 2, 3)))
    readonly = dice.sample(READONLY, dice.choice((0, 0, 1, 2, 3)))
    shown = ["/", *(mount["destination"] for mount in mounts), *masked, *readonly,
             "/a", "/a/b", "/data", "/data/inner", "/etc", "/etc/conf", "/tmp"]
    capabilities = ["CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"] if dice.random() < 0.7 else []
    changes = {"mounts": mounts, "root": {"readonly": dice.random() < 0.5},
               "process": {"args": ["/view", *map(argument, dict.fromkeys(shown))],
                           "capabilities": {kind: capabilities for kind in ("bounding", "effective", "permitted")}},
               "linux": {"maskedPaths": masked, "readonlyPaths": readonly,
                         "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]}}
    return Case(number, mounts, changes, shown)


def argument(path):
    """What is in these is each kernel's own: see mount_view.c."""
    return "-" + path if os.path.normpath(path).startswith(("/proc", "/sys", "/dev/pts")) else path


def standard_mounts(dice):
    """Those that the sandbox would add by itself are always there; their options vary."""
    some = lambda *options: [option for option in options if dice.random() < 0.6]
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc", "options": some("nosuid", "noexec", "nodev")},
              {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
               "options": some("nosuid", "strictatime") + ["mode=755", "size=65536k"]},
              {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
               "options": some("nosuid", "noexec") + ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
              {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": some("nosuid", "noexec", "nodev", "ro")}]
    if dice.random() < 0.7:
        mounts.append({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                       "options": some("nosuid", "noexec", "nodev") + ["mode=1777", "size=65536k"]})
    return mounts


def random_mount(dice, before):
    kind = dice.choices(("folder", "file", "tmpfs", "proc"), (5, 3, 4, 0.5))[0]
    place = dice.choice(FILE_PLACES if kind == "file" else PLACES)
    if kind != "file" and before and dice.random() < 0.3:  # below or on what an earlier one made
        place = dice.choice([point for point in before if not point.startswith(("/proc", "/sys", "/dev/pts"))])
        place += dice.choice(("", "/inner", "/below/new"))
    options = dice.sample(FLAGS, dice.choice((0, 0, 1, 2, 3)))
    if kind == "tmpfs":
        return {"destination": place, "type": "tmpfs", "source": dice.choice(("tmpfs", "own")),
                "options": options + tmpfs_options(dice)}
    if kind == "proc":
        return {"destination": place, "type": "proc", "source": "proc", "options": options}
    if dice.random() < 0.3:
        options.append(dice.choice(PROPAGATION))
    source = dice.choice(("one", "two", "two/inner", "to-one")) if kind == "folder" else dice.choice(("file", "two/script"))
    return {"destination": place, "type": "bind", "source": source, "options": [dice.choice(("bind", "rbind")), *options]}


def tmpfs_options(dice):
    choices = (f"mode={dice.choice(('700', '1777', '0755', '0511'))}", f"uid={dice.choice((0, 7, 1000))}",
               f"gid={dice.choice((0, 8, 1000))}", f"size={dice.choice(('64k', '1m', '4096'))}", "tmpcopyup")
    return [option for option in choices if dice.random() < 0.3]


def lay_out(case, folder, program):
    """The case's own root file system and sources below `folder`; gives the two bundles, namespaces' first."""
    root, sources = os.path.join(folder, "rootfs"), os.path.join(folder, "sources")
    for path in FOLDERS:
        os.makedirs(os.path.join(root, path))
    for base in ("one", "two", "two/inner"):
        for path in BELOW:
            os.makedirs(os.path.join(sources, base, path), exist_ok=True)
        for path in FILES_BELOW:
            write(os.path.join(sources, base, path), f"{path} in {base}\n")
    os.chmod(os.path.join(sources, "two"), 0o750)
    for path, text in FILES.items():
        write(os.path.join(root, path), text)
    for path in ("file", "two/script"):
        write(os.path.join(sources, path), f"{path}\n")
    for path, target in LINKS.items():
        os.symlink(target, os.path.join(root, path))
    os.symlink("one", os.path.join(sources, "to-one"))
    for path in (f"{root}/view", f"{root}/a/program", f"{sources}/one/program", f"{sources}/two/program"):
        os.link(program, path)
    return [write_bundle(case, folder, wall) for wall in ("namespaces", "sandbox")]


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def write_bundle(case, folder, wall):
    bundle = os.path.join(folder, wall)
    os.mkdir(bundle)
    config = harness.deep_update(harness.default_config(), case.changes)
    config["root"]["path"] = os.path.join(folder, "rootfs")
    config["mounts"] = [{**mount, "source": os.path.join(folder, "sources", mount["source"])}
                        if mount["type"] == "bind" else mount for mount in case.mounts]
    if wall == "sandbox":
        config["annotations"] = {"org.caisson.wall": "sandbox",
                                 "org.caisson.platform": ("systrap", "ptrace")[case.number % 2]}
    harness.TestCase.write_config(None, bundle, config)
    return bundle


def normalized(text, folder):
    """Lines of mount_view.c with what may differ between kernels left out: numbers of mounts and devices,
    the order of the list, how the host's own file systems are called."""
    lines = text.splitlines()
    mounts = [line.split()[1:] for line in lines if line.startswith("mount ")]
    return sorted(normalized_mounts(mounts, folder)) + [line for line in lines if not line.startswith("mount ")]


def normalized_mounts(mounts, folder):
    points = {fields[0]: (fields[1], fields[4]) for fields in mounts}
    for fields in mounts:
        kind, source, options = fields[fields.index("-") + 1:]
        root = fields[3]
        if kind == "host":  # the sandbox: a place of the host, or of the root file system
            base = os.path.join(folder, "rootfs") if source == "none" else os.path.realpath(source)
            root = os.path.normpath(base + root)
        if root == "/null":  # covers a file
            kind, source, options = "device", "null", ""
        if root.startswith(folder):
            kind, source, options = "host", root, ""
        options = " ".join(sorted(set(options.split(",")) - {"inode64"}))
        yield f"{chain(points, fields[0])} from {root} {fields[5]} {kind} {source} {options}"


def chain(points, mount):
    """Mount points from the root to this mount, of which each lies in the one before it."""
    parent, point = points[mount]
    return point if parent not in points or parent == mount else f"{chain(points, parent)} > {point}"
