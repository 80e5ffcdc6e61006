"""What a benchmark hands in, a row for each comparison, and how it is told: as a table and as JSON.

A benchmark is a module of this package with a `TITLE` and a `run(report)`, which adds its rows:

    def run(report: Report) -> None:
        ms = side_by_side({"duckline": ours, "pydub overlay": theirs})
        report.add(Row("ten seconds of speech", ms["duckline"], ms["pydub overlay"], "ms", against="pydub overlay"))
"""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: `ours` beside `baseline`, both in `unit`, measured in the same run.

    `ratio` is ours ÷ baseline unless it is given. Where it has a `bound` it must not be above it; a row with a bound
    and no baseline holds `ours` itself to the bound, in `unit`. A peer that is not installed has no baseline, and
    `note` says so.
    """

    name: str
    ours: float | None
    baseline: float | None = None
    unit: str = ""
    ratio: float | None = None
    bound: float | None = None
    note: str = ""
    against: str = ""

    def __post_init__(self) -> None:
        if self.ratio is None and self.ours is not None and self.baseline:
            object.__setattr__(self, "ratio", self.ours / self.baseline)

    @property
    def is_within(self) -> bool | None:
        """Whether the bound is kept; None if there is none."""
        judged = self.ours if self.baseline is None else self.ratio
        return None if self.bound is None or judged is None else judged <= self.bound


@dataclass
class Section:
    title: str
    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Report:
    """All sections so far; `extra` keeps curves and lists that a picture is drawn from, by name."""

    sections: list[Section] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def begin(self, title: str) -> Section:
        self.sections.append(Section(title))
        return self.sections[-1]

    def add(self, row: Row) -> None:
        self.sections[-1].rows.append(row)

    def remark(self, text: str) -> None:
        """A sentence beneath the section's table: a peer that is missing, what was left out and why."""
        self.sections[-1].remarks.append(text)

    @property
    def broken(self) -> list[Row]:
        """The rows whose bound is not kept."""
        return [row for section in self.sections for row in section.rows if row.is_within is False]

    def to_json(self) -> dict[str, Any]:
        sections = [
            {
                "title": section.title,
                "seconds": round(section.seconds, 1),
                "rows": [asdict(row) | {"within": row.is_within} for row in section.rows],
                "remarks": section.remarks,
            }
            for section in self.sections
        ]
        return {"sections": sections, **self.extra}


def table(section: Section) -> str:
    """A section as lines of text."""
    cells = [("", "Duckline", "", "beside", "ratio", "bound")]
    for row in section.rows:
        held_ratio = row.baseline is not None or row.ratio is not None
        cells.append(
            (
                row.name,
                number(row.ours, row.unit),
                "" if row.baseline is None else number(row.baseline, row.unit),
                row.against,
                f"{row.ratio:.3g}×" if row.ratio is not None else "",
                "" if row.bound is None else f"{_mark(row)} ≤ {row.bound:g}{'×' if held_ratio else ' ' + row.unit}",
            )
        )
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    right = (1, 2, 4)
    lines = [section.title, "─" * len(section.title)]
    for line, row in zip(cells, [None, *section.rows], strict=True):
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
        if row is not None and row.note:
            lines.append(f"    {row.note}")
    return "\n".join([*lines, *(f"  · {remark}" for remark in section.remarks)])


def number(value: float | None, unit: str) -> str:
    """A figure with three digits that mean something."""
    if value is None:
        return "–"
    digits = f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"
    return f"{digits} {unit}".strip()


def _mark(row: Row) -> str:
    return {True: "✓", False: "✗", None: "?"}[row.is_within]
