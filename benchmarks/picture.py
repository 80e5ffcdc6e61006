"""The benchmarks as one picture: every ratio, the latencies beside their floors, cost by the number of calls."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.report import Report
from duckline.timeline import FRAME_MS

WIDTH_PX, HEIGHT_PX, DPI = 1600, 1000, 100
INK, FAINT, PAPER, GRID = "#1B1F23", "#6F777D", "#FFFFFF", "#D9DDE0"
OURS, THEIRS, BOUND, FAULT = "#0072B2", "#858F97", "#C25A00", "#CC0044"


def draw(path: Path, report: Report) -> None:
    """Draw to `path`, a PNG of 1600 × 1000 pixels, whatever of it has been measured."""
    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor=PAPER)
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, left=0.31, right=0.975, top=0.87, bottom=0.075, wspace=0.24, hspace=0.38)
    _ratios(figure.add_subplot(grid[:, 0]), report)
    _latency(figure.add_subplot(grid[0, 1]), report)
    _costs(figure.add_subplot(grid[1, 1]), report)
    for axes in figure.axes:
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(which="both", length=0, labelsize=10.5, colors=FAINT)
        axes.set_axisbelow(True)
    figure.text(0.02, 0.955, "What Duckline costs beside what else there is", fontsize=19, weight="bold", color=INK)
    broken = len(report.broken)
    judged = sum(row.is_within is not None for section in report.sections for row in section.rows)
    said = f"{judged - broken} of {judged} bounds kept" if judged else "no bound was set"
    figure.text(0.02, 0.922, f"measured side by side in one run   ·   {said}", fontsize=13, color=FAINT)
    canvas.print_png(path)


def _ratios(axes: Axes, report: Report) -> None:
    """A line for each comparison: how many times the baseline's figure ours is. Left of one is better."""
    rows = [row for section in report.sections for row in section.rows if row.ratio is not None]
    axes.set_title("Duckline ÷ baseline, less is better", loc="left", fontsize=13, color=INK, pad=10)
    if not rows:
        axes.text(0.5, 0.5, "nothing was compared", transform=axes.transAxes, ha="center", color=FAINT)
        return
    places = np.arange(len(rows))[::-1]
    lowest = min(min(row.ratio for row in rows), 1.0)
    for place, row in zip(places, rows, strict=True):
        colour = FAULT if row.is_within is False else OURS if row.ratio <= 1 or row.is_within else THEIRS
        axes.plot((1, row.ratio), (place, place), color=colour, linewidth=5, solid_capstyle="round", alpha=0.85)
        axes.annotate(
            f"{row.ratio:.2g}×", (row.ratio, place), (7 if row.ratio >= 1 else -7, 0), textcoords="offset points",
            ha="left" if row.ratio >= 1 else "right", va="center", fontsize=10, color=INK,
        )  # fmt: skip
        if row.bound is not None and row.baseline is not None:
            axes.plot((row.bound, row.bound), (place - 0.32, place + 0.32), color=BOUND, linewidth=2)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_xlim(lowest / 4, max(3.0, max(row.ratio for row in rows) * 2.2))
    axes.set_ylim(-0.8, len(rows) - 0.2)
    axes.set_yticks(places, [_short(f"{row.name.strip()}  ·  {row.against}") for row in rows])
    axes.xaxis.grid(True, color=GRID, linewidth=0.7)


def _latency(axes: Axes, report: Report) -> None:
    axes.set_title("Request to first word, s: each speech, and the floor", loc="left", fontsize=13, color=INK, pad=10)
    told = report.extra.get("latency")
    if not told:
        axes.text(0.5, 0.5, "not measured in this run", transform=axes.transAxes, ha="center", color=FAINT)
        return
    rng = np.random.default_rng(1)
    for place, setting in enumerate(told):
        heard = np.array(setting["heard_s"])
        axes.scatter(place + rng.uniform(-0.28, 0.28, len(heard)), heard, s=7, color=OURS, alpha=0.4, linewidths=0)
        axes.plot((place - 0.36, place + 0.36), [setting["floor_s"]] * 2, color=BOUND, linewidth=2)
    names = [
        f"{s['lead_ms'] / 1000:g} s\n{s['step_frames'] * FRAME_MS} ms\n{'known' if s['is_known'] else 'new'}"
        for s in told
    ]
    axes.set_xticks(range(len(told)), names)
    axes.set_xlabel("lead, step, and whether the words were said before", fontsize=10.5, color=FAINT)
    axes.set_ylim(0, None)
    axes.yaxis.grid(True, color=GRID, linewidth=0.7)


def _costs(axes: Axes, report: Report) -> None:
    axes.set_title("Dollars for a thousand call-minutes, by calls at once", loc="left", fontsize=13, color=INK, pad=10)
    costs = report.extra.get("costs")
    if not costs:
        axes.text(0.5, 0.5, "not counted in this run", transform=axes.transAxes, ha="center", color=FAINT)
        return
    calls = list(costs["fargate"])
    axes.plot(calls, [1000 * dollars for dollars in costs["fargate"].values()], color=THEIRS, linewidth=2, marker="o")
    ours = 1000 * costs["hour"]["a_minute"]
    axes.plot((calls[0], calls[-1]), (ours, ours), color=OURS, linewidth=2.5)
    axes.annotate("Duckline, and nothing when nobody calls", (calls[0], ours), (0, 7), textcoords="offset points",
                  color=OURS, fontsize=11)  # fmt: skip
    axes.annotate("one Fargate task and more", (calls[0], 1000 * costs["fargate"][calls[0]]), (12, -3),
                  textcoords="offset points", color=FAINT, fontsize=11)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(True, color=GRID, linewidth=0.7)


def _short(name: str, most: int = 58) -> str:
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"
