"""What `sam build` made, looked into and started. `make test-built` builds it and names it in DUCKLINE_BUILT.

Without that there is nothing to be tested, and nothing here is collected.
"""

import os
from pathlib import Path

BUILT = os.environ.get("DUCKLINE_BUILT", "")
collect_ignore_glob = [] if BUILT else ["*"]


def pytest_terminal_summary(terminalreporter):
    """The unzipped sizes, as the test of their bounds measures them."""
    if not BUILT:
        return
    terminalreporter.section("unzipped sizes")
    for kind in ("build", "here"):
        for artifact in sorted(path for path in Path(BUILT, kind).iterdir() if path.is_dir()):
            size_mb = sum(file.stat().st_size for file in artifact.rglob("*") if file.is_file()) / 1e6
            terminalreporter.write_line(f"{kind}/{artifact.name:<16} {size_mb:7.1f} MB")
