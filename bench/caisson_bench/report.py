"""Facts about the machine, the printed table and the JSON beside the raw rows."""

import json
import os
import platform
import subprocess
from pathlib import Path

from caisson_bench import stats
from caisson_bench.places import ROOT, which


def first_line(*command):
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (output.stdout or output.stderr).strip().partition("\n")[0] or None


def processor():
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name", platform.machine())
    return f"{name}, family {fields['cpu family']} model {fields['model']}" if "cpu family" in fields else name


def machine_facts(ours):
    versions = {name: first_line(which(name), "--version") for name in ("crun", "runc", "bwrap") if which(name)}
    if which("busybox"):
        versions["busybox"] = first_line(which("busybox"))
    if ours.exists():
        versions["caisson"] = first_line(str(ours), "--version")
    return {
        "kernel": platform.release(),
        "processor": processor(),
        "processors": os.cpu_count(),
        "memory_kb": int(Path("/proc/meminfo").read_text().split()[1]),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "versions": versions,
        "commit": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }


def table(summary, yardstick):
    """Whole entries first, fastest on top, each followed by its steps."""

    def order(name):
        whole = summary.get(name.partition(":")[0], summary[name])
        return whole["wall"]["median"], name.partition(":")[0], name.count(":")

    head = f"{'':<20}{'wall ms: min':>13}{'median':>9}{'p95':>9}   {'cpu ms: median':>14}{'p95':>9}   {'wall/' + yardstick:>10}{'cpu/' + yardstick:>10}{'n':>6}"
    lines = [head, "-" * len(head)]
    for name in sorted(summary, key=order):
        entry = summary[name]
        wall, cpu = entry["wall"], entry["cpu"]
        ratios = "".join(f"{entry[key]:>10.3f}" if entry.get(key) else f"{'-':>10}" for key in ("wall_ratio", "cpu_ratio"))
        label = name if ":" not in name else "  " + name.partition(":")[2]
        lines.append(
            f"{label:<20}{wall['min']:>13.2f}{wall['median']:>9.2f}{wall['p95']:>9.2f}   {cpu['median']:>14.2f}"
            f"{cpu['p95']:>9.2f}   {ratios}{wall['n']:>6}" + (f"  {entry['failures']} FAILED" if entry["failures"] else "")
        )
    return "\n".join(lines)


def comparison(rows, name, other):
    """Lines that say what became of `other` (another revision), step by step."""
    lines = []
    for row in dict.fromkeys(row.name for row in rows):
        whole, _, step = row.partition(":")
        before = stats.yardstick_of(row, other)
        if whole != name:
            continue
        for field, unit in (("wall_ns", "wall"), ("cpu_ns", "cpu")):
            ratios = stats.paired_ratios(rows, row, before, field)
            if not ratios:
                continue
            low, middle, high = (stats.percentile(ratios, percent) for percent in (25, 50, 75))
            faster = sum(ratio < 1 for ratio in ratios)
            lines.append(f"{step or name}, {unit}: {middle:.3f} of {other}'s (middle half {low:.3f} to {high:.3f}); "
                         f"less in {faster} of {len(ratios)} rounds")
    return "\n".join(lines)


def save_summary(path, facts, summary, options):
    path.write_text(json.dumps({"machine": facts, "options": options, "summary": summary}, indent=1) + "\n")
