"""A speech longer than a window is cut where a listener expects it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckline.timeline import FRAME_SAMPLES
from render.pauses import PAUSE_FRAMES, frames_to_a_pause


def talk(*frames: tuple[str, int]) -> np.ndarray:
    """Words and pauses, so many frames of each."""
    rng = np.random.default_rng(2)
    levels = {"words": 0.2, "pause": 0.001}
    return np.concatenate([levels[kind] * rng.normal(size=count * FRAME_SAMPLES) for kind, count in frames])


def cut_at_pauses(pcm: np.ndarray, longest_frames: int) -> list[tuple[int, int]]:
    """The stretches (first frame, frames) in which all of it is said."""
    stretches, first = [], 0
    while first < len(pcm) // FRAME_SAMPLES or not stretches:
        frames = frames_to_a_pause(pcm[first * FRAME_SAMPLES :], longest_frames)
        stretches.append((first, frames))
        first += frames
    return stretches


@given(st.integers(0, 1200), st.integers(PAUSE_FRAMES * 2, 500), st.integers(0, 5))
def test_the_stretches_are_all_of_it_in_order_and_none_is_too_long(frames: int, longest: int, seed: int):
    pcm = np.random.default_rng(seed).normal(size=frames * FRAME_SAMPLES).astype(np.float32)
    stretches = cut_at_pauses(pcm, longest)
    assert [first for first, _ in stretches] == [0, *np.cumsum([count for _, count in stretches])[:-1]]
    assert sum(count for _, count in stretches) == frames
    assert all(count <= longest for _, count in stretches)
    assert all(count > 0 for _, count in stretches) or frames == 0


@pytest.mark.parametrize("frames", [1, 199, 200])
def test_what_fits_is_not_cut(frames):
    assert cut_at_pauses(talk(("words", frames)), 200) == [(0, frames)]


def test_a_cut_lies_in_the_middle_of_the_pause():
    speech = talk(("words", 130), ("pause", 20), ("words", 150))
    [(_, first), (second, _)] = cut_at_pauses(speech, 200)
    assert first == second
    assert 130 + PAUSE_FRAMES // 2 <= first <= 150 - PAUSE_FRAMES // 2


def test_of_several_pauses_a_late_one_is_taken():
    speech = talk(("words", 40), ("pause", 12), ("words", 90), ("pause", 12), ("words", 140))
    [(_, first), *_] = cut_at_pauses(speech, 200)
    assert 142 <= first <= 154


def test_each_piece_of_a_very_long_speech_ends_in_a_pause():
    sentences = [("words", 85), ("pause", 15)] * 20
    cuts = [first for first, _ in cut_at_pauses(talk(*sentences), 240)[1:]]
    assert cuts
    assert all(85 <= cut % 100 <= 100 for cut in cuts)


def test_words_without_a_pause_are_cut_all_the_same():
    stretches = cut_at_pauses(talk(("words", 1000)), 200)
    assert all(100 <= count <= 200 for _, count in stretches[:-1])
