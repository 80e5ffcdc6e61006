"""A speech longer than a window, cut where it pauses."""

import numpy as np

from duckline.timeline import FRAME_SAMPLES

PAUSE_FRAMES = 10  # a pause of 200 ms is where a listener expects nothing


def cut_at_pauses(pcm: np.ndarray, longest_frames: int) -> list[tuple[int, int]]:
    """Stretches (first frame, frames) of `pcm`, whole frames at 8 kHz, none longer than `longest_frames`.

    Each cut but the last lies in the middle of the softest 200 ms of the second half of what would fit.
    """
    stretches, first = [], 0
    frames = len(pcm) // FRAME_SAMPLES
    energies = np.square(pcm.astype(np.float64)).reshape(frames, FRAME_SAMPLES).sum(axis=1)
    while frames - first > longest_frames:
        earliest = first + longest_frames // 2
        softness = np.convolve(energies[earliest : first + longest_frames], np.ones(PAUSE_FRAMES), mode="valid")
        cut = earliest + int(softness.argmin()) + PAUSE_FRAMES // 2
        stretches.append((first, cut - first))
        first = cut
    return [*stretches, (first, frames - first)]
