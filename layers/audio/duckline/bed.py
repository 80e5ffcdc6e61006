"""A bed: music made ready to loop beneath a call, and the playlist that lists its segments.

A bed's version names its content and never changes, so a playlist or a segment once read is good for ever.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from duckline.timeline import FRAMES_PER_SECOND


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a bed as one immutable object: `frames` × 160 bytes of µ-law under `key`."""

    key: str
    frames: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Slice:
    """Frames `first` to `first + frames` of the segment with number `segment`."""

    segment: int
    first: int
    frames: int


@dataclass(frozen=True, slots=True)
class Playlist:
    """What a bed consists of. `level_dbov` is its RMS between 300 and 3400 Hz.

    Every segment but the last has `segment_frames` frames.
    """

    version: str
    frames: int
    level_dbov: float
    segment_frames: int
    segments: tuple[Segment, ...]
    codec: str = "mulaw"
    rate_hz: int = 8000

    @property
    def seconds(self) -> float:
        return self.frames / FRAMES_PER_SECOND

    def slices(self, first: int, frames: int) -> Iterator[Slice]:
        """The pieces that make up `frames` frames from bed frame `first` on, round the loop as often as needed."""
        while frames > 0:
            position = first % self.frames
            segment, offset = divmod(position, self.segment_frames)
            length = min(frames, self.segments[segment].frames - offset)
            yield Slice(segment, offset, length)
            first += length
            frames -= length

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Playlist":
        fields = json.loads(text)
        segments = tuple(Segment(**segment) for segment in fields.pop("segments"))
        return cls(segments=segments, **fields)
