"""Static C programs that run inside of containers: tests/sandbox/guests/NAME.c, built when a test wants one."""

import os
import subprocess

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sandbox", "guests")


def build(name, folder):
    """Compiles guests/NAME.c; gives the program's path."""
    program = os.path.join(folder, name)
    subprocess.run(["gcc", "-std=c11", "-O1", "-static", "-pthread", "-Wall", "-Wextra", "-Werror",
                    os.path.join(SOURCES, f"{name}.c"), "-o", program], check=True, timeout=120)
    return program
