"""One suite's figures as an SVG: a row per competitor, the time of each start on a common axis. Pure functions."""

import math
from html import escape

WIDTH, LEFT, RIGHT, TOP, ROW = 760, 150, 70, 62, 30
OURS, THEIRS, BOUND = "#1f6feb", "#8b949e", "#c9d1d9"
# What stands under the name of a competitor that does less than the others.
LESS = {
    "bwrap": "no cgroups, devices, masks",
    "floor": "system calls alone",
    "floor-pin": "and the device program kept",
    "floor-tiny": "and a tiny mount namespace",
    "bare busybox": "no container",
    "bare true": "no container",
    "unshare": "no cgroups, devices, masks",
}


def nice_step(span, ticks=6):
    """1, 2 or 5 times a power of ten, so that about `ticks` of them make the span."""
    raw = span / ticks
    power = 10 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)


def axis(largest):
    """(end of the axis, distance of its ticks), in the unit of `largest`."""
    step = nice_step(largest)
    return math.ceil(largest / step - 1e-9) * step, step


def number(value):
    return f"{value:.10g}"


def text(x, y, content, size=12, anchor="start", fill="#24292f", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" '
            f'font-weight="{weight}">{escape(content)}</text>')


def row_of(name, figures, y, at):
    """Whiskers from the fastest run to p95, a box around the middle half, a line at the median."""
    wall = figures["wall"]
    colour = OURS if name == "caisson" else BOUND if name in LESS else THEIRS
    middle = y + ROW / 2
    low, high = at(wall["p25"]), at(wall["p75"])
    yield text(LEFT - 10, middle + (0 if name in LESS else 4), name, anchor="end", weight="bold" if name == "caisson" else "normal")
    if name in LESS:
        yield text(LEFT - 10, middle + 11, LESS[name], size=8.5, anchor="end", fill="#57606a")
    yield (f'<line x1="{at(wall["min"]):.1f}" x2="{at(wall["p95"]):.1f}" y1="{middle:.1f}" y2="{middle:.1f}" '
           f'stroke="{colour}" stroke-width="2"/>')
    yield (f'<rect x="{low:.1f}" y="{middle - 8:.1f}" width="{max(high - low, 1):.1f}" height="16" fill="{colour}" '
           f'fill-opacity="0.55" stroke="{colour}"/>')
    yield (f'<line x1="{at(wall["median"]):.1f}" x2="{at(wall["median"]):.1f}" y1="{middle - 9:.1f}" '
           f'y2="{middle + 9:.1f}" stroke="#24292f" stroke-width="2"/>')
    yield text(at(wall["p95"]) + 6, middle + 4, f"{wall['median']:.2f} ms", size=11)


def svg(title, subtitle, summary):
    """`summary` as of stats.summarise(); steps ("crun:start") are left out."""
    names = sorted((name for name in summary if ":" not in name), key=lambda name: summary[name]["wall"]["median"])
    end, step = axis(max(summary[name]["wall"]["p95"] for name in names))
    height = TOP + ROW * len(names) + 46
    bottom = TOP + ROW * len(names)

    def at(value):
        return LEFT + (WIDTH - LEFT - RIGHT) * value / end

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
             'font-family="system-ui, sans-serif">',
             f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
             text(16, 24, title, size=15, weight="bold"), text(16, 43, subtitle, size=11, fill="#57606a")]
    for index in range(round(end / step) + 1):
        x = at(index * step)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" stroke="#eaeef2"/>')
        parts.append(text(x, bottom + 16, number(index * step), size=11, anchor="middle", fill="#57606a"))
    parts.append(text(LEFT, bottom + 34, "milliseconds on the wall; line: fastest to p95, box: middle half, "
                      "mark and number: median", size=11, fill="#57606a"))
    for index, name in enumerate(names):
        parts += row_of(name, summary[name], TOP + ROW * index, at)
    return "\n".join([*parts, "</svg>"]) + "\n"
