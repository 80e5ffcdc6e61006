"""Beds: uploads that become them, what is known of them, and a call's change from one to another."""

import re
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from duckline import schedule, shipped
from duckline.bed import Playlist
from duckline.berth import bed_change_at
from duckline.call import BedSpan, Call
from duckline.errors import Conflict, DucklineError, Malformed, NotFound, Unavailable
from duckline.records import BedRecord
from duckline.stores import Beds, Calls, Lost, NotReached, Sounds
from duckline.timeline import FRAME_BYTES, FRAMES_PER_SECOND
from duckline.wav import mulaw_header
from render.speaking import GUARD_FRAMES, GUARD_MOST_FRAMES, WRITE_TRIES

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
UPLOAD_MOST_BYTES = 250_000_000  # an hour of stereo MP3 at 320 kbit/s is 144 MB; Lambda's /tmp holds 512
UPLOAD_GOOD_FOR_S = 900
STORED_AT_ONCE = 8  # objects of a bed: an hour of music has 900, each some 40 ms away
FADE_FRAMES = 2 * FRAMES_PER_SECOND  # from bed to bed


class Uploads(Protocol):
    """Where music comes in."""

    def form(self, key: str, most_bytes: int, good_for_s: int) -> dict[str, Any]:
        """A presigned POST: `url` and `fields`."""

    def fetch(self, key: str, to: Path) -> None:
        """Raises NotReached."""


class BedRoom:
    """The use cases around beds."""

    def __init__(
        self, beds: Beds, sounds: Sounds, uploads: Uploads, make_bed: Callable[..., Playlist], events: Any, clock: Any
    ) -> None:
        self.beds, self.sounds, self.uploads = beds, sounds, uploads
        self.make_bed, self.events, self.clock = make_bed, events, clock

    def records(self) -> list[BedRecord]:
        """All beds by name, with the one that comes with the code."""
        kept = {record.name: record for record in self.beds.all()}
        kept.setdefault(shipped.VERSION, self._shipped())
        return [kept[name] for name in sorted(kept)]

    def record(self, name: str) -> BedRecord:
        """Raises NotFound, Malformed."""
        record = self.beds.get(_checked(name))
        if record is None and name == shipped.VERSION:
            record = self._shipped()
        if record is None:
            raise NotFound(f"there is no bed {name}; POST /beds/{name} tells where to upload one")
        return record

    def _shipped(self) -> BedRecord:
        playlist = shipped.playlist()
        return BedRecord(
            shipped.VERSION, "ready", shipped.VERSION, seconds=playlist.seconds, level_dbov=playlist.level_dbov
        )

    def upload(self, name: str, upload_id: str) -> dict[str, Any]:
        """A presigned POST whose file becomes the bed `name`. What was there stays in use until then."""
        if self.beds.get(_checked(name)) is None:
            self.beds.keep(BedRecord(name, "rendering", reason="waiting for the upload", updated_at_ms=self._now_ms()))
        return self.uploads.form(f"uploads/{name}/{upload_id}", UPLOAD_MOST_BYTES, UPLOAD_GOOD_FOR_S)

    def render(self, key: str) -> None:
        """Makes a bed of the upload `key`; if it cannot become one, says why and leaves the bed that was there."""
        name = _checked(key.split("/")[1])
        known = self.beds.get(name) or BedRecord(name, "rendering")
        self.beds.keep(replace(known, state="rendering", reason="", updated_at_ms=self._now_ms()))
        try:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "upload"
                self.uploads.fetch(key, file)
                playlist = self._made(file)
        except DucklineError as error:
            self.beds.keep(replace(known, state="failed", reason=str(error), updated_at_ms=self._now_ms()))
            self._tell({"type": "bed.failed", "bed": name, "reason": str(error)})
            return
        ready = BedRecord(
            name,
            "ready",
            version=playlist.version,
            seconds=playlist.seconds,
            level_dbov=playlist.level_dbov,
            updated_at_ms=self._now_ms(),
        )
        self.beds.keep(ready)
        self._tell({"type": "bed.ready", "bed": name, "version": playlist.version, "seconds": playlist.seconds})

    def _made(self, file: Path) -> Playlist:
        whole = bytearray()
        storing: list[Future[None]] = []

        with ThreadPoolExecutor(STORED_AT_ONCE) as pool:

            def write(key: str, body: bytes) -> None:
                if key.endswith(".ulaw"):
                    whole.extend(body)
                    storing.append(pool.submit(self.sounds.put, key, body))
                else:  # the playlist, which is written last: whoever reads it finds all that it lists
                    _stored(storing)
                    self.sounds.put(key, body)

            playlist = self.make_bed([file], write)
        # One pass of the bed as a file: what a caller hears when no stream can be had.
        plain = mulaw_header(playlist.frames * FRAME_BYTES) + bytes(whole)
        self.sounds.put(f"beds/{playlist.version}/plain.wav", plain, content_type="audio/wav")
        return playlist

    def _tell(self, event: dict[str, Any]) -> None:
        self.events.publish([{**event, "at_ms": self._now_ms()}])

    def _now_ms(self) -> int:
        return self.clock.now_ms()


class BedChange:
    """A call's change to another bed: a fade that is mixed, stored and published like a speech."""

    def __init__(self, calls: Calls, beds: Beds, fade: Callable[[Call, BedSpan], str]) -> None:
        self.calls, self.beds, self.fade = calls, beds, fade

    def change(self, call_sid: str, name: str) -> tuple[Call, BedSpan]:
        """Raises NotFound, Conflict, Unavailable. The bed that plays already stays, and that is a success."""
        version = self._version(name)
        call = self._known(self.calls.get(call_sid), call_sid)
        guard_frames = GUARD_FRAMES
        for _ in range(WRITE_TRIES):
            if call.ended:
                raise Conflict(f"call {call_sid} is over: {call.end_reason}")
            if call.beds[-1].version == version:
                return call, call.beds[-1]
            at = bed_change_at(call, guard_frames=guard_frames)
            span = BedSpan(at, version, name, origin=at, fade_frames=FADE_FRAMES)
            span = replace(span, fade=self.fade(schedule.change_bed(call, span), span))
            try:
                return self.calls.write(call, schedule.change_bed(call, span)), span
            except Lost as lost:
                call = self._known(lost.current, call_sid)
                guard_frames = min(guard_frames + 3, GUARD_MOST_FRAMES)
            except NotReached:
                call = self._known(self.calls.get(call_sid), call_sid)
        raise Unavailable(f"the schedule of call {call_sid} changes too fast; try again")

    def _version(self, name: str) -> str:
        record = self.beds.get(_checked(name))
        if record is not None and record.version:
            return record.version
        if name == shipped.VERSION:
            return shipped.VERSION
        state = "is not ready" if record is not None else "does not exist"
        raise NotFound(f"the bed {name!r} {state}; GET /beds lists those there are")

    def _known(self, call: Call | None, call_sid: str) -> Call:
        if call is None:
            raise NotFound(f"there is no call {call_sid}")
        return call


def _stored(storing: list[Future[None]]) -> None:
    """All of it is stored. Raises what went wrong with one, and then spares those that have not begun."""
    try:
        for task in as_completed(storing):
            task.result()
    except BaseException:
        for task in storing:
            task.cancel()
        raise


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise Malformed(f"{name[:80]!r} is no bed's name; up to 63 of a-z, 0-9 and - would be right")
    return name
