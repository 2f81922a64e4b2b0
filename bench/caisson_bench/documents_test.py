import unittest
import xml.etree.ElementTree as xml

from caisson_bench import documents, plot


def figures(median):
    wall = {"min": median * 0.8, "p25": median * 0.9, "median": median, "p75": median * 1.1, "p95": median * 1.5, "n": 9}
    return {"wall": wall, "cpu": wall, "failures": 0, "wall_paired_ratio": 0.5, "cpu_paired_ratio": 0.75}


RUN = documents.Run("2026-01-02", "v2", "run", {
    "versions": {"crun": "crun version 1.8.1", "bwrap": "bubblewrap 0.8.0"}, "processor": "Fast, family 1",
    "processors": 2, "kernel": "6.1.0-9"}, {"rounds": 100}, {"caisson": figures(1.5), "crun": figures(3), "<odd>": figures(8)})
STEPS = RUN._replace(suite="lifecycle", summary={"crun": figures(9), "crun:create": figures(2), "caisson:create": figures(1)})


class Axis(unittest.TestCase):
    def test_ends_at_a_round_number_that_nothing_exceeds(self):
        for largest, expected in ((0.9, (1.0, 0.2)), (12, (12, 2)), (12.1, (15, 5)), (100, (100, 20)), (6, (6, 1))):
            end, step = plot.axis(largest)
            self.assertAlmostEqual(end, expected[0])
            self.assertAlmostEqual(step, expected[1])


class Plot(unittest.TestCase):
    def setUp(self):
        self.root = xml.fromstring(plot.svg("A & B", "sub", RUN.summary))
        self.texts = [element.text for element in self.root.iter("{http://www.w3.org/2000/svg}text")]

    def test_names_everybody_and_his_median(self):
        for word in ("A & B", "caisson", "crun", "<odd>", "1.50 ms", "3.00 ms", "8.00 ms"):
            self.assertIn(word, self.texts)

    def test_boxes_are_where_the_axis_says(self):
        boxes = [element for element in self.root.iter("{http://www.w3.org/2000/svg}rect") if "fill-opacity" in element.attrib]
        ticks = {element.text: float(element.attrib["x"]) for element in self.root.iter("{http://www.w3.org/2000/svg}text")
                 if element.attrib["text-anchor"] == "middle"}
        per_ms = (ticks["10"] - ticks["0"]) / 10
        for box, median in zip(boxes, (1.5, 3, 8)):  # fastest on top
            self.assertAlmostEqual(float(box.attrib["x"]), ticks["0"] + per_ms * median * 0.9, delta=0.2)
            self.assertAlmostEqual(float(box.attrib["width"]), per_ms * median * 0.2, delta=0.2)

    def test_nothing_leaves_the_picture(self):
        width = float(self.root.attrib["viewBox"].split()[2])
        for line in self.root.iter("{http://www.w3.org/2000/svg}line"):
            self.assertLessEqual(float(line.attrib["x2"]), width)


class Table(unittest.TestCase):
    def test_has_a_row_for_a_suite_or_for_each_of_its_steps(self):
        lines = documents.table([RUN, STEPS]).splitlines()
        self.assertEqual(lines[2], "| create, start, wait, delete | cgroup v2 | 1.50 | 3.00 | - | - | 0.50 | 0.75 |")
        self.assertEqual(lines[3], "| create | cgroup v2 | 1.00 | 2.00 | - | - | 0.50 | 0.75 |")
        self.assertEqual(len(lines), 4)

    def test_takes_the_place_of_what_stands_between_the_marks(self):
        text = f"a\n{documents.BEGIN}\nold\n{documents.END}\nz\n"
        made = documents.with_section(text, [RUN])
        self.assertTrue(made.startswith("a\n") and made.endswith("\nz\n") and "old" not in made)
        self.assertEqual(documents.with_section(made, [RUN]), made)
        with self.assertRaises(ValueError):
            documents.with_section("no marks", [RUN])

    def test_says_where_it_was_measured(self):
        made = documents.section([RUN, STEPS._replace(options={"rounds": 30})])
        self.assertIn("2 processors (Fast), Linux 6.1.0, 2026-01-02; crun 1.8.1, bwrap 0.8.0.\n30 to 100 interleaved", made)


if __name__ == "__main__":
    unittest.main()
