"""The files that belong to the project: what the checks in this folder look at."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def files(suffixes=None):
    """Relative paths, sorted: tracked by git or new and not ignored; without git, what lies there."""
    found = _git_files()
    if found is None:
        found = _walked_files()
    found = [path for path in found if os.path.isfile(os.path.join(ROOT, path))]
    if suffixes:
        found = [path for path in found if path.endswith(tuple(suffixes))]
    return sorted(found)


def cpp_files():
    return files((".cc", ".h"))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def _git_files():
    # safe.directory: root may test a checkout that belongs to somebody else.
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT,
               "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [os.fsdecode(path) for path in done.stdout.split(b"\0") if path]


def _walked_files():
    found = []
    for directory, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in ("build", ".git", "__pycache__")]
        found += [os.path.relpath(os.path.join(directory, name), ROOT) for name in names]
    return found
