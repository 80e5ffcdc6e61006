"""A speech longer than a window, cut where it pauses."""

import numpy as np

from duckline.timeline import FRAME_SAMPLES

PAUSE_FRAMES = 10  # a pause of 200 ms is where a listener expects nothing


def frames_to_a_pause(pcm: np.ndarray, longest_frames: int) -> int:
    """How many frames of `pcm`, whole frames at 8 kHz, to say at once: all, or at most `longest_frames`.

    The cut lies in the middle of the softest 200 ms of the second half of what would fit.
    """
    frames = len(pcm) // FRAME_SAMPLES
    if frames <= longest_frames:
        return frames
    fitting = pcm[: longest_frames * FRAME_SAMPLES].astype(np.float64).reshape(longest_frames, FRAME_SAMPLES)
    earliest = longest_frames // 2
    energies = np.square(fitting[earliest:]).sum(axis=1)
    softness = np.convolve(energies, np.ones(PAUSE_FRAMES), mode="valid")
    return earliest + int(softness.argmin()) + PAUSE_FRAMES // 2
