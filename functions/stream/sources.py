"""Where the bytes come from: clips and bed segments out of the bucket, fetched ahead in the background.

Nothing here makes the stream wait longer than it says. Music that cannot be had in time is replaced by the bed shipped
with the function; a clip that cannot be had is left out, to be spoken again.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from duckline import shipped
from duckline.bed import Playlist
from duckline.call import BedSpan, Call, Clip, Stretch, bed_at, fade_clips, spoken_clips
from duckline.stores import NotReached, Sounds
from duckline.timeline import FRAME_BYTES

AHEAD_FRAMES = 600  # twelve seconds of bed are fetched ahead: three segments
KEPT_BYTES = 24_000_000  # of segments and clips, in an environment of 256 MB: fifty minutes of sound
AGAIN_AFTER_MS = 150  # an object that could not be fetched is asked for again


@dataclass(frozen=True, slots=True)
class Music:
    """A piece of bed; a substitute where its own could not be had."""

    sound: bytes
    is_substitute: bool = False


class Sources:
    """The sounds of one call at a time, kept from call to call while the environment lives.

    `background` runs a function and hands back a task with `done()` and `result()`; `shipped` gives frames of music
    that are always there.
    """

    def __init__(
        self, sounds: Sounds, clock: Any, background: Callable[..., Any], shipped: Callable[[int, int], bytes]
    ) -> None:
        self.sounds, self.clock, self.background, self.shipped = sounds, clock, background, shipped
        self.objects: OrderedDict[str, bytes] = OrderedDict()
        self.playlists: dict[str, Playlist] = {}
        self.fetching: dict[str, Any] = {}
        self.refused_at_ms: dict[str, float] = {}
        self.substituted_frames = 0

    def want(self, call: Call, start: int) -> None:
        """Has everything fetched that the schedule needs from frame `start` on."""
        for clip in (*spoken_clips(call), *fade_clips(call)):
            if clip.end > start:
                self._fetch(clip_key(call.call_sid, clip.clip))
        for frame in (start, start + AHEAD_FRAMES):
            for key in self._segment_keys(bed_at(call, frame), frame):
                self._fetch(key)

    def clip(self, call_sid: str, clip: Clip, start: int, end: int, until_ms: float) -> bytes | None:
        """Frames [start, end) of a clip, None if it cannot be had by `until_ms`."""
        body = self._object(clip_key(call_sid, clip.clip), until_ms)
        if body is None or len(body) < clip.frames * FRAME_BYTES:
            return None
        return body[(start - clip.start) * FRAME_BYTES : (end - clip.start) * FRAME_BYTES]

    def bed(self, stretch: Stretch, until_ms: float) -> bytes:
        """Music for the frames of `stretch`, whatever it takes."""
        return b"".join(piece.sound for piece in self.pieces(stretch, until_ms))

    def pieces(self, stretch: Stretch, until_ms: float) -> list[Music]:
        """Music for the frames of `stretch`, whatever it takes: in pieces, where one bed stands in for another."""
        span, frames = stretch.bed, stretch.end - stretch.start
        if span.version == shipped.VERSION:
            return [Music(self.shipped(stretch.start - span.origin, frames))]
        playlist = self._playlist(span.version, until_ms)
        if playlist is None:
            return [self._substitute(stretch.start - span.origin, frames)]
        pieces = []
        position = (stretch.start - span.origin) % playlist.frames
        for piece in playlist.slices(position, frames):
            body = self._object(playlist.segments[piece.segment].key, until_ms)
            if body is None:
                pieces.append(self._substitute(position, piece.frames))
            else:
                pieces.append(Music(body[piece.first * FRAME_BYTES : (piece.first + piece.frames) * FRAME_BYTES]))
            position += piece.frames
        return pieces

    def _substitute(self, position: int, frames: int) -> Music:
        self.substituted_frames += frames
        return Music(self.shipped(position, frames), is_substitute=True)

    def _segment_keys(self, span: BedSpan, frame: int) -> Iterable[str]:
        playlist = None if span.version == shipped.VERSION else self._playlist(span.version, until_ms=0)
        if playlist is None:
            return ()
        first = (frame - span.origin) % playlist.frames
        return [playlist.segments[piece.segment].key for piece in playlist.slices(first, AHEAD_FRAMES)]

    def _playlist(self, version: str, until_ms: float) -> Playlist | None:
        if version not in self.playlists:
            body = self._object(f"beds/{version}/playlist.json", until_ms)
            if body is None:
                return None
            self.playlists[version] = Playlist.from_json(body)
        return self.playlists[version]

    def _object(self, key: str, until_ms: float) -> bytes | None:
        self._collect(key)
        if key not in self.objects:
            self._fetch(key)
            task = self.fetching.get(key)
            if task is not None and self.clock.monotonic_ms() < until_ms:
                self.clock.wait(task, until_ms)
            self._collect(key)
        if key in self.objects:
            self.objects.move_to_end(key)
        return self.objects.get(key)

    def _fetch(self, key: str) -> None:
        self._collect(key)
        refused_at_ms = self.refused_at_ms.get(key)
        if refused_at_ms is not None and self.clock.monotonic_ms() < refused_at_ms + AGAIN_AFTER_MS:
            return
        if key not in self.objects and key not in self.fetching:
            self.fetching[key] = self.background(self.sounds.get, key)

    def _collect(self, key: str) -> None:
        task = self.fetching.get(key)
        if task is None or not task.done():
            return
        del self.fetching[key]
        try:
            body = task.result()
        except NotReached:
            body = None
        if body is None:
            self.refused_at_ms[key] = self.clock.monotonic_ms()
            return
        self.refused_at_ms.pop(key, None)
        self.objects[key] = body
        while sum(map(len, self.objects.values())) > KEPT_BYTES:
            self.objects.popitem(last=False)


def clip_key(call_sid: str, clip: str) -> str:
    return f"clips/{call_sid}/{clip}.ulaw"
