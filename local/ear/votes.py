"""What the pieces of a speech tell of its place in a recording, and of the recording's clock.

Each piece of half a second votes for where the whole speech would begin if the piece were heard there. So a speech that
was cut short, or that lost or repeated some milliseconds on the way, is found as surely as a whole one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from local.ear.alignment import SAME_SAMPLES, SPEEDS
from local.ear.reference import Haystack, Reference, summit

PIECE_SAMPLES = 4000
LIKENESS = 0.45  # of a piece that may vote
SURE = 0.7  # of the best piece of a speech that is believed to have been heard
PEAKS = 4  # places that one piece may vote for
SOFT_DB = 30  # a piece this far below the loudest has no vote
COARSE_PIECES = 6  # that tell the clock's speed roughly


@dataclass(frozen=True, slots=True)
class Vote:
    start: float  # of the whole speech, in samples of the recording
    at: float  # of the piece
    inside: float  # the piece's place in the speech
    likeness: float
    weight: float


def votes_of(haystack: Haystack, speech: Reference, speed: float) -> list[Vote]:
    pieces = _pieces(speech, speed)
    loudest = max(energy for _, _, energy in pieces)
    votes = []
    for start, piece, energy in pieces:
        if energy < loudest * 10 ** (-SOFT_DB / 10) or energy == 0:
            continue
        likeness = haystack.find(piece)
        for _ in range(PEAKS):
            top = int(np.argmax(likeness))
            if likeness[top] < LIKENESS:
                break
            at, height = summit(likeness, top)
            votes.append(Vote(at - start, at, start * speed, height, 1 / len(pieces)))
            likeness[max(top - 400, 0) : top + 400] = 0
    return votes


def elected(votes: Sequence[Vote], tolerance: float = SAME_SAMPLES) -> tuple[float, list[Vote]]:
    """The start that most pieces agree on, as the score (0 to 1) and its votes; the score is 0 if no piece is sure."""
    ordered = sorted(votes, key=lambda vote: vote.start)
    best: tuple[float, list[Vote]] = (0.0, [])
    first = 0
    for last, vote in enumerate(ordered):
        while vote.start - ordered[first].start > tolerance:
            first += 1
        together = ordered[first : last + 1]
        score = sum(member.weight * member.likeness**2 for member in together)
        if score > best[0] and max(member.likeness for member in together) > SURE:
            best = (score, together)
    return best


def speech_speed(sound: np.ndarray, speeches: Mapping[str, Reference]) -> float:
    """The speed (as of `Alignment`) that the speeches alone tell, for when no bed is known; 1.0 if they can't."""
    haystack = Haystack(sound, PIECE_SAMPLES)
    speed = _coarse_speed(haystack, speeches)
    for tolerance in (0.0007, 0.0003):  # of the speech's length: half a step of SPEEDS, then what that has left
        top = bottom = 0.0
        for speech in speeches.values():
            _, winners = elected(votes_of(haystack, speech, speed), tolerance * len(speech) + SAME_SAMPLES)
            best = {vote.inside: vote for vote in sorted(winners, key=lambda vote: vote.likeness)}
            if len(best) < 4:
                continue
            at, inside = (np.array([getattr(vote, field) for vote in best.values()]) for field in ("at", "inside"))
            at -= at.mean()
            top += float(np.sum(at * (inside - inside.mean())))
            bottom += float(np.sum(at * at))
        speed = top / bottom if bottom > 0 else speed
    return speed


def _coarse_speed(haystack: Haystack, speeches: Mapping[str, Reference]) -> float:
    """The speed of SPEEDS at which the loudest pieces of the speeches are most like what they resemble in `haystack`.

    A piece at a speed that is 0.1 % off slips by a whole period of what is bright in a voice, and is found no more.
    """
    alike = []
    for speed in SPEEDS:
        pieces = sorted(
            ((energy, piece) for speech in speeches.values() for _, piece, energy in _pieces(speech, speed)),
            key=lambda pair: pair[0],
            reverse=True,
        )
        likeness = sorted(float(haystack.find(piece).max()) for _, piece in pieces[:COARSE_PIECES])
        alike.append(float(np.mean(likeness[len(likeness) // 2 :])) if likeness else 0.0)  # some may not be heard
    alike[SPEEDS.index(1.0)] += 0.01  # clocks agree unless there is a reason to think otherwise
    return SPEEDS[int(np.argmax(alike))]


def _pieces(speech: Reference, speed: float) -> list[tuple[int, np.ndarray, float]]:
    """The speech as a recording at `speed` has it, in pieces: where each begins, its samples and its energy."""
    length = int(len(speech) / speed)
    laid = speech.read(0, length, speed)
    starts = range(0, max(length - PIECE_SAMPLES // 2, 1), PIECE_SAMPLES)
    pieces = [(start, laid[start : start + PIECE_SAMPLES]) for start in starts]
    return [(start, piece, float(np.dot(piece, piece))) for start, piece in pieces]
