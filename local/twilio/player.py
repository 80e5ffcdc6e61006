"""Lets the caller hear what verbs ask for: `<Play>`, `<Say>` and `<Pause>`, one after the other on the line."""

import asyncio
from collections.abc import Callable, Iterable
from urllib.parse import urljoin

from duckline.timeline import FRAME_BYTES, SAMPLE_RATE_HZ
from local.twilio import g711
from local.twilio.behaviours import Behaviour
from local.twilio.clock import Clock, abandon
from local.twilio.line import Line
from local.twilio.log import CallError, CallFault, Request
from local.twilio.media import Fetch
from local.twilio.playback import PlayOut
from local.twilio.twiml import Pause, Play, Say
from local.twilio.window import Window

Synthesise = Callable[[str], bytes]
"Words to 8 kHz µ-law."

LETTERS_PER_S = 15  # of speech that is only marked, not heard: about 150 words a minute
KEY_S = 0.2  # a DTMF tone and the pause after it
Fetching = tuple[Window, "asyncio.Future[None]"]


class Player:
    """The sound of one answered call.

    Every method returns at the tick at which its sound has been heard. Cancelled, it takes back what would have been
    heard from then on, or from `hung_up_at` on once that is set.
    """

    def __init__(
        self,
        line: Line,
        behaviour: Behaviour,
        clock: Clock,
        synthesise: Synthesise | None,
        log: list[Request],
        errors: list[CallError],
    ) -> None:
        self.line = line
        self.windows: list[Window] = []
        self.hung_up_at: float | None = None
        self.fetches_left: set[asyncio.Future[None]] = set()
        "Media requests that go on though nothing of them is heard any more."
        self._behaviour = behaviour
        self._clock = clock
        self._synthesise = synthesise
        self._log = log
        self._errors = errors

    async def prompts(self, verbs: Iterable[Play | Say | Pause], base_url: str) -> None:
        """The prompts of a `<Gather>`. With several `<Play>`s all are fetched before the first is heard (FACTS)."""
        verbs = list(verbs)
        plays = [verb for verb in verbs if isinstance(verb, Play) and verb.url]
        fetched: dict[int, Fetching] = {}
        try:
            if len(plays) > 1:
                fetched = {id(play): self._fetch(play, base_url, held=True) for play in plays}
                await asyncio.gather(*(window.all_there.wait() for window, _ in fetched.values()))
            for verb in verbs:
                await self.sound(verb, base_url, fetched.pop(id(verb), None))
        finally:
            for fetching in fetched.values():
                await self._leave(*fetching)

    async def sound(self, verb: Play | Say | Pause, base_url: str, fetching: Fetching | None = None) -> None:
        match verb:
            case Play(url=""):
                await self._let_hear("play.digits", verb.digits, _silence(KEY_S * len(verb.digits)))
            case Play():
                await self._play(verb, *(fetching or self._fetch(verb, base_url)))
            case Say():
                for _ in range(verb.loop):
                    await self.speak(verb.text)
            case Pause():
                await self._let_hear("pause", f"{verb.length_s} s", _silence(verb.length_s))

    async def speak(self, words: str) -> None:
        """Words by the synthesiser, or without one as much silence as they would take."""
        if self._synthesise is None:
            mulaw = _silence(len(words) / LETTERS_PER_S)
        else:
            mulaw = await asyncio.to_thread(self._synthesise, words)
        await self._let_hear("say", words, mulaw)

    def _now(self) -> float:
        return self._clock.time() if self.hung_up_at is None else self.hung_up_at

    def _fetch(self, play: Play, base_url: str, *, held: bool = False) -> Fetching:
        now = self._clock.time()
        play_out = PlayOut(
            self.line,
            start_bytes=None if self._behaviour.downloads_first else self._behaviour.start_buffer_bytes,
            first_tick=self.line.next_free_tick(now),
            held=held,
            keep=play.loop > 1,
        )
        window = Window(urljoin(base_url, play.url), self.line, play_out, now)
        self.windows.append(window)
        fetch = Fetch(window, self._behaviour, self._clock, self._log)
        return window, asyncio.ensure_future(fetch.run())

    async def _play(self, play: Play, window: Window, fetch: "asyncio.Future[None]") -> None:
        """A window to its end. CallFault if it fails and a failed play drops the call."""
        try:
            await window.all_there.wait()
            if window.play_out.held:
                now = self._clock.time()
                window.play_out.release(now, self.line.next_free_tick(now))
            if window.ended_at is not None:
                await self._clock.sleep_until(window.ended_at)
                window.play_out.play_to(window.ended_at)
            if fetch.done():
                await fetch  # for what it failed of
        except CallFault as fault:
            if self._behaviour.failed_play_ends_call:
                raise
            self._errors.append(fault.entry(self._clock.time()))
        finally:
            await self._leave(window, fetch)
        if window.play_out.body:
            for _ in range(play.loop - 1):
                await self._let_hear("play.again", window.url, bytes(window.play_out.body))

    async def _leave(self, window: Window, fetch: "asyncio.Future[None]") -> None:
        """Have done with a window, wherever it is."""
        window.play_out.stop(self._now())
        if self.hung_up_at is not None and self._behaviour.fetch_goes_on_after_hangup and not fetch.done():
            self.fetches_left.add(fetch)
            return
        if not window.closed_by:
            window.closed_by = "player" if self.hung_up_at is None else "caller"
        await abandon(fetch)

    async def _let_hear(self, kind: str, detail: str, mulaw: bytes) -> None:
        """Sound that is all there."""
        mulaw += g711.SILENCE * (-len(mulaw) % FRAME_BYTES)
        start = self.line.next_free_tick(self._clock.time())
        self.line.write(start, mulaw)
        self.line.mark(self.line.time_of(start), kind, detail)
        try:
            await self._clock.sleep_until(self.line.time_of(start + len(mulaw) // FRAME_BYTES))
        except asyncio.CancelledError:
            self.line.cut(max(start, self.line.tick_at(self._now())))
            raise


def _silence(seconds: float) -> bytes:
    return g711.SILENCE * round(seconds * SAMPLE_RATE_HZ)
