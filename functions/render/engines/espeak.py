"""eSpeak NG: the synthesiser of the local stack, from the wheel `espeakng-loader`, by ctypes.

https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng/speak_lib.h
"""

import atexit
import ctypes
import shutil
import tempfile
import threading
from functools import cached_property
from pathlib import Path

import espeakng_loader
import numpy as np

from duckline.errors import Unavailable, Unspeakable
from render.engines import unknown_voice

VOICES_URL = "https://github.com/espeak-ng/espeak-ng/blob/master/docs/languages.md"
LONGEST_S = 900  # of sound for one text: a `<break time="100h"/>` must not fill the memory

_SYNCHRONOUS = 2  # espeak_Synth returns when the last sound has come through the callback
_DO_NOT_EXIT = 0x8000
_UTF_8, _SSML = 1, 0x10
_LONGEST_DATA_PATH = 150  # characters: the library keeps 160 for it, and its files' names come after


class _Voice(ctypes.Structure):
    """espeak_VOICE. `languages` is a priority byte and a name ending in NUL, again and again."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.POINTER(ctypes.c_char)),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_OnSound = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakEngine:
    """Speaks as `voice` where a request names none. Voices are named by their language: "en-us", "de", "fr-fr"."""

    name = "espeak"
    _lock = threading.Lock()  # the library has one state for the whole process

    def __init__(self, *, voice: str = "en-us") -> None:
        self._voice = voice

    def check_voice(self, voice: str | None) -> str:
        voice = voice or self._voice
        with self._lock:
            voices = self._voices
        if voice not in voices:
            raise unknown_voice(voice, voices, "eSpeak NG", VOICES_URL)
        return voice

    def synthesise(self, text: str, *, voice: str | None = None, ssml: bool = False) -> tuple[np.ndarray, int]:
        voice = self.check_voice(voice)
        with self._lock:
            sound, rate_hz = self._synthesise(text.encode(), voice.encode(), _UTF_8 | (_SSML if ssml else 0))
        if len(sound) >= 2 * LONGEST_S * rate_hz:
            raise Unspeakable(f"{text[:40]!r} takes longer than {LONGEST_S} s to say")
        pcm = np.frombuffer(sound, np.int16)
        if not pcm.any():
            raise Unspeakable(f"eSpeak NG made no sound of {text[:40]!r}")
        return pcm.astype(np.float32) / np.float32(32768), rate_hz

    def _synthesise(self, text: bytes, voice: bytes, flags: int) -> tuple[bytearray, int]:
        rate_hz = self._start()  # anew, or a rate and pitch that SSML had set would go on
        sound = bytearray()

        @_OnSound
        def on_sound(samples: ctypes.Array, count: int, _events: int) -> int:
            if samples and count > 0:
                sound.extend(ctypes.string_at(samples, 2 * count))
            return int(len(sound) >= 2 * LONGEST_S * rate_hz)  # 1 stops it

        self._library.espeak_SetSynthCallback(on_sound)
        self._library.espeak_SetVoiceByName(voice)
        buffer = ctypes.create_string_buffer(text)
        status = self._library.espeak_Synth(buffer, ctypes.c_size_t(len(buffer)), 0, 0, 0, flags, None, None)
        if status != 0:
            raise Unavailable(f"eSpeak NG failed with status {status}")
        return sound, rate_hz

    def _start(self) -> int:
        """Set the library to its beginnings, within a millisecond. Its rate in Hz."""
        self._library.espeak_Terminate()
        rate_hz = self._library.espeak_Initialize(_SYNCHRONOUS, 0, self._data_path.encode(), _DO_NOT_EXIT)
        if rate_hz <= 0:
            raise Unavailable(f"eSpeak NG does not start with the data in {self._data_path}")
        return rate_hz

    @cached_property
    def _library(self) -> ctypes.CDLL:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        return library

    @cached_property
    def _data_path(self) -> str:
        path = espeakng_loader.get_data_path()
        if not Path(path, "phontab").exists():  # looked for here: the library takes a second start for a good one
            raise Unavailable(f"eSpeak NG's data are not in {path}; install espeakng-loader anew")
        if len(path) <= _LONGEST_DATA_PATH:
            return path
        folder = tempfile.mkdtemp(prefix="espeak")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        link = Path(folder, "espeak-ng-data")
        link.symlink_to(path)
        return str(link)

    @cached_property
    def _voices(self) -> tuple[str, ...]:
        """The first language of each voice, which is its name here."""
        self._start()
        voices = set()
        for voice in self._library.espeak_ListVoices(None):
            if not voice:
                break
            languages = ctypes.cast(voice.contents.languages, ctypes.c_void_p).value
            voices.add(ctypes.string_at(languages + 1).decode())
        return tuple(sorted(voices))
