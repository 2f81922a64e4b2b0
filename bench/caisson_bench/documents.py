"""What the documentation shows of the reference runs: plots and the README's table. Pure functions but for reading."""

import json
import re
from typing import NamedTuple

from caisson_bench import plot, stats

STEM = re.compile(r"^(\d{4}-\d\d-\d\dT\d{6})-(hybrid|v2)-(.+)\.csv$")
BEGIN, END = "<!-- bench/report: begin -->", "<!-- bench/report: end -->"
PEERS = ("caisson", "crun", "runc", "bwrap")
VIEWS = {"v2": "cgroup v2", "hybrid": "cgroup v1 and v2"}
SUITES = {"run": "create, start, wait, delete", "seccomp": "the same with Docker's filter", "lifecycle": "create, start, delete",
          "create": "create", "start": "start", "delete": "delete", "exec": "exec in a running container",
          "verbs": "state, list, kill", "state": "state", "list": "list", "kill": "kill",
          "parallel": "8 starts at once", "mounts-1000": "start on a host with 1000 mounts",
          "mounts-5000": "start on a host with 5000 mounts", "mounts-10000": "start on a host with 10000 mounts",
          "masks-1000": "start with 1000 masked paths", "binds-200": "start with 200 binds"}


class Run(NamedTuple):
    date: str
    view: str
    suite: str
    machine: dict
    options: dict
    summary: dict


def read_runs(folder):
    """The newest run of each view and suite, summed up anew from its raw rows."""
    newest = {}
    for path in sorted(folder.glob("*.csv")):
        match = STEM.match(path.name)
        if match:
            newest[match[2], match[3]] = path
    runs = []
    order = list(SUITES)
    for (view, suite), path in sorted(newest.items(), key=lambda item: (
            order.index(item[0][1]) if item[0][1] in order else len(order), item[0][1], item[0][0] != "v2")):
        kept = json.loads(path.with_suffix(".json").read_text())
        summary = stats.summarise(stats.read_rows(path.read_text().splitlines()), "crun")
        runs.append(Run(path.name[:10], view, suite, kept["machine"], kept["options"], summary))
    return runs


def machine_text(run):
    versions = run.machine["versions"]
    peers = [re.sub(r"^\S+ (?:version )?", name + " ", versions[name]) for name in ("crun", "runc", "bwrap") if versions.get(name)]
    processor = run.machine["processor"].partition(",")[0]
    return (f"{run.machine['processors']} processors ({processor}), Linux {run.machine['kernel'].partition('-')[0]}, "
            f"{run.date}; {', '.join(peers)}")


def plots(runs):
    """{file name: text}"""
    titles = {suite: text[0].upper() + text[1:] for suite, text in SUITES.items()}
    return {f"{run.view}-{run.suite}.svg": plot.svg(f"{titles.get(run.suite, run.suite)}: {VIEWS[run.view]}",
                                                     f"{machine_text(run)}; {run.options['rounds']} interleaved rounds",
                                                     run.summary)
            for run in runs if any(":" not in name for name in run.summary)}


def measured(run):
    """(label, {peer: figures}) of a run: itself, or each of its steps."""
    steps = list(dict.fromkeys(name.partition(":")[2] for name in run.summary if ":" in name))
    for step in steps or [""]:
        found = {peer: run.summary.get(f"{peer}:{step}" if step else peer) for peer in PEERS}
        yield SUITES.get(step or run.suite, step or run.suite), found


def cell(figures):
    return f"{figures['wall']['median']:.2f}" if figures else "-"


def table(runs):
    lines = ["| median, ms | host | " + " | ".join(PEERS) + " | caisson / crun, wall | CPU |",
             "|---|---|" + "---:|" * (len(PEERS) + 2)]
    for run in runs:
        for label, found in measured(run):
            ours = found["caisson"] or {}
            ratios = [f"{ours[key]:.2f}" if ours.get(key) else "-" for key in ("wall_paired_ratio", "cpu_paired_ratio")]
            lines.append(" | ".join([f"| {label}", VIEWS[run.view], *(cell(found[peer]) for peer in PEERS), *ratios]) + " |")
    return "\n".join(lines)


def section(runs):
    """What stands between the marks in the README."""
    images = "\n".join(f"![{name}](docs/performance/{name})" for name in plots(runs) if name.endswith("-run.svg"))
    where = ".\n".join(dict.fromkeys(machine_text(run) for run in runs))
    rounds = sorted({run.options["rounds"] for run in runs})
    span = f"{rounds[0]} to {rounds[-1]}" if len(rounds) > 1 else str(rounds[0])
    return (f"{BEGIN}\n{table(runs)}\n\n{images}\n\n{where}.\n"
            f"{span} interleaved rounds; ratios are medians of those within a round. bwrap does less: no cgroups, devices,\n"
            "masks or limits. How it is measured: [bench/README.md](bench/README.md); raw rows: "
            f"`bench/results/reference/`.\n{END}")


def with_section(text, runs):
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} and {END}")
    return before + section(runs) + after
