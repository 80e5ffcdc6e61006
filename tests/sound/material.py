"""What the tests of the sound are made of: beds, sentences, and calls in which these are spoken over those."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from duckline.bed import Playlist
from duckline.envelope import Duck, Ducking
from duckline.sound import mulaw
from duckline.sound.bedmaking import make_bed
from duckline.sound.mix import Voice, depth_over, gain_curve, mix_clip
from duckline.sound.speech import Ready
from duckline.timeline import FRAME_BYTES, FRAME_SAMPLES
from local import music

BEDS = (*music.MOODS, "noise", "swelling")
DUCKING = Ducking()
BEFORE_FRAMES, BETWEEN_FRAMES = 100, 150
# No figures: a recogniser is free to write four or 4.
SENTENCES = (
    "Your order has been shipped and will arrive on Thursday.",
    "An agent will be with you as soon as the line is free.",
    "If you would rather be called back, please tell us your number.",
    "The doctor is still with another patient and asks you to be patient.",
    "We have moved your appointment to Friday morning.",
    "The table by the window is free this evening.",
    "Please have your customer number and your last invoice ready.",
    "Good news, the missing suitcase was found at the airport.",
    "Our shop opens again on Monday after the holidays.",
    "Thank you for waiting, your call is important to us.",
    "The technician is on his way and should reach you before noon.",
    "Six of our seven sisters said so.",
)


@dataclass(frozen=True)
class Bed:
    """A bed as it lies in the bucket."""

    name: str
    playlist: Playlist
    mulaw: bytes

    def frames(self, first: int, count: int) -> bytes:
        """`count` frames from bed frame `first` on, round the loop."""
        at = np.arange(first * FRAME_BYTES, (first + count) * FRAME_BYTES) % len(self.mulaw)
        return np.frombuffer(self.mulaw, np.uint8)[at].tobytes()


@dataclass(frozen=True)
class Heard:
    """A speech in the call: where its clip lies, what it was, and what was heard of it and of the music beneath it."""

    duck: Duck
    ready: Ready
    mixed: np.ndarray
    beneath: np.ndarray

    @property
    def speech(self) -> np.ndarray:
        return self.mixed - self.beneath


@dataclass(frozen=True)
class Call:
    """Frames of µ-law from the call's first on, as the stream sends them, and the speeches in them."""

    bed: Bed
    mulaw: bytes
    speeches: list[Heard]

    @property
    def pcm(self) -> np.ndarray:
        return mulaw.decode(self.mulaw)

    def between(self) -> np.ndarray:
        """All the music at its own level."""
        own = np.ones(len(self.mulaw), bool)
        for heard in self.speeches:
            own[heard.duck.start * FRAME_SAMPLES : heard.duck.end * FRAME_SAMPLES] = False
        return self.pcm[own]


def make(name: str, *files: Path) -> Bed:
    objects: dict[str, bytes] = {}
    playlist = make_bed(files, objects.__setitem__)
    return Bed(name, playlist, b"".join(objects[segment.key] for segment in playlist.segments))


def place_call(bed: Bed, speeches: list[Ready]) -> Call:
    """A call in which `speeches` are heard one after the other, each with its own ducking, and a loop's length more."""
    frames = bed.playlist.frames + BEFORE_FRAMES + sum(ready.frames + BETWEEN_FRAMES for ready in speeches)
    sent = bytearray(bed.frames(0, frames))
    at, heard = BEFORE_FRAMES, []
    for ready in speeches:
        beneath = mulaw.decode(bed.frames(at + DUCKING.down_frames, ready.frames))
        depth = depth_over(beneath, ready.level_dbov, bed.playlist.level_dbov, DUCKING)
        voice_at = at + DUCKING.down_frames
        duck = Duck(at, DUCKING.down_frames, voice_at + ready.frames, DUCKING.up_frames, depth)
        own = mulaw.decode(bed.frames(at, duck.end - at))
        clip = mix_clip(own, duck, [Voice(ready.pcm, voice_at)])
        sent[at * FRAME_BYTES : duck.end * FRAME_BYTES] = clip
        speaking = slice(duck.down * FRAME_SAMPLES, (duck.down + ready.frames) * FRAME_SAMPLES)
        ducked = own * gain_curve(duck, at, duck.end - at)
        heard.append(Heard(duck, ready, mulaw.decode(clip)[speaking], ducked[speaking]))
        at = duck.end + BETWEEN_FRAMES
    return Call(bed, bytes(sent), heard)
