"""Tests of check_includes."""

import importlib.machinery
import importlib.util
import os
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))


def load(name):
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(HERE, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


check_includes = load("check_includes")

TABLE = """
| floor | folder | what lives there | may include |
|---|---|---|---|
| 0 | base | words | |
| 1 | sys | calls | base |
| 4 | linux | executor | base sys |
| 4 | sandbox/vfs | tree | base |

| 7 | not a floor |
"""


class IncludesTest(unittest.TestCase):
    def setUp(self):
        self.table = check_includes.read_table(TABLE)

    def problems(self, path, text, existing=("base/fd.h", "sys/mount.h", "linux/executor.h")):
        return check_includes.check_file(path, text, self.table, set(existing).__contains__)

    def test_reads_the_rows_of_the_floors_table_only(self):
        self.assertEqual(list(self.table), ["base", "sys", "linux", "sandbox/vfs"])
        self.assertEqual(self.table["linux"].may_include, ["base", "sys"])
        self.assertEqual(self.table["linux"].floor, 4)

    def test_the_project_s_own_table_is_read_and_sound(self):
        with open(os.path.join(HERE, "..", "ARCHITECTURE.md"), encoding="utf-8") as file:
            table = check_includes.read_table(file.read())
        self.assertIn("base", table)
        self.assertEqual(check_includes.check_table(table), [])

    def test_accepts_own_folder_and_named_folders(self):
        text = '#include "sys/mount.h"\n#include "base/fd.h"\n#include <sys/socket.h>\n'
        self.assertEqual(self.problems("sys/mount.cc", text), [])

    def test_refuses_a_folder_that_the_row_does_not_name(self):
        found = self.problems("sys/mount.cc", '\n#include "linux/executor.h"\n')
        self.assertEqual(len(found), 1)
        self.assertIn("src/sys/mount.cc:2: sys may not include linux", found[0])

    def test_a_folder_below_belongs_to_the_row_above_it(self):
        self.assertEqual(self.problems("linux/launcher/a.cc", '#include "sys/mount.h"\n'), [])
        self.assertIn("sandbox/vfs may not include sys",
                      self.problems("sandbox/vfs/a.cc", '#include "sys/mount.h"\n')[0])

    def test_refuses_a_folder_without_a_row(self):
        self.assertIn("has no row", self.problems("stray/a.cc", "")[0])
        self.assertIn("has no row", self.problems("sandbox/other/a.cc", "")[0])

    def test_refuses_names_that_do_not_start_at_src(self):
        self.assertIn("from src/", self.problems("sys/a.cc", '#include "mount.h"\n')[0])
        self.assertIn("from src/", self.problems("sys/a.cc", '#include "../base/fd.h"\n')[0])

    def test_refuses_a_file_that_does_not_exist(self):
        self.assertIn("does not exist", self.problems("sys/a.cc", '#include "base/none.h"\n')[0])

    def test_finds_a_cycle_of_folders(self):
        self.assertEqual(check_includes.find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]}),
                         ["b", "c", "b"])
        self.assertIsNone(check_includes.find_cycle({"a": ["b", "c"], "b": ["c"], "c": []}))

    def test_refuses_a_row_that_names_a_higher_floor_or_nothing(self):
        table = check_includes.read_table("| 0 | base | x | sys |\n| 1 | sys | x | none |\n")
        found = "\n".join(check_includes.check_table(table))
        self.assertIn("base (floor 0) may include sys (floor 1)", found)
        self.assertIn("sys may include none, which has no row", found)


if __name__ == "__main__":
    unittest.main()
