import numpy as np
import pytest

from duckline.sound.loop import FADE_S, faded
from duckline.sound.reel import Reel

FADE = round(FADE_S * 8000)


def noise(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * 8000)).astype(np.float32)


def test_pieces_fade_into_each_other_and_the_last_into_the_first():
    pieces = [noise(seconds, seed) for seed, seconds in enumerate((20, 17, 16.5))]
    reel = Reel(60)
    for piece in pieces:
        reel.splice(piece)
    one, two, three = pieces
    loop = reel.loop()
    spliced = [
        one[:-FADE],
        faded(one[-FADE:], two[:FADE]),
        two[FADE:-FADE],
        faded(two[-FADE:], three[:FADE]),
        three[FADE:],
    ]
    whole = np.concatenate(spliced)
    assert len(loop) == (len(whole) - FADE) // 8000 * 8000
    assert np.array_equal(loop[:-FADE], whole[FADE : len(loop)])
    assert np.array_equal(loop[-FADE:], faded(whole[len(loop) : len(loop) + FADE], one[:FADE]))


def test_a_piece_may_lie_on_the_reel_already():
    apart, in_place = Reel(60), Reel(60)
    for seed in range(3):
        piece = noise(10, seed)
        apart.splice(piece)
        in_place.free[: len(piece)] = piece
        in_place.splice(in_place.free[: len(piece)])
    assert np.array_equal(apart.loop(), in_place.loop())


def test_short_pieces_are_repeated_before_they_are_spliced():
    reel = Reel(60)
    reel.splice(noise(0.05, 1))
    reel.splice(noise(0.3, 2))
    assert reel.seconds == pytest.approx(10, abs=1)


def test_a_reel_knows_how_much_is_on_it():
    reel = Reel(60)
    assert reel.seconds == 0
    reel.splice(noise(10, 1))
    assert reel.seconds == 10
