"""A local stack in a process of its own, and a page of its console in headless Chromium.

`make test-browser` runs these; `make test` does not, for it needs no browser.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
OUT = PROJECT / "out"
CHROMIUM = os.environ.get("DUCKLINE_CHROMIUM", "")
collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]

STARTS_WITHIN_S = 60
CALLS = 3
# The browser draws by the processor that the stream runs on: its lead is what a stall of theirs may last.
LEAD_SECONDS = 2
SERVE = "import sys; from pathlib import Path; from local.stack import main; sys.exit(main(Path(sys.argv[1])))"


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """What stack.json says of a stack that runs, and the lines that it has printed under `log`."""
    home = tmp_path_factory.mktemp("stack")
    log = home / "log"
    path = os.pathsep.join(str(PROJECT / folder) for folder in ("layers/audio", "functions", "."))
    environment = {**os.environ, "PYTHONPATH": path, "PORT": "0", "BED": "", "DUCKLINE_LEAD_SECONDS": str(LEAD_SECONDS)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(home)], cwd=PROJECT, env=environment, stdout=out, stderr=out
        )
    try:
        told = home / "stack.json"
        give_up_at = time.monotonic() + STARTS_WITHIN_S
        while not told.exists():
            assert process.poll() is None and time.monotonic() < give_up_at, log.read_text()
            time.sleep(0.1)
        yield {**json.loads(told.read_text()), "log": log}
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root, which containers do.
        flags = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.getuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


class Console:
    """The console as a person sees it; `said` is what the browser's own console said."""

    def __init__(self, page, url):
        self.page, self.said = page, []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))
        page.goto(url)
        self.until("!document.getElementById('call').disabled")

    def of(self, expression):
        return self.page.evaluate(expression)

    def until(self, expression, within_s=30):
        """Wait until an expression holds in the page; its value."""
        give_up_at = time.monotonic() + within_s
        while not (value := self.of(expression)):
            assert time.monotonic() < give_up_at, (
                f"not within {within_s} s: {expression}\n{self.page.inner_text('body')}"
            )
            self.page.wait_for_timeout(50)
        return value

    def call(self):
        """Place a call and wait until two seconds of its stream have been heard.

        On a machine too busy to read the table in time a caller is given the plain copy of the bed instead of a stream;
        that one hangs up and calls again.
        """
        for _ in range(CALLS):
            self.page.click("#call")
            heard = "duckline.ear.levels.length > 100 && Math.min(...duckline.ear.levels.slice(-100)) > -60"
            self.until(heard)
            if self.of("duckline.phone.now?.line && !document.getElementById('twilio').innerText.includes('503')"):
                return
            self.hang_up()
        raise AssertionError(f"{CALLS} calls had no stream: {self.page.inner_text('#twilio')}")

    def hang_up(self):
        if self.of("duckline.phone.isLive"):
            self.page.click("#call")
        self.until("!duckline.phone.isLive")

    def speech(self, number=0):
        """The state of a speech, the latest first."""
        return self.of(f"document.querySelectorAll('#speeches > li')[{number}]?.dataset.state ?? null")

    def until_speech(self, state, number=0, within_s=40):
        self.until(f"document.querySelectorAll('#speeches > li')[{number}]?.dataset.state === '{state}'", within_s)


@pytest.fixture
def console(chromium, stack):
    """`with console(width, scheme) as page:` a page of the console, in a browser that knows nothing yet."""

    @contextmanager
    def opened(width=1360, scheme="light"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        page = Console(context.new_page(), stack["console_url"])
        try:
            yield page
            page.hang_up()
        finally:
            context.close()

    return opened
