"""Where in a looping bed a recording is, and how fast its clock runs against the bed's.

The recording is sighted block by block: close to where the last block was if it is there, else anywhere in the bed. All
sightings together give the speed; what then remains are a few constant offsets, one for each run without a jump.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from local.ear.reference import Haystack, Reference, correlate, summit, vertex

BLOCK_SAMPLES = 4000
HOP_SAMPLES = 2000
REACH_SAMPLES = 2000  # how far from where it was expected a block is looked for first
SPEEDS = (1.0, 1.001, 0.999, 1.002, 0.998, 1.003, 0.997)  # half a step to either side still correlates
LIKENESS = 0.5  # of a sighting that counts
CERTAIN = 0.8
CLEARER = 0.1  # by which a place must be more alike than the one close by: chords resemble one another
EVIDENT = 0.9  # so alike at one speed that no other need be tried: what is left of the drift shows later
SOFTEST = 0.0005  # RMS (−66 dBov) of a block worth looking for
MARGIN_SAMPLES = 4000
ALIKE = 0.9  # of the best likeness of a block: so alike is another bar of music that repeats
RIVALS = 16  # other places weighed for each of
RIVALLED = 4  # places sighted, the longest first
SAME_SAMPLES = 3.0  # offsets nearer to one another than this are one


@dataclass(frozen=True, slots=True)
class Sighting:
    """Sample `at` of the recording (a block's first) is sample `position` of the bed, counted on past its end."""

    at: float
    position: float
    likeness: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """Sample n of the recording may be position `offset` + speed · n of the reference, for n from `start` to `end`."""

    offset: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Alignment:
    """`speed` is how many samples of the bed pass in one of the recording's; `polarity` is −1 if it is upside down."""

    speed: float
    polarity: int
    candidates: tuple[Candidate, ...]


def align(sound: np.ndarray, bed: Reference) -> Alignment | None:
    """How `sound` and `bed`, both limited to the same band, belong together; None if the bed isn't heard in it."""
    haystack = Haystack(bed.samples, BLOCK_SAMPLES, looping=True)
    coarse = _coarse_speed(sound, haystack)
    if coarse is None:
        return None
    speed, polarity = coarse
    steady = sound if speed == 1.0 else Reference(sound).read(0, int(len(sound) * speed), 1 / speed)
    sightings = [
        Sighting(seen.at / speed, seen.position, seen.likeness) for seen in _sight(polarity * steady, bed, haystack)
    ]
    if not sightings:
        return None
    runs = _runs(sightings, speed)
    speed = _common_speed(runs, speed)
    if abs(speed - 1) * len(sound) < 0.25:
        speed = 1.0
    candidates = candidates_of([(seen.at, seen.position) for seen in sightings], speed, len(sound))
    rivals = _rivals(candidates, sightings, polarity * sound, haystack, coarse[0], speed)
    sharp = [_sharpened(polarity * sound, bed, candidate, speed) for candidate in candidates + rivals]
    if rivals:
        sharp = [Candidate(candidate.offset, 0, len(sound)) for candidate in sharp]
    return Alignment(speed, polarity, tuple(sharp))


def candidates_of(pairs: Iterable[tuple[float, float]], speed: float, samples: int) -> list[Candidate]:
    """The offsets that `pairs` of a place in the recording and one in the reference have in common.

    Each holds from where it was first to where it was last seen, and on to the next sighting of another.
    """
    groups: list[list[tuple[float, float]]] = []
    for at, position in sorted(pairs, key=lambda pair: pair[1] - speed * pair[0]):
        offset = position - speed * at
        if groups and offset - groups[-1][-1][1] < SAME_SAMPLES:
            groups[-1].append((at, offset))
        else:
            groups.append([(at, offset)])
    places = sorted(at for group in groups for at, _ in group)
    found = []
    for group in groups:
        first, last = min(at for at, _ in group), max(at for at, _ in group)
        before = max((at for at in places if at < first), default=0.0)
        after = min((at for at in places if at > last), default=float(samples))
        start, end = int(before) - MARGIN_SAMPLES, int(after) + BLOCK_SAMPLES + MARGIN_SAMPLES
        offset = float(np.median([offset for _, offset in group]))
        found.append(Candidate(offset, max(start, 0), min(end, samples)))
    return found


def _rivals(
    candidates: Sequence[Candidate],
    sightings: Sequence[Sighting],
    sound: np.ndarray,
    haystack: Haystack,
    coarse_speed: float,
    speed: float,
) -> list[Candidate]:
    """Other places in the bed that sound like those where the recording was sighted.

    Where music repeats bar by bar any bar is as good a place as the right one, until what doesn't repeat comes. So all
    of them are to be weighed against the whole recording. Each comes with the block that is so like it.
    """
    found: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda candidate: candidate.start - candidate.end)[:RIVALLED]:
        inside = [seen for seen in sightings if abs(seen.position - speed * seen.at - candidate.offset) < SAME_SAMPLES]
        if not inside:
            continue
        clearest = max(inside, key=lambda seen: seen.likeness)
        likeness = haystack.find(Reference(sound).read(clearest.at, BLOCK_SAMPLES, 1 / coarse_speed))
        least = ALIKE * float(likeness.max())
        for _ in range(RIVALS):
            top = int(np.argmax(likeness))
            if likeness[top] < least:
                break
            half = haystack.lags / 2
            shift = (summit(likeness, top)[0] - clearest.position + half) % haystack.lags - half
            likeness[max(top - REACH_SAMPLES, 0) : top + REACH_SAMPLES] = 0
            offset = float(candidate.offset + shift)
            if all(abs(offset - other.offset) >= SAME_SAMPLES for other in [*candidates, *found]):
                found.append(Candidate(offset, int(clearest.at), int(clearest.at) + BLOCK_SAMPLES))
    return found


