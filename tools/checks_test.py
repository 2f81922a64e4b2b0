"""Tests of check_sizes, check_words, check_docs and check_binary."""

import sys
import unittest

sys.dont_write_bytecode = True
from check_includes_test import load  # noqa: E402

check_sizes = load("check_sizes")
check_words = load("check_words")
check_docs = load("check_docs")
check_binary = load("check_binary")


def measured(text):
    return {function.name: (function.lines, function.nesting)
            for function in check_sizes.functions(text)}


class SizesTest(unittest.TestCase):
    def test_measures_functions_in_namespaces_and_classes(self):
        text = """
namespace a {
class B final : public C<int> {
 public:
  int one() const { return 1; }
  B() : x_{1}, y_(2) {
    run();
  }
};
static_assert(sizeof(B) == 8);
Result<> two(int x = 3, std::vector<int> v = {}) {
  return {};
}
}  // namespace a
"""
        found = measured(text)
        self.assertEqual(sorted(found), ["B", "one", "two"])
        self.assertEqual(found["one"], (1, 0))
        self.assertEqual(found["B"], (3, 0))
        self.assertEqual(found["two"], (3, 0))

    def test_counts_nested_blocks_and_not_initialisers(self):
        text = """
void f() {
  if (a) {
    for (auto x : {1, 2}) {
      Point p{1, 2};
      while (g({3, 4})) {
        switch (x) {
          case 1: {
            h(Point{1, 2});
          }
        }
      }
    }
  } else if (b) {
    return;
  }
}
"""
        self.assertEqual(measured(text)["f"], (16, 4))

    def test_a_lambda_starts_its_own_nesting(self):
        text = """
void f() {
  if (a) {
    run([&](int x) {
      if (x) {
        if (y) {
        }
      }
    });
    if (b) {
    }
  }
}
"""
        self.assertEqual(measured(text)["f"], (12, 2))
        self.assertEqual(sorted(function.nesting for function in check_sizes.functions(text)), [2, 2])

    def test_braces_in_literals_comments_and_macros_do_not_count(self):
        text = """
#define OPEN {
void f() {
  a('{', "{", R"x({{)x", 1'000);  // {
  /* { */
}
"""
        self.assertEqual(measured(text)["f"], (4, 0))

    def test_tables_are_data(self):
        self.assertEqual(check_sizes.functions("constexpr Row kRows[] = {\n  {1, f(2)},\n};\n"), [])

    def test_reports_long_functions_deep_ones_and_long_files(self):
        long_function = "void f() {\n" + "  g();\n" * 80 + "}\n"
        self.assertIn("f: 82 lines", check_sizes.check("a.cc", long_function)[0])
        deep = "void f() {\n" + "if (a) {\n" * 5 + "}\n" * 5 + "}\n"
        self.assertIn("nested 5 deep", check_sizes.check("a.cc", deep)[0])
        self.assertIn("801 lines", check_sizes.check("a.cc", "\n" * 801)[0])
        self.assertEqual(check_sizes.check("a.cc", "void f() {}\n"), [])


class WordsTest(unittest.TestCase):
    def test_finds_what_was_put_off(self):
        for text in ("// TODO later", "FIXME", "return \"not implemented\";", "Not yet implemented"):
            self.assertEqual(len(check_words.find("a.cc", text)), 1, text)

    def test_finds_places_and_addresses(self):
        for text in ("see /work/main", "/tmp/wt/x", "by someone@example.org"):
            self.assertEqual(len(check_words.find("a.cc", text)), 1, text)

    def test_lets_ordinary_text_pass(self):
        for text in ("overlay work/ folder", "upper/work/", "unit@.service", "a@b", "todos", "${D}/work/"):
            self.assertEqual(check_words.find("a.cc", text), [], text)

    def test_exceptions_hold_for_their_file_only(self):
        text = "Function not implemented"
        self.assertEqual(check_words.find("src/base/error.cc", text), [])
        self.assertEqual(len(check_words.find("src/base/other.cc", text)), 1)


class DocsTest(unittest.TestCase):
    def test_finds_links_and_paths_and_leaves_patterns_alone(self):
        text = "[a](b.md), `src/c.h`\n[web](https://d.e) `x y` `src/x_test.cc` `build/dev/f`"
        self.assertEqual(check_docs.named_paths(text), [(1, "b.md", True), (1, "src/c.h", False)])


class BinaryTest(unittest.TestCase):
    HEADERS = "  Type:                              DYN (Position-Independent Executable file)\n"
    SEGMENTS = """
  LOAD           0x000000 0x0000000000000000 0x0000000000000000 0x007f18 0x007f18 R   0x1000
  LOAD           0x008000 0x0000000000008000 0x0000000000008000 0x076cd1 0x076cd1 R E 0x1000
  GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x10
  GNU_RELRO      0x0a84d8 0x00000000000a94d8 0x00000000000a94d8 0x003b28 0x003b28 R   0x1
"""
    DYNAMIC = " 0x000000006ffffffb (FLAGS_1)            Flags: NOW PIE\n"

    def problems(self, headers=HEADERS, segments=SEGMENTS, dynamic=DYNAMIC, symbols="", size=1):
        return check_binary.problems_of(headers, segments, dynamic, symbols, size)

    def test_accepts_a_hardened_static_pie(self):
        self.assertEqual(self.problems(), [])

    def test_finds_each_weakness(self):
        self.assertIn("position", self.problems(headers="Type: EXEC")[0])
        self.assertIn("static", self.problems(segments=self.SEGMENTS + "  INTERP 0x1\n")[0])
        self.assertIn("NOW", self.problems(dynamic="")[0])
        self.assertIn("RELRO", self.problems(segments=self.SEGMENTS.replace("GNU_RELRO", "X"))[0])
        stack = self.SEGMENTS.replace("RW  0x10", "RWE 0x10")
        self.assertIn("executable stack", self.problems(segments=stack)[0])
        code = self.SEGMENTS.replace("R E", "RWE")
        self.assertIn("writable and executable", self.problems(segments=code)[0])
        symbols = "1: 00 29 FUNC LOCAL DEFAULT 6 _GLOBAL__sub_I_table"
        self.assertIn("static constructor", self.problems(symbols=symbols)[0])
        self.assertIn("bytes", self.problems(size=10**8)[0])


if __name__ == "__main__":
    unittest.main()
