"""A recording explained: the bed along its path and at its gain, and the speeches in their places.

Music hides speech and speech hides music, so each is looked for in what the other leaves: music first, then speeches,
then the music once more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from duckline.sound.band import band_pass, filtered
from local.ear.alignment import align
from local.ear.ducking import BLOCK_SAMPLES, GainCurve, measure_gain, usual_gain
from local.ear.path import Stretch, follow, lay, short_candidates
from local.ear.recording import silent_samples
from local.ear.reference import Reference
from local.ear.speeches import Placed, find_speeches, rendered
from local.ear.votes import speech_speed

LOW_HZ, HIGH_HZ = 250, 3250  # what both ends of any telephone line pass level
BEFORE_BLOCKS, AFTER_BLOCKS = 60, 200  # 0.3 s and 1 s: around a speech music may be on its way down or up


class Explanation:
    """What is known of a recording once it has been compared with the bed and the speeches.

    sound, banded: the recording, whole and between LOW_HZ and HIGH_HZ; upright, if the line had turned it over.
    speed: how many samples of the originals pass in one of the recording's.
    music, voice: what of `banded` is the bed and what the speeches.
    full_music: the whole band of the bed, where it lies in the recording, at gain 1.
    stretches, curve, usual: the bed's path, its gain, and its gain between the speeches; None if the bed isn't heard.
    placed: the speeches that are heard, by id.
    """

    def __init__(
        self,
        sound: np.ndarray,
        bounds: tuple[int, int],
        speeches: Mapping[str, np.ndarray],
        bed: np.ndarray | None,
    ) -> None:
        self.bounds = bounds
        self.speeches = {name: Reference(_band(pcm)) for name, pcm in speeches.items()}
        self._whole_speeches = {name: Reference(pcm) for name, pcm in speeches.items()}
        self.sound, self.banded = sound, _band(sound)
        self.stretches: list[Stretch] = []
        self.curve: GainCurve | None = None
        self.usual: float | None = None
        self.music = self.voice = self.full_music = np.zeros(len(sound))
        self.placed: dict[str, Placed] = {}
        looped = None if bed is None else Reference(_band_of_loop(bed), looping=True)
        self._alignment = None if looped is None else align(self.banded, looped)
        if self._alignment is None:
            self.speed = speech_speed(self.banded, self.speeches) if speeches else 1.0
            self._place_speeches()
            return
        self.speed = self._alignment.speed
        self.sound, self.banded = self._alignment.polarity * sound, self._alignment.polarity * self.banded
        self._follow_music(looped)
        self._place_speeches()
        if self.placed:
            self._follow_music(looped)
        self.full_music = lay(Reference(bed, looping=True), self.stretches, self.speed, len(sound))

    @property
    def has_music(self) -> bool:
        """Whether the bed is heard, so that all else can be measured against it."""
        return self.curve is not None and self.usual is not None

    @property
    def residual(self) -> np.ndarray:
        """What is neither music nor voice."""
        return self.banded - self.music - self.voice

    @property
    def full_voice(self) -> np.ndarray:
        """The whole band of the speeches, as they lie in the recording."""
        return rendered(self.placed, self._whole_speeches, self.speed, len(self.sound))

    def free_blocks(self) -> np.ndarray:
        """A flag for each block of 5 ms: whether there is sound and no speech is near."""
        free = np.zeros(-(-len(self.sound) // BLOCK_SAMPLES), bool)
        free[self.bounds[0] // BLOCK_SAMPLES : self.bounds[1] // BLOCK_SAMPLES] = True
        for found in self.placed.values():
            first, last = found.start // BLOCK_SAMPLES - BEFORE_BLOCKS, found.end // BLOCK_SAMPLES + AFTER_BLOCKS
            free[max(first, 0) : last] = False
        return free

    def gain_beneath(self, found: Placed) -> float:
        """The music's mean gain beneath a speech, its first and last 50 ms left out. Only if there is music."""
        first, last = found.start // BLOCK_SAMPLES + 10, found.end // BLOCK_SAMPLES - 10
        core = slice(first, max(last, first + 1))
        weight = self.curve.weight[core]
        return float(np.average(self.curve.gain[core], weights=weight)) if weight.sum() > 0 else self.usual

    def voice_of(self, found: Placed) -> np.ndarray:
        """One speech as it sounds in the recording, from its first to its last audible sample."""
        laid = lay(self.speeches[found.speech_id], found.stretches, self.speed, len(self.sound))
        return found.gain * laid[found.start : found.end]

    def _place_speeches(self) -> None:
        if not self.speeches:
            return
        moves = [(after.start, after.offset - before.offset) for before, after in pairwise(self.stretches)]
        self.placed = find_speeches(self.banded - self.music, self.speeches, self.speed, moves)
        self.voice = rendered(self.placed, self.speeches, self.speed, len(self.banded))

    def _follow_music(self, bed: Reference) -> None:
        """The music's path and gain, in the recording without the voice as far as that is known."""
        hole = silent_samples(self.sound)  # which has no voice to take out
        rest = self.banded - np.where(hole, 0, self.voice)
        candidates = list(self._alignment.candidates)
        self.stretches = _shortest_ways(follow(rest, bed, candidates, self.speed), len(bed))
        extra = short_candidates(rest, self.voice, bed, self.stretches, self.speed)
        if extra:
            self.stretches = _shortest_ways(follow(rest, bed, candidates + extra, self.speed), len(bed))
        laid = lay(bed, self.stretches, self.speed, len(rest))
        self.curve = measure_gain(rest, laid)
        self.usual = usual_gain(self.curve, self.free_blocks())
        self.music = self.curve.by_sample(len(rest)) * laid


def _shortest_ways(stretches: Sequence[Stretch], loop_samples: int) -> list[Stretch]:
    """The same places in a looping bed, each counted in the loop that is nearest to where the one before was."""
    ways: list[Stretch] = []
    for stretch in stretches:
        loops = round((ways[-1].offset - stretch.offset) / loop_samples) if ways else 0
        ways.append(replace(stretch, offset=stretch.offset + loops * loop_samples))
    return ways


def _band(sound: np.ndarray) -> np.ndarray:
    return np.concatenate(list(filtered([sound], band_pass(LOW_HZ, HIGH_HZ))))


def _band_of_loop(bed: np.ndarray) -> np.ndarray:
    """The same filter, round the loop."""
    margin = len(band_pass(LOW_HZ, HIGH_HZ))
    return _band(np.pad(bed, margin, "wrap"))[margin:-margin]
