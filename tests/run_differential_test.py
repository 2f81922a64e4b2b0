"""The runner of the differential programs: what it makes of their output and of the known differences."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "sandbox"))
import run_differential  # noqa: E402


def outcome(text):
    made = run_differential.Outcome()
    made.add(text)
    return made


class Outcomes(unittest.TestCase):
    def test_lines_belong_to_the_case_before_them(self):
        made = outcome("loader complains\n== a\none\n-- exit 0\n== b\ntwo\n")
        self.assertEqual(made.cases, {"a": ["one", "-- exit 0"], "b": ["two"]})
        self.assertEqual(made.complaints, ["loader complains"])
        self.assertTrue(made.ended("a"))
        self.assertFalse(made.ended("b"))


class Program:
    """A place whose programs print what they were asked for."""
    name = "program"

    def __init__(self):
        self.asked = []

    def command(self, program, cases, case_timeout):
        self.asked.append((cases, case_timeout))
        return ["sh", "-c", "\n".join(f"echo == {case}; echo -- exit 0" for case in cases)]

    def environment(self):
        return None


class Runs(unittest.TestCase):
    def test_cases_known_to_differ_are_not_waited_for_long(self):
        place = Program()
        made = run_differential.run_program(place, "program", ["a", "b", "c"], {"b": "why"})
        self.assertEqual(sorted(made.cases), ["a", "b", "c"])
        self.assertEqual(place.asked, [(["a", "c"], run_differential.CASE_TIMEOUT),
                                       (["b"], run_differential.KNOWN_CASE_TIMEOUT)])


class Comparison(unittest.TestCase):
    host = outcome("== a\none\n-- exit 0\n== b\ntwo\n-- exit 0\n")

    def test_equal_outputs_need_no_words(self):
        self.assertEqual(run_differential.compare(self.host, self.host, {}, "ptrace"), [])

    def test_a_difference_is_shown_with_both_sides(self):
        found = outcome("== a\none\n-- exit 0\n== b\nother\n-- exit 0\n")
        report = "\n".join(run_differential.compare(self.host, found, {}, "ptrace"))
        self.assertIn("b:", report)
        self.assertIn("-two", report)
        self.assertIn("+other", report)
        self.assertNotIn("a:", report)

    def test_a_case_that_was_not_reached_differs(self):
        found = outcome("== a\none\n-- exit 0\n")
        self.assertIn("not reached", "\n".join(run_differential.compare(self.host, found, {}, "ptrace")))

    def test_a_known_difference_is_silent_until_it_is_gone(self):
        found = outcome("== a\none\n-- exit 0\n== b\nother\n-- exit 0\n")
        self.assertEqual(run_differential.compare(self.host, found, {"b": "why"}, "ptrace"), [])
        gone = run_differential.compare(self.host, self.host, {"b": "why"}, "ptrace")
        self.assertIn("take it from the list", gone[0])


class KnownDifferences(unittest.TestCase):
    def read(self, text, platform="ptrace"):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            return run_differential.read_known(file.name, "files", ["a", "b"], platform)

    def test_entries_are_of_a_family_and_perhaps_a_platform(self):
        text = "# a comment\n\nfiles.a: the reason\nfiles.b systrap: another\nother.c: of another family\n"
        self.assertEqual(self.read(text), ({"a": "the reason"}, []))
        self.assertEqual(self.read(text, "systrap")[0], {"a": "the reason", "b": "another"})

    def test_what_is_no_entry_is_a_problem(self):
        for text in ("files.a\n", "files.a:\n", "files.a windows: x\n", "files.missing: x\n"):
            with self.subTest(text=text):
                self.assertEqual(len(self.read(text)[1]), 1)


if __name__ == "__main__":
    unittest.main()
