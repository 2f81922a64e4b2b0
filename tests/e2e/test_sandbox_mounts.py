# ctest: RELEASE_ONLY
# ctest: TIMEOUT 300
"""The same description makes the same mounts behind both walls: random ones, seen by a program inside.

    CAISSON_MOUNT_SPECS=2000 CAISSON_MOUNT_SEED=7 ...    more of them, others
    CAISSON_MOUNT_ONLY=41 ...                            one of them, for a closer look
"""

import concurrent.futures
import difflib
import json
import os
import shutil
import unittest

import guest_programs
import harness
import mount_specs
from oci_case import OciCase

COUNT = int(os.environ.get("CAISSON_MOUNT_SPECS", "200"))
SEED = os.environ.get("CAISSON_MOUNT_SEED", "1")
ONLY = os.environ.get("CAISSON_MOUNT_ONLY")
WORKERS = 4


@unittest.skipUnless(os.geteuid() == 0, "needs root to mount")
class Mounts(OciCase):
    def test_both_walls_show_the_same(self):
        program = guest_programs.build("mount_view", self.dir)
        numbers = [int(ONLY)] if ONLY else range(COUNT)
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            reports = list(pool.map(lambda number: self.compare(mount_specs.make_case(SEED, number), program), numbers))
        different = [report for report, _ in reports if report]
        failed = sum(status != 0 for _, status in reports)
        self.assertEqual(len(different), 0, f"{len(different)} of {len(reports)} differ:\n\n" + "\n\n".join(different[:5]))
        # A generator of nonsense would find every refusal equal.
        self.assertTrue(ONLY or failed < len(reports) / 4, f"{failed} of {len(reports)} are refused")

    def compare(self, case, program):
        """(what differs, status)."""
        folder = os.path.join(self.dir, f"spec-{case.number}")
        namespaces, sandbox = mount_specs.lay_out(case, folder, program)
        # The sandbox first: the host's kernel leaves mount points behind in the root.
        found = self.oci("run", "--bundle", sandbox, f"{self.name}-s{case.number}")
        expected = self.oci("run", "--bundle", namespaces, f"{self.name}-n{case.number}")
        lines = [self.lines(done, folder) for done in (expected, found)]
        shutil.rmtree(folder)
        if lines[0] == lines[1]:
            return None, expected.status
        diff = difflib.unified_diff(*lines, "namespaces", "sandbox", lineterm="", n=0)
        what = json.dumps({**case.changes, "process": case.changes["process"]["capabilities"]["effective"]})
        return "\n".join([f"CAISSON_MOUNT_SEED={SEED} CAISSON_MOUNT_ONLY={case.number}", what, *diff,
                          *(done.err.strip() for done in (expected, found))]), expected.status

    @staticmethod
    def lines(done, folder):
        return ["refused" if done.status else "ran", *mount_specs.normalized(done.out, folder)]


if __name__ == "__main__":
    harness.main()
