"""The parts of bench/run: bundles, views of the control groups, commands under test, statistics, reports."""
