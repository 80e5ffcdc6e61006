"""One page that listens to one call: what the caller hears as it is heard, and what there is to see of the call.

Sound goes out as binary messages of µ-law, whole frames, one after the other; all else as JSON with a `kind`.
The sound is taken from the simulated caller's end of the line, so a page hears every gap that a caller would hear.
"""

import asyncio
import time
from dataclasses import asdict
from typing import Any

from aiohttp import ClientConnectionResetError, web

from duckline.call import Call
from duckline.stores import Calls, NotReached
from duckline.timeline import FRAME_BYTES, FRAMES_PER_SECOND
from local.console import scene, twilio_log
from local.twilio import Call as TwilioCall

SOUND_EVERY_S = 0.1
SEEN_EVERY_S = 0.25  # as often as a call is sealed


class Listening:
    """Sends `socket` all about `call` until either is over. `calls` is where the schedule is read."""

    def __init__(self, socket: web.WebSocketResponse, call: TwilioCall, calls: Calls) -> None:
        self._socket, self._call, self._calls = socket, call, calls
        self._gain: list[tuple[int, float]] | None = None
        self._told: dict[int, dict[str, Any]] = {}
        self._errors_told = 0

    async def run(self) -> None:
        """Until the call is over and all of it is told, or the page has gone."""
        telling = [asyncio.ensure_future(work) for work in (self._tell_sound(), self._tell_scene())]
        gone = asyncio.ensure_future(self._gone())
        try:
            told = asyncio.gather(*telling)
            await asyncio.wait({told, gone}, return_when=asyncio.FIRST_COMPLETED)
            if told.done():
                told.result()
                await self._tell_over()
        except ClientConnectionResetError:
            return
        finally:
            for task in (*telling, gone):
                task.cancel()
            await asyncio.gather(*telling, gone, return_exceptions=True)

    async def _gone(self) -> None:
        """The page has nothing to say; reading is how its going away is noticed."""
        async for _ in self._socket:
            pass

    async def _tell_sound(self) -> None:
        call = self._call
        sent_bytes = len(call.recording().mulaw)
        await self._tell("sound", from_tick=sent_bytes // FRAME_BYTES)
        while True:
            is_over = call.hung_up_at is not None
            heard = memoryview(call.recording().mulaw)
            if len(heard) > sent_bytes:
                await self._socket.send_bytes(heard[sent_bytes:])
                sent_bytes = len(heard)
            if is_over:
                return
            await asyncio.sleep(SOUND_EVERY_S)

    async def _tell_scene(self) -> None:
        call = self._call
        while True:
            is_over = call.hung_up_at is not None
            await self._tell_log()
            await self._tell_schedule()
            if is_over:
                await call.over()  # the status callback is part of the log
                await self._tell_log()
                return
            await asyncio.sleep(SEEN_EVERY_S)

    async def _tell_schedule(self) -> None:
        call = self._call
        try:
            item = await asyncio.to_thread(self._calls.get, call.call_sid)
        except NotReached as reason:
            await self._tell("trouble", detail=f"the call's item cannot be read: {reason}")
            return
        if item is None:  # its webhook has not come yet
            return
        gain = scene.gain_points(item)
        if gain != self._gain:
            self._gain = gain
            await self._tell("gain", points=gain)
        await self._tell("now", **self._now(item))

    def _now(self, item: Call) -> dict[str, Any]:
        call = self._call
        line = scene.line_of(call.windows[-1], item.window_from) if item.holder and call.windows else None
        now_tick = 0.0 if call.answered_at is None else (time.monotonic() - call.answered_at) * FRAMES_PER_SECOND
        return {
            **scene.schedule(item, time.time() * 1000),
            "tick": round(now_tick, 2),
            "line": line and {**asdict(line), "lead_ms": round(line.lead_ms(now_tick))},
            "late_chunks": len(call.late_chunks),
            "underruns": len(call.underruns),
        }

    async def _tell_log(self) -> None:
        """What has been asked, and what was answered, since the last time."""
        call = self._call
        if not call.log:
            return
        began_at = call.log[0].asked_at
        for number, request in enumerate(call.log):
            entry = twilio_log.entry(number, request, began_at)
            if self._told.get(number) != entry:
                self._told[number] = entry
                await self._tell("twilio", entry=entry)
        for fault in call.errors[self._errors_told :]:
            self._errors_told += 1
            await self._tell("error", error=twilio_log.error(fault, began_at))

    async def _tell_over(self) -> None:
        call = self._call
        talked_s = 0.0 if call.answered_at is None else call.hung_up_at - call.answered_at
        await self._tell("over", ended_by=call.ended_by, seconds=round(talked_s, 1))

    async def _tell(self, kind: str, **content: Any) -> None:
        await self._socket.send_json({"kind": kind, **content})
