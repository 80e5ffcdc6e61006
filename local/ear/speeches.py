"""Where in a recording each known speech is heard, and how much of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from local.ear.alignment import SAME_SAMPLES, Candidate, candidates_of
from local.ear.path import FRAME_SAMPLES, Stretch, follow, lay
from local.ear.reference import Haystack, Reference
from local.ear.votes import PIECE_SAMPLES, SURE, Vote, elected, votes_of

AUDIBLE_DB = 40  # below its loudest 10 ms a speech has not yet begun, or is over
TELLING_DB = 22  # frames this close to the loudest tell whether the speech is there
PRESENT = 0.5  # of a speech's gain, measured frame by frame
SPAN_SAMPLES = 8000  # how far holes and jumps within a speech may move its later pieces


@dataclass(frozen=True, slots=True)
class Placed:
    """A speech as it was found: `stretches` of the recording at `gain`, audible from sample `start` to `end`.

    `begins` is where the speech's first sample fell or would have fallen; `heard` the part of its sound that was heard.
    """

    speech_id: str
    stretches: tuple[Stretch, ...]
    gain: float
    begins: float
    start: int
    end: int
    heard: float


def find_speeches(
    sound: np.ndarray, speeches: Mapping[str, Reference], speed: float, moves: Sequence[tuple[int, float]] = ()
) -> dict[str, Placed]:
    """The speeches that are heard in `sound` (the music taken out if it is known), each once.

    The surest is placed first, and what it occupies is no place for another. Speeches with the very same samples are
    told apart by their order in `speeches`. `moves` are the places in `sound` at which the music went on from
    elsewhere, each with how far: a speech over it may have done so too.
    """
    haystack = Haystack(sound, PIECE_SAMPLES)
    votes = {name: votes_of(haystack, speech, speed) for name, speech in speeches.items()}
    placed: dict[str, Placed] = {}
    while votes:
        elections = {name: elected(ballots) for name, ballots in votes.items()}
        name = max(elections, key=lambda candidate: elections[candidate][0])
        score, winners = elections[name]
        if score <= 0:
            break
        found = _placed(sound, name, speeches[name], votes.pop(name), winners, speed, moves)
        if found is None:
            continue
        placed[name] = found
        votes = {
            other: [vote for vote in ballots if not found.start - 400 <= vote.at < found.end - 400]
            for other, ballots in votes.items()
        }
    return _in_order_of_request(placed, speeches)


def rendered(placed: Mapping[str, Placed], speeches: Mapping[str, Reference], speed: float, samples: int) -> np.ndarray:
    """All placed speeches as the recording has them, without music."""
    voice = np.zeros(samples)
    for name, found in placed.items():
        voice += found.gain * lay(speeches[name], found.stretches, speed, samples)
    return voice


def _placed(
    sound: np.ndarray,
    name: str,
    speech: Reference,
    votes: Sequence[Vote],
    winners: Sequence[Vote],
    speed: float,
    moves: Sequence[tuple[int, float]],
) -> Placed | None:
    middle = float(np.median([vote.start for vote in winners]))
    near = [vote for vote in votes if abs(vote.start - middle) < SPAN_SAMPLES and vote.likeness > SURE]
    first = max(int(middle) - SPAN_SAMPLES, 0)
    last = min(int(middle + len(speech) / speed) + SPAN_SAMPLES, len(sound))
    around = sound[first:last]
    candidates = candidates_of([(vote.at - first, vote.inside) for vote in [*winners, *near]], speed, len(around))
    candidates += _moved(candidates, [(at - first, far) for at, far in moves if first < at < last], len(around))
    stretches = follow(around, speech, candidates, speed)
    laid = lay(speech, stretches, speed, len(around))
    gain = _gain(around, laid)
    if gain <= 0:
        return None
    telling, present = _presence(around, laid, gain)
    if not present.any():
        return None
    start, end = _bounds(around, laid, gain, telling, present)
    home = next(stretch for stretch in stretches if stretch.end > start)
    told, there = np.flatnonzero(telling), np.flatnonzero(present)
    from_sample = start if there[0] > told[0] else 0
    to_sample = end if there[-1] < told[-1] else len(around)
    clipped = [Stretch(max(part.start, from_sample), min(part.end, to_sample), part.offset) for part in stretches]
    return Placed(
        speech_id=name,
        stretches=tuple(
            Stretch(part.start + first, part.end + first, part.offset - speed * first)
            for part in clipped
            if part.end > part.start
        ),
        gain=gain,
        begins=first - home.offset / speed,
        start=first + start,
        end=first + end,
        heard=_heard(speech, stretches, speed, telling, present),
    )


def _moved(candidates: Sequence[Candidate], moves: Sequence[tuple[int, float]], samples: int) -> list[Candidate]:
    """Where a speech that is at one of the candidates was before each move, and where it is after."""
    found: list[Candidate] = []
    for at, far in moves:
        for candidate in candidates:
            for offset, start, end in ((candidate.offset - far, 0, at), (candidate.offset + far, at, samples)):
                if abs(far) < SPAN_SAMPLES and all(
                    abs(offset - other.offset) >= SAME_SAMPLES for other in [*candidates, *found]
                ):
                    found.append(Candidate(offset, max(start - FRAME_SAMPLES, 0), min(end + FRAME_SAMPLES, samples)))
    return found


def _heard(
    speech: Reference, stretches: Sequence[Stretch], speed: float, telling: np.ndarray, present: np.ndarray
) -> float:
    """The part of the speech's telling sound that is heard at least once, wherever holes and jumps have moved it."""
    size = 2 * FRAME_SAMPLES
    own = np.repeat(_telling(speech.samples), size)
    heard = np.zeros(len(own), bool)
    for stretch in stretches:
        for frame in range(-(-stretch.start // size), stretch.end // size):
            position = round(stretch.offset + speed * frame * size)
            place = slice(max(position, 0), max(position + size, 0))
            heard[place] |= present[frame] or not telling[frame]
    return float((heard & own).sum() / max(own.sum(), 1))


def _gain(sound: np.ndarray, laid: np.ndarray) -> float:
    """The speech's gain: the median over its loud frames, so that a part that is missing doesn't lower it."""
    frames = len(laid) // FRAME_SAMPLES
    both, own = (
        (laid * other)[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES).sum(axis=1) for other in (sound, laid)
    )
    loud = own > own.max() * 10 ** (-TELLING_DB / 10)
    gains = both[loud] / own[loud]
    there = gains > 0.3 * np.percentile(gains, 90)
    return float(np.sum(both[loud][there]) / np.sum(own[loud][there])) if there.any() else 0.0


def _telling(laid: np.ndarray) -> np.ndarray:
    """Which pairs of frames (20 ms) hold enough of the speech to tell whether it is there."""
    own = _pairs(laid * laid)
    return own > own.max(initial=0.0) * 10 ** (-TELLING_DB / 10)


def _presence(sound: np.ndarray, laid: np.ndarray, gain: float) -> tuple[np.ndarray, np.ndarray]:
    telling = _telling(laid)
    fitted = _pairs(sound * laid) / np.maximum(_pairs(laid * laid), 1e-12)
    return telling, telling & (fitted > PRESENT * gain)


def _pairs(values: np.ndarray) -> np.ndarray:
    size = 2 * FRAME_SAMPLES
    return values[: len(values) // size * size].reshape(-1, size).sum(axis=1)


def _bounds(
    sound: np.ndarray, laid: np.ndarray, gain: float, telling: np.ndarray, present: np.ndarray
) -> tuple[int, int]:
    """First and last audible sample of what was heard: the speech's own unless it is missing there.

    Where it is missing, the border lies between the last frame that is surely there and the first that surely is not.
    """
    size = 2 * FRAME_SAMPLES
    audible = np.flatnonzero(np.abs(laid) > np.abs(laid).max() * 10 ** (-AUDIBLE_DB / 20))
    told, there = np.flatnonzero(telling), np.flatnonzero(present)
    start, end = int(audible[0]), int(audible[-1]) + 1
    better = np.concatenate(([0.0], np.cumsum(sound**2 - (sound - gain * laid) ** 2)))  # with the voice than without
    if there[0] > told[0]:
        missing = int(told[told < there[0]][-1])
        low, high = missing * size, (int(there[0]) + 1) * size
        start = low + int(np.argmin(better[low:high]))
    if there[-1] < told[-1]:
        missing = int(told[told > there[-1]][0])
        low, high = int(there[-1]) * size, min((missing + 1) * size, len(sound))
        end = low + int(np.argmax(better[low:high]))
    return start, end


def _in_order_of_request(placed: dict[str, Placed], speeches: Mapping[str, Reference]) -> dict[str, Placed]:
    """The same, with speeches of equal samples dealt out in the order in which they were asked for."""
    result: dict[str, Placed] = {}
    for name, speech in speeches.items():
        twins = [
            other
            for other, found in speeches.items()
            if len(found) == len(speech) and np.array_equal(found.samples, speech.samples)
        ]
        places = sorted((placed[twin] for twin in twins if twin in placed), key=lambda found: found.start)
        rank = twins.index(name)
        if rank < len(places):
            found = places[rank]
            result[name] = Placed(name, found.stretches, found.gain, found.begins, found.start, found.end, found.heard)
    return result
