"""Our runtime passes every check of tests/conformance."""

import os
import sys
import unittest

import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "conformance"))

import suite  # noqa: E402
import refusals  # noqa: E402,F401
import lifecycle  # noqa: E402,F401
import effects  # noqa: E402,F401


@unittest.skipUnless(os.getuid() == 0, "containers of root")
class Conformance(unittest.TestCase):
    def test_every_check(self):
        results = suite.run_checks(os.path.join(os.path.dirname(harness.CAISSON), "caisson-oci"))
        self.assertGreater(len(results), 300)
        failed = [f"{name}: {text}" for name, (mark, text) in results.items() if mark == "fail"]
        self.assertEqual(failed, [])


if __name__ == "__main__":
    harness.main()
