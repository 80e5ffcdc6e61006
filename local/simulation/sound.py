"""Sound that can be read: every frame says which music it holds, under what gain, and which word of which speech.

A frame is 160 bytes as everywhere, so the code under test slices and joins it as it does the real thing.
"""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from duckline.bed import Playlist, Segment
from duckline.berth import Berth
from duckline.call import BedSpan, Call, bed_at, heard_before
from duckline.envelope import gain_at
from duckline.records import SpeechRecord
from duckline.stores import Sounds
from duckline.timeline import FRAME_BYTES, SEGMENT_FRAMES
from render.speaking import Voice

_FRAME = struct.Struct(">HIffHIB")
DEPTH = 0.2
BEDS = ("calm", "warm", "bright")


class Frame(NamedTuple):
    """What 20 ms of the call consist of. `voice` 0 is nobody; `faded` marks a voice on its way out, or a splice."""

    bed: int
    bed_frame: int
    gain_first: float
    gain_last: float
    voice: int = 0
    word: int = 0
    faded: int = 0

    def to_bytes(self) -> bytes:
        return _FRAME.pack(*self).ljust(FRAME_BYTES, b"\0")


def frames_in(sound: bytes) -> list[Frame]:
    return [Frame(*_FRAME.unpack_from(sound, at)) for at in range(0, len(sound), FRAME_BYTES)]


def bed_frames(version: str) -> int:
    return 600 + 50 * BEDS.index(version)


def bed_sound(version: str, first: int, count: int) -> list[Frame]:
    length, number = bed_frames(version), BEDS.index(version) + 1
    return [Frame(number, (first + at) % length, 1.0, 1.0) for at in range(count)]


def shipped(first: int, count: int) -> bytes:
    """The bed that is always there, in the simulation: number 9."""
    return b"".join(Frame(9, (first + at) % 500, 1.0, 1.0).to_bytes() for at in range(count))


def keep_beds(sounds: Sounds) -> None:
    for version in BEDS:
        segments = []
        for number, first in enumerate(range(0, bed_frames(version), SEGMENT_FRAMES)):
            count = min(SEGMENT_FRAMES, bed_frames(version) - first)
            key = f"beds/{version}/{number:05d}.ulaw"
            sounds.put(key, b"".join(frame.to_bytes() for frame in bed_sound(version, first, count)))
            segments.append(Segment(key, count, ""))
        playlist = Playlist(version, bed_frames(version), -28.0, SEGMENT_FRAMES, tuple(segments))
        sounds.put(f"beds/{version}/playlist.json", playlist.to_json().encode())


class Voices:
    """Numbers for speeches, so that a frame can name one, and how many frames each has."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.frames: dict[int, int] = {}

    def number(self, key: str) -> int:
        return self.numbers.setdefault(key, len(self.numbers) + 1)


class SymbolicStudio:
    """`render.speaking.Studio` whose clips are made of readable frames.

    `delay` is called where the real one takes time. A record's text says how many frames each part has: "100,300".
    """

    def __init__(self, sounds: Sounds, voices: Voices, delay: Callable[[str], None]) -> None:
        self.sounds, self.numbers, self.delay = sounds, voices, delay

    def lines(self, record: SpeechRecord) -> list[str]:
        return [f"{number}:{line}" for number, line in enumerate(record.text.split(","))]

    def voice(self, record: SpeechRecord, line: str) -> Voice:
        self.delay("synthesis")
        number, frames = map(int, line.split(":"))
        key = f"{record.speech_id}/{number}"
        self.numbers.frames[self.numbers.number(key)] = frames
        return Voice(key, 0, frames, -22.0)

    def fitting(self, voice: Voice, longest_frames: int) -> Voice:
        return replace(voice, frames=min(voice.frames, longest_frames))

    def depth(self, call: Call, voice: Voice) -> Callable[[int], float]:
        return lambda frame: DEPTH

    def warm(self, call: Call) -> None:
        self.delay("bucket")

    def music(self, call: Call, first: int, count: int) -> list[Frame]:
        music = []
        for frame in range(first, first + count):
            span = bed_at(call, frame)
            music += bed_sound(span.version, frame - span.origin, 1)
        return music

    def clip(self, call: Call, place: Berth, voice: Voice | None, cut_at: int | None = None) -> str:
        duck = place.duck
        made = []
        for frame, music in enumerate(self.music(call, duck.start, duck.end - duck.start), start=duck.start):
            spoken, word, faded = 0, 0, 0
            if voice is not None and place.voice_at <= frame < duck.up_at:
                spoken, word = self.numbers.number(voice.key), voice.first + frame - place.voice_at
            elif cut_at is not None and frame < cut_at + 7 and _sounds(call, cut_at):
                spoken, faded = 65535, 1
            gains = (gain_at(duck, frame), gain_at(duck, frame + 1))
            made.append(Frame(music.bed, music.bed_frame, *gains, spoken, word, faded))
        return self._kept(call, made, repr(place))

    def fade(self, call: Call, span: BedSpan) -> str:
        music = self.music(call, span.start, span.fade_frames)
        return self._kept(call, [frame._replace(faded=2) for frame in music], repr(span))

    def _kept(self, call: Call, made: list[Frame], name: str) -> str:
        body = b"".join(frame.to_bytes() for frame in made)
        clip = hashlib.sha256(body + name.encode()).hexdigest()[:10]
        self.sounds.put(f"clips/{call.call_sid}/{clip}.ulaw", body)
        return clip


def _sounds(call: Call, frame: int) -> bool:
    part = heard_before(call, frame)
    return part is not None and part.voice_at < frame < part.duck.up_at


def splice(old: bytes, new: bytes) -> bytes:
    """A blend, readable: the new frames, their gain led over from the old."""
    before, after = frames_in(old), frames_in(new)
    count = len(after)

    def led(at: float, was: float, is_now: float) -> float:
        return was + (is_now - was) * at / count

    blended = [
        frame._replace(
            gain_first=led(at, before[at].gain_first, frame.gain_first),
            gain_last=led(at + 1, before[at].gain_last, frame.gain_last),
            faded=3,
        )
        for at, frame in enumerate(after)
    ]
    return b"".join(frame.to_bytes() for frame in blended)


def echo(body: bytes) -> bytes:
    """What was heard last, backwards: the last frame first, its gain run through the other way."""
    back = reversed(frames_in(body))
    return b"".join(f._replace(gain_first=f.gain_last, gain_last=f.gain_first).to_bytes() for f in back)
