"""Inside the guest: runs the test files named in /opt/caisson/selection, one process each, and says at
last how it went. The line "caisson-vm: status N" is what tests/vm/run_guest believes; without it
the run has failed."""

import os
import subprocess
import sys
import time

HOME = "/opt/caisson"
FILE_TIMEOUT = 240.0


def uptime():
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


def run_file(path, selected, environment):
    """Status of one test file; 124 when its time was up."""
    print(f"--- {path} {' '.join(selected)}", flush=True)
    begin = time.monotonic()
    process = subprocess.Popen([sys.executable, "-B", path, *selected], env=environment,
                               stdin=subprocess.DEVNULL)
    try:
        status = process.wait(FILE_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        print(f"{path}: no end after {FILE_TIMEOUT:.0f} s", flush=True)
        status = 124
    print(f"--- {path}: status {status}, {time.monotonic() - begin:.1f} s", flush=True)
    return status


def main():
    print(f"guest: Linux {os.uname().release}, {os.cpu_count()} CPUs, up {uptime():.1f} s", flush=True)
    environment = {**os.environ, "CAISSON": f"{HOME}/build/release/caisson", "PYTHONPATH": f"{HOME}/tests",
                   "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    failed = []
    with open(f"{HOME}/selection", encoding="utf-8") as file:
        lines = [line.split() for line in file.read().splitlines()]
    for path, *selected in lines:
        if run_file(os.path.join(HOME, path), selected, environment) != 0:
            failed.append(path)
    if failed:
        print("failed: " + " ".join(failed))
    print(f"caisson-vm: status {1 if failed or not lines else 0}", flush=True)


main()
