"""From raw rows to figures. Pure functions, no input or output beside reading the rows."""

import csv
import math
import statistics
from collections import defaultdict
from typing import NamedTuple


class Row(NamedTuple):
    round: int
    name: str
    wall_ns: int
    cpu_ns: int
    status: int
    load1: float


def read_rows(lines):
    """Rows of an interleave file, header included."""
    return [
        Row(int(r["round"]), r["name"], int(r["wall_ns"]), int(r["cpu_ns"]), int(r["status"]), float(r["load1"]))
        for r in csv.DictReader(lines)
    ]


def percentile(values, percent):
    """Nearest rank: the smallest value that at least `percent` of all values do not exceed."""
    if not values:
        raise ValueError("percentile of nothing")
    if not 0 <= percent <= 100:
        raise ValueError(f"percent must be within 0..100, not {percent}")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def describe(values):
    return {
        "n": len(values),
        "min": min(values),
        "p25": percentile(values, 25),
        "median": statistics.median(values),
        "p75": percentile(values, 75),
        "p95": percentile(values, 95),
    }


def paired_ratio(rows, name, yardstick, field):
    """Median over rounds of name/yardstick, both of the same round: drifting noise cancels. None if never paired."""
    ratios = paired_ratios(rows, name, yardstick, field)
    return statistics.median(ratios) if ratios else None


def paired_ratios(rows, name, yardstick, field):
    """The ratios of each round in which both succeeded."""
    of = {who: {r.round: getattr(r, field) for r in rows if r.name == who and r.status == 0} for who in (name, yardstick)}
    return [of[name][i] / of[yardstick][i] for i in of[name] if of[yardstick].get(i)]


def yardstick_of(name, yardstick):
    """The row to compare `name` with: step rows ("crun:start") are compared with the same step."""
    step = name.partition(":")[2]
    return f"{yardstick}:{step}" if step else yardstick


def summarise(rows, yardstick):
    """{name: {wall, cpu, failures, wall_ratio, cpu_ratio}}, in milliseconds, failed runs left out and counted."""
    good, failures = defaultdict(list), defaultdict(int)
    for row in rows:
        if row.status == 0:
            good[row.name].append(row)
        else:
            failures[row.name] += 1
    summary = {}
    for name, own in good.items():
        other = good.get(yardstick_of(name, yardstick))
        entry = {"failures": failures[name]}
        for field in ("wall", "cpu"):
            own_figures = describe([getattr(r, field + "_ns") / 1e6 for r in own])
            entry[field] = own_figures
            if other:
                median = statistics.median([getattr(r, field + "_ns") / 1e6 for r in other])
                entry[field + "_ratio"] = own_figures["median"] / median if median else None
                entry[field + "_paired_ratio"] = paired_ratio(rows, name, yardstick_of(name, yardstick), field + "_ns")
        summary[name] = entry
    return summary
