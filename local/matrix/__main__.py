"""`make matrix`: plays every behaviour against every setting and writes docs/matrix.md."""

import asyncio
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from duckline.delivery import Finding
from local.function_process import PROJECT
from local.matrix.caller import HANGS_UP_AT_S, SPEAKS_AT_S, Heard, listen
from local.matrix.rows import FIXED, Row, odd, plain
from local.matrix.service import FETCH_MS, WEBHOOK_MS, Hum, Service, Settings

TABLE = PROJECT / "docs" / "matrix.md"
AUTO = Settings("auto")
Cell = tuple[list[Heard], Finding | None]
CALLERS = 2  # the first of a deployment, and one who comes after

HEAD = f"""\
# Behaviours of Twilio × settings

Made by `make matrix`; do not edit. Nobody has shown what Twilio's `<Play>` does with a body that keeps flowing, so the
simulated Twilio (`local/twilio/`) does all that is possible, and the project's own `voice`, `render` and `stream` are
held against it, in virtual time. A webhook takes {WEBHOOK_MS} ms there and back and a fetch {FETCH_MS} ms, as from warm
functions: a join has both in it. Each call lasts {HANGS_UP_AT_S:g} s and is spoken to at {{at}} s, {Hum.seconds:g} s
each. `stream` has windows of {AUTO.window_seconds:g} s here, so that they join at all.

- *music after*: from the answer to the first sound. *silence*: the longest after that, the join of two windows.
- *speeches*: how many were heard whole; the longest that one took from its request to its first word.
- What is **bold** fails: no setting of ours mends it, or another is right.
"""


async def _calls(settings: Settings, row: Row, callers: int) -> Cell:
    async with Service(settings, row.behaviour) as service:
        heard = [await listen(service, number) for number in range(callers)]
        finding = service.findings.finding
        return heard, finding


def played(job: tuple[Settings, Row, int]) -> Cell:
    """The calls of one cell, and what was found out."""
    return asyncio.run(_calls(*job))


def _speeches(heard: Heard) -> str:
    whole = sum(speech.heard_s is not None for speech in heard.speeches)
    if not heard.every_speech:
        return f"**{whole} of {len(heard.speeches)}**"
    return f"all, {heard.slowest_s:.1f} s"


def _music(heard: Heard) -> str:
    return "**none**" if heard.music_s is None else f"{heard.music_s:.1f} s"


def _silence(heard: Heard) -> str:
    return f"{heard.longest_silence_ms / 1000:.2f} s"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [_line(titles), _line("---" for _ in titles), *map(_line, lines), ""]


def _auto_line(row: Row, heard: list[Heard], found: Finding | None) -> list[str]:
    first, later = heard
    told = [cell for one in (first, later) for cell in (_music(one), _silence(one), _speeches(one))]
    return [row.name, f"`{found.mode}`" if found else "nothing", *told]


def _evidence(found: dict[str, Cell]) -> list[str]:
    """What is kept of each finding."""
    return [f"- {name}: `{finding.mode}`, since {finding.evidence}." for name, (_, finding) in found.items() if finding]


def _fixed_cell(heard: Heard) -> str:
    return f"{_music(heard)}; {_silence(heard)}; {_speeches(heard)}"


def _missed(results: dict[str, list[Heard]]) -> list[str]:
    """The most that a first caller misses, for each kind."""
    lines = []
    for name, (first, later) in results.items():
        slowest = "not every speech" if first.slowest_s is None else f"{first.slowest_s:.1f} s"
        lines.append(
            f"- {name}: {first.silent_s:.1f} s of silence in {HANGS_UP_AT_S:g} s, and a speech that comes after "
            f"{slowest}. Every later caller: {later.silent_s:.1f} s."
        )
    return lines


def main(path: Path = TABLE) -> int:
    began = time.monotonic()
    rows = [*plain(), *odd()]
    jobs = [(AUTO, row, CALLERS) for row in rows]
    jobs += [(settings, row, 1) for row in plain() for settings in FIXED.values()]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = []
        for number, result in enumerate(pool.map(played, jobs), start=1):
            results.append(result)
            print(f"\r· {number} of {len(jobs)} cells", end="", flush=True)
    print()
    found = dict(zip((row.name for row in rows), results, strict=False))
    fixed = iter(results[len(rows) :])
    titles = ("behaviour", "found out", *(f"{who} caller: {what}" for who in ("first", "later") for what in COLUMNS))
    text = [
        HEAD.format(at=", ".join(f"{at:g}" for at in SPEAKS_AT_S)),
        "## `Delivery=auto`\n",
        *_table(titles, (_auto_line(row, *found[row.name]) for row in rows)),
        "The findings are kept with their evidence:\n",
        *_evidence({row.name: found[row.name] for row in plain()}),
        "",
        "The most that the first caller of a deployment misses:\n",
        *_missed({row.name: found[row.name][0] for row in plain()}),
        "",
        "## Set by hand\n",
        "Each cell: music after; silence; speeches.\n",
        *_table(
            ("behaviour", *FIXED), ([row.name, *(_fixed_cell(next(fixed)[0][0]) for _ in FIXED)] for row in plain())
        ),
    ]
    path.write_text("\n".join(text), encoding="utf-8")
    silent = [name for name, (heard, _) in found.items() if not heard[-1].every_speech]
    print(f"· {path.relative_to(PROJECT)}, in {time.monotonic() - began:.0f} s")
    for name in silent:
        print(f"✗ auto: {name}: not every speech is heard by a later caller", file=sys.stderr)
    return 1 if silent else 0


COLUMNS = ("music after", "silence", "speeches")

if __name__ == "__main__":
    sys.exit(main())
