"""`make bench`: every benchmark, or those that are named; a table, out/bench.png and out/bench.json."""

import argparse
import importlib
import json
import platform
import sys
import time
from pathlib import Path

from benchmarks.report import Report, number, table

OUT = Path(__file__).resolve().parent.parent / "out"
BENCHMARKS = ("mixing", "beds", "latency", "coldstarts", "streaming", "crowd", "costs")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "only", nargs="*", metavar="NAME", help=f"some of {', '.join(BENCHMARKS)}; all if none is named"
    )
    chosen = parser.parse_args().only or list(BENCHMARKS)
    if unknown := set(chosen) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    report, began = Report(), time.monotonic()
    for name in chosen:
        module = importlib.import_module(f"benchmarks.{name}")
        section = report.begin(module.TITLE)
        since = time.monotonic()
        print(f"· {name} …", end="", flush=True)
        module.run(report)
        section.seconds = time.monotonic() - since
        print(f" {section.seconds:.0f} s\n\n{table(section)}\n", flush=True)
    _keep(report, time.monotonic() - began)
    for row in report.broken:
        judged = f"{row.ratio:.3g} times {row.against}" if row.baseline is not None else number(row.ours, row.unit)
        print(f"✗ {row.name.strip()}: {judged}; at most {row.bound:g} is right")
    print(f"· out/bench.json, out/bench.png, after {time.monotonic() - began:.0f} s")
    return 1 if report.broken else 0


def _keep(report: Report, seconds: float) -> None:
    from benchmarks.picture import draw

    OUT.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "seconds": round(seconds, 1)}
    (OUT / "bench.json").write_text(json.dumps({"machine": machine, **report.to_json()}, indent=2) + "\n")
    draw(OUT / "bench.png", report)


if __name__ == "__main__":
    sys.exit(main())