def _coarse_speed(sound: np.ndarray, haystack: Haystack) -> tuple[float, int] | None:
    """The speed of SPEEDS at which the recording is most like the bed, and the polarity."""
    blocks = len(sound) // BLOCK_SAMPLES
    if blocks == 0:
        return None
    loudness = np.square(sound[: blocks * BLOCK_SAMPLES]).reshape(blocks, -1).mean(axis=1) ** 0.5
    spread = [part for part in np.array_split(np.arange(blocks), min(12, blocks)) if len(part)]
    chosen = [int(part[len(part) // 2]) for part in spread if loudness[part[len(part) // 2]] > SOFTEST]
    best: tuple[float, float, int] | None = None
    for speed in SPEEDS:
        upright, inverted = [], []
        for block in chosen:
            needle = Reference(sound).read(block * BLOCK_SAMPLES, BLOCK_SAMPLES, 1 / speed)
            likeness = haystack.find(needle)
            upright.append(summit(likeness, int(np.argmax(likeness)))[1])
            inverted.append(summit(-likeness, int(np.argmin(likeness)))[1])
        for tops, polarity in ((upright, 1), (inverted, -1)):
            mean = float(np.mean(sorted(tops, reverse=True)[: max(1, len(tops) // 3)])) if tops else 0.0
            if best is None or mean > best[0] + 0.01:  # a drum resembles itself upside down, but not as well
                best = (mean, speed, polarity)
        if best is not None and best[0] > EVIDENT:
            break
    return (best[1], best[2]) if best is not None and best[0] > LIKENESS else None


def _sight(sound: np.ndarray, bed: Reference, haystack: Haystack) -> list[Sighting]:
    sightings: list[Sighting] = []
    offset: float | None = None
    unsure = 0
    for at in range(0, len(sound) - BLOCK_SAMPLES + 1, HOP_SAMPLES):
        block = sound[at : at + BLOCK_SAMPLES]
        if np.sqrt(np.mean(block**2)) < SOFTEST:
            continue
        likeness = 0.0
        if offset is not None:
            expected = round(at + offset)
            window = bed.read(expected - REACH_SAMPLES, BLOCK_SAMPLES + 2 * REACH_SAMPLES)
            lag, likeness = _peak(correlate(window, block), near=REACH_SAMPLES)
        if likeness <= CERTAIN and unsure % 4 == 0:  # a speech hides the music: not every block is worth the whole bed
            place, elsewhere = _peak(haystack.find(block))
            if elsewhere > max(CERTAIN, likeness + CLEARER):
                loops = 0 if offset is None else round((at + offset - place) / len(bed))
                offset, unsure = place + loops * len(bed) - at, 0
                sightings.append(Sighting(at, at + offset, elsewhere))
                continue
        unsure = 0 if likeness > CERTAIN else unsure + 1
        if likeness > LIKENESS:
            offset = expected - REACH_SAMPLES + lag - at
            sightings.append(Sighting(at, at + offset, likeness))
    return sightings


def _peak(likeness: np.ndarray, near: int | None = None) -> tuple[float, float]:
    """The lag and height of the best likeness; of one nearly as good close to `near`, rather: held chords repeat."""
    top = int(np.argmax(likeness))
    if near is not None:
        low = max(near - 4, 0)
        close = low + int(np.argmax(likeness[low : near + 5]))
        if 1 - likeness[close] <= 2 * (1 - likeness[top]) + 0.003:
            top = close
    return summit(likeness, top)


def _runs(sightings: Sequence[Sighting], speed: float) -> list[list[Sighting]]:
    """The sightings in runs within which the offset moves no faster than a clock can drift."""
    runs: list[list[Sighting]] = []
    for seen in sightings:
        if runs:
            last = runs[-1][-1]
            passed = seen.at - last.at
            moved = seen.position - last.position - speed * passed
            if abs(moved) <= 1 + 0.0008 * passed and passed < 20 * HOP_SAMPLES:
                runs[-1].append(seen)
                continue
        runs.append([seen])
    return runs


def _common_speed(runs: Sequence[Sequence[Sighting]], speed: float) -> float:
    """One slope through all runs, each with an offset of its own, by least squares that let go of what lies far off."""
    long = [run for run in runs if len(run) >= 4]
    if not long:
        return speed
    run_of = np.concatenate([np.full(len(run), number) for number, run in enumerate(long)])
    at = np.array([seen.at for run in long for seen in run])
    extra = np.array([seen.position for run in long for seen in run]) - speed * at
    likeness = np.array([min(seen.likeness, 1.0) for run in long for seen in run])
    trust = 1 / (1.003 - likeness)
    kept = np.ones(len(at), bool)
    slope = 0.0
    for _ in range(6):
        weight = trust * kept
        sums = np.maximum(np.bincount(run_of, weight), 1e-12)
        at_home, extra_home = (values - (np.bincount(run_of, weight * values) / sums)[run_of] for values in (at, extra))
        slope = float(np.sum(weight * at_home * extra_home) / max(np.sum(weight * at_home**2), 1e-12))
        left = np.abs(extra_home - slope * at_home)
        kept = left <= max(3 * float(np.median(left[kept])), 0.02)
    return speed + slope


def _sharpened(sound: np.ndarray, bed: Reference, candidate: Candidate, speed: float) -> Candidate:
    """The candidate with its offset to a hundredth of a sample, from the stretch that resembles the bed best."""
    offset = candidate.offset
    starts = range(candidate.start, max(candidate.end - BLOCK_SAMPLES, candidate.start) + 1, BLOCK_SAMPLES)
    blocks = [(start, sound[start : start + BLOCK_SAMPLES]) for start in starts]
    rated = sorted(
        ((_likeness(block, bed, offset + speed * start, speed), start) for start, block in blocks if len(block)),
        reverse=True,
    )
    places = [start for _, start in rated[:4]]
    for step in (0.5, 0.2, 0.05):
        sums = [
            sum(
                _likeness(sound[start : start + BLOCK_SAMPLES], bed, offset + shift + speed * start, speed)
                for start in places
            )
            for shift in (-step, 0.0, step)
        ]
        offset += vertex(*sums) * step
    if speed == 1.0 and abs(offset - round(offset)) < 0.03:
        offset = float(round(offset))
    return Candidate(offset, candidate.start, candidate.end)


def _likeness(block: np.ndarray, reference: Reference, start: float, speed: float) -> float:
    heard = reference.read(start, len(block), speed)
    return float(np.dot(block, heard) / np.sqrt(max(np.dot(block, block) * np.dot(heard, heard), 1e-20)))
