"""Views of the host's control groups, each in a mount namespace of its own: nothing of the host is changed."""

import ctypes
import os
import subprocess
from pathlib import Path

from caisson_bench.places import BUILD, BenchError

CGROUP2_MAGIC = 0x63677270
MS_BIND, MNT_DETACH = 4096, 2
LIBC = ctypes.CDLL(None, use_errno=True)


def is_unified():
    output = subprocess.run(["stat", "-fc", "%T", "/sys/fs/cgroup"], check=True, capture_output=True, text=True)
    return output.stdout.strip() == "cgroup2fs"


def available():
    """On a hybrid host both views can be shown, on a pure v2 host just that."""
    return ["v2"] if is_unified() else ["hybrid", "v2"]


def mount(source, target, kind=None, flags=0):
    encode = lambda text: None if text is None else os.fsencode(str(text))
    if LIBC.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), None) != 0:
        raise BenchError(f"mount {source} on {target}: {os.strerror(ctypes.get_errno())}")


def enter(view):
    """To be called in a private mount namespace."""
    if view == "v2" and not is_unified():
        subprocess.run(["umount", "-R", "-l", "/sys/fs/cgroup"], check=True)
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2")
    controllers = Path("/sys/fs/cgroup/unified/cgroup.controllers")
    if view == "hybrid" and controllers.exists() and controllers.read_text().strip():
        # crun 1.8 refuses a hybrid host whose v2 side has controllers; it looks here. For everybody, to be fair.
        mount("/dev/null", controllers, flags=MS_BIND)
    bpf = BUILD / "bpf"
    bpf.mkdir(exist_ok=True)
    mount("bpf", bpf, "bpf")


def add_mounts(count):
    place = BUILD / "mounts"
    for number in range(count):
        target = place / str(number)
        target.mkdir(parents=True, exist_ok=True)
        mount(BUILD / "rootfs", target, flags=MS_BIND)


def rerun_in_private_namespace(arguments):
    return subprocess.run(["unshare", "--mount", "--propagation", "private", "--", *map(str, arguments)]).returncode
