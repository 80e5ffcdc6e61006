"""One simulated call: what its caller can do, and what there is to know about it."""

import asyncio
import math
from email.utils import formatdate

from local.twilio.behaviours import Behaviour
from local.twilio.clock import Clock, abandon
from local.twilio.gather import Input
from local.twilio.interpreter import Interpreter
from local.twilio.line import Line, Recording
from local.twilio.log import CallError, Request
from local.twilio.loopback import require_loopback
from local.twilio.playback import LateChunk
from local.twilio.player import Player, Synthesise
from local.twilio.twiml import KEYS
from local.twilio.webhooks import Identity, Webhooks
from local.twilio.window import Arrival, Join, Window, joins

_DRAINING_TURNS = 2  # of the event loop: one polls the sockets, the next hands on what they had


class Call:
    """A call that runs by itself from `place_call()` until its TwiML ends or the caller hangs up.

    Attributes:
        identity: its sids and numbers.
        log: every request, as Twilio would make it, with what came back.
        errors: what Twilio's debugger would show.
        hung_up_at: when the caller, or the TwiML's end, ended the call; None while it lives.
        ended_by: `caller`, `twiml`, `rejected` or `error`; `` while it lives.

    Times are by the simulator's clock.
    """

    def __init__(
        self, identity: Identity, webhooks: Webhooks, behaviour: Behaviour, clock: Clock, synthesise: Synthesise | None
    ) -> None:
        self.identity = identity
        self.log: list[Request] = []
        self.errors: list[CallError] = []
        self.hung_up_at: float | None = None
        self.ended_by = ""
        self._behaviour = behaviour
        self._clock = clock
        self._synthesise = synthesise
        self._player: Player | None = None
        self._picked_up = asyncio.Event()
        self._interpreter = Interpreter(identity, webhooks, clock, self._pick_up, self.log, self.errors)
        self._redirects: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()
        self._life: asyncio.Task[None] | None = None
        self._errands: list[asyncio.Future[None]] = []

    def start(self, voice_url: str, method: str, status_url: str | None) -> None:
        self._life = asyncio.create_task(self._live(voice_url, method, status_url), name=f"call {self.call_sid}")

    # -- what the caller, and Twilio's REST API, can do -------------------------------------------------------------

    async def hang_up(self) -> None:
        """The caller hangs up. Returns when Twilio has told the status URL, or at once if the call is over."""
        if self.hung_up_at is None:
            self._hang_up()
            self._redirects.put_nowait(None)
        await self.over()

    def press(self, keys: str) -> None:
        """The caller presses keys. Where no `<Gather>` listens they are lost, as they are with Twilio."""
        if not keys or not set(keys) <= set(KEYS):
            raise ValueError(f"keys are {keys!r}; some of {KEYS} are right")
        for key in keys:
            self._hear("dtmf", key)

    def say(self, words: str) -> None:
        """The caller speaks; a `<Gather>` that takes speech understands every word."""
        self._hear("speech", words)

    def redirect(self, url: str, method: str = "POST") -> None:
        """Stop what plays and obey the TwiML at `url`, as after an update of the call by REST."""
        self._redirects.put_nowait((require_loopback(url), method))

    def detect_machine(self, url: str, answered_by: str, *, after_s: float) -> None:
        """Tell `url` who answered, `after_s` after the answer: what `AsyncAmd` asks of Twilio."""
        require_loopback(url)
        told = {"AnsweredBy": answered_by, "MachineDetectionDuration": str(round(after_s * 1000))}
        self._errands.append(asyncio.ensure_future(self._tell_of_machine(url, told, after_s)))

    async def answered(self) -> None:
        """Return once the call is answered."""
        await self._picked_up.wait()

    async def over(self) -> None:
        """Return once the call has ended and its status callback is done."""
        if self._life is not None:
            await asyncio.shield(self._life)

    async def media_closed(self) -> None:
        """Return once no media request is open. After a hang-up that matters if the fetch goes on."""
        if self._player is not None:
            await asyncio.gather(*self._player.fetches_left, return_exceptions=True)

    async def abandon(self) -> None:
        """Drop the call where it is: no callback, no request left open."""
        if self._life is not None:
            await abandon(self._life)
        await abandon(*self._errands)
        if self._player is not None:
            await abandon(*self._player.fetches_left)

    # -- what there is to know ------------------------------------------------------------------------------------

    @property
    def call_sid(self) -> str:
        return self.identity.call_sid

    @property
    def status(self) -> str:
        return self._interpreter.status

    @property
    def answered_at(self) -> float | None:
        return None if self._player is None else self._player.line.answered_at

    @property
    def windows(self) -> list[Window]:
        """Every `<Play>` so far, in the order of asking."""
        return [] if self._player is None else self._player.windows

    @property
    def arrivals(self) -> list[list[Arrival]]:
        """What came when, for each window."""
        return [window.arrivals for window in self.windows]

    @property
    def underruns(self) -> list[float]:
        """The times of all ticks at which the player wanted a frame and had none."""
        return [time for window in self.windows for time in window.underruns]

    @property
    def late_chunks(self) -> list[LateChunk]:
        return [chunk for window in self.windows for chunk in window.late_chunks]

    @property
    def joins(self) -> list[Join]:
        """The silences between a window and the next."""
        return [] if self._player is None else joins(self.windows, self._player.line)

    @property
    def stream_ended_at(self) -> float | None:
        """When the server ended the latest window's body, or dropped its connection; None if it has not, or we did."""
        return self.windows[-1].stream_ended_at if self.windows else None

    def recording(self) -> Recording:
        """What the caller has heard so far."""
        now = self._clock.time() if self.hung_up_at is None else self.hung_up_at
        if self._player is None:
            return Recording(b"", (), now)
        for window in self.windows:
            window.play_out.play_to(now)
        marks = [mark for window in self.windows for mark in window.marks()]
        return self._player.line.recording(now, marks)

    # -- its life -------------------------------------------------------------------------------------------------

    async def _live(self, voice_url: str, method: str, status_url: str | None) -> None:
        conducting = asyncio.ensure_future(self._interpreter.conduct("voice", method, voice_url))
        try:
            while not self.ended_by:
                redirected = asyncio.ensure_future(self._redirects.get())
                try:
                    await asyncio.wait({conducting, redirected}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    redirected.cancel()
                if conducting.done():
                    self.ended_by = conducting.result()
                    self._hang_up()
                    break
                # Bytes that came before the caller went may still wait to be read; they were in time.
                for _ in range(_DRAINING_TURNS):
                    await asyncio.sleep(0)
                await abandon(conducting)
                order = redirected.result()
                if order is None:
                    self.ended_by = "caller"
                else:
                    url, order_method = order
                    conducting = asyncio.ensure_future(self._interpreter.conduct("redirect", order_method, url))
        finally:
            await abandon(conducting)
        await self._report(status_url)

    async def _tell_of_machine(self, url: str, told: dict[str, str], after_s: float) -> None:
        await self.answered()
        await self._clock.sleep_until(self._clock.time() + after_s)
        if self.hung_up_at is None:
            await self._interpreter.tell("amd", url, told)

    def _pick_up(self) -> Player:
        line = Line(self._clock.time())
        line.mark(line.answered_at, "answered")
        self._player = Player(line, self._behaviour, self._clock, self._synthesise, self.log, self.errors)
        self._picked_up.set()
        return self._player

    def _hang_up(self) -> None:
        if self.hung_up_at is None:
            self.hung_up_at = self._clock.time()
            if self._player is not None:
                self._player.hung_up_at = self.hung_up_at
                self._player.line.mark(self.hung_up_at, "hung_up", self.ended_by or "caller")

    def _hear(self, kind: str, content: str) -> None:
        heard = self._interpreter.hear(Input(kind, content, self._clock.time()))
        if self._player is not None:
            self._player.line.mark(self._clock.time(), kind if heard else f"{kind}.unheard", content)

    async def _report(self, status_url: str | None) -> None:
        talked_s = 0.0
        if self.answered_at is not None and self.hung_up_at is not None:
            talked_s = self.hung_up_at - self.answered_at
            self._interpreter.status = "completed"
        elif self._interpreter.status == "ringing":
            self._interpreter.status = "canceled"
        if status_url is None:
            return
        more = {
            "CallDuration": str(math.ceil(talked_s)),
            "Duration": str(math.ceil(talked_s / 60)),
            "Timestamp": formatdate(usegmt=True),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": "0",
        }
        await self._interpreter.report(status_url, more)
