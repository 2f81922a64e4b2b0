import unittest

from caisson_bench import report, stats

HEADER = "round,name,wall_ns,cpu_ns,status,load1\n"


def rows(text):
    return stats.read_rows((HEADER + text).splitlines())


class Percentile(unittest.TestCase):
    def test_is_a_value_of_the_sample(self):
        self.assertEqual(stats.percentile([4, 1, 3, 2], 50), 2)
        self.assertEqual(stats.percentile([4, 1, 3, 2], 95), 4)

    def test_of_one_value_is_that_value(self):
        for percent in (0, 50, 100):
            self.assertEqual(stats.percentile([7], percent), 7)

    def test_ninety_five_of_hundred_leaves_five_above(self):
        self.assertEqual(stats.percentile(list(range(1, 101)), 95), 95)

    def test_zero_and_hundred_are_the_ends(self):
        self.assertEqual(stats.percentile([3, 9, 5], 0), 3)
        self.assertEqual(stats.percentile([3, 9, 5], 100), 9)

    def test_refuses_nothing_and_nonsense(self):
        with self.assertRaises(ValueError):
            stats.percentile([], 50)
        with self.assertRaises(ValueError):
            stats.percentile([1], 101)


class Rows(unittest.TestCase):
    def test_are_read_with_their_types(self):
        self.assertEqual(rows("3,crun,15,7,0,1.50\n"), [stats.Row(3, "crun", 15, 7, 0, 1.5)])


class Summary(unittest.TestCase):
    def test_median_and_ratio_in_milliseconds(self):
        summary = stats.summarise(
            rows("0,crun,2000000,1000000,0,0\n1,crun,4000000,3000000,0,0\n0,ours,1000000,500000,0,0\n1,ours,2000000,500000,0,0\n"),
            "crun",
        )
        self.assertEqual(summary["crun"]["wall"]["median"], 3.0)
        self.assertEqual(summary["ours"]["wall"]["min"], 1.0)
        self.assertEqual(summary["ours"]["wall_ratio"], 0.5)
        self.assertEqual(summary["ours"]["cpu_ratio"], 0.25)
        self.assertEqual(summary["crun"]["wall_ratio"], 1.0)

    def test_failed_runs_are_counted_and_left_out(self):
        summary = stats.summarise(rows("0,crun,10000000,1,0,0\n1,crun,90000000,1,1,0\n"), "crun")
        self.assertEqual(summary["crun"]["wall"]["median"], 10.0)
        self.assertEqual(summary["crun"]["failures"], 1)

    def test_without_the_yardstick_there_is_no_ratio(self):
        self.assertNotIn("wall_ratio", stats.summarise(rows("0,ours,1,1,0,0\n"), "crun")["ours"])

    def test_steps_are_compared_with_the_same_step(self):
        summary = stats.summarise(rows("0,crun:start,4000000,1,0,0\n0,ours:start,1000000,1,0,0\n"), "crun")
        self.assertEqual(summary["ours:start"]["wall_ratio"], 0.25)

    def test_paired_ratio_ignores_drift_between_rounds(self):
        drifting = rows("0,crun,100,1,0,0\n0,ours,50,1,0,0\n1,crun,1000,1,0,0\n1,ours,500,1,0,0\n2,crun,10,1,0,0\n")
        self.assertEqual(stats.paired_ratio(drifting, "ours", "crun", "wall_ns"), 0.5)

    def test_paired_ratio_of_strangers_is_none(self):
        self.assertIsNone(stats.paired_ratio(rows("0,crun,1,1,0,0\n1,ours,1,1,0,0\n"), "ours", "crun", "wall_ns"))


class Comparison(unittest.TestCase):
    def test_pairs_the_rounds_in_which_both_succeeded(self):
        rows = [stats.Row(i, name, wall, 1, status, 0) for i, name, wall, status in (
            (0, "a", 2, 0), (0, "b", 4, 0), (1, "a", 9, 1), (1, "b", 4, 0), (2, "a", 3, 0), (2, "b", 2, 0), (3, "a", 5, 0))]
        self.assertEqual(stats.paired_ratios(rows, "a", "b", "wall_ns"), [0.5, 1.5])
        text = report.comparison(rows, "a", "b")
        self.assertIn("a, wall: 0.500 of b's (middle half 0.500 to 1.500); less in 1 of 2 rounds", text)


if __name__ == "__main__":
    unittest.main()
