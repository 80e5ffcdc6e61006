"""Speech synthesisers behind one small interface.

An engine's module is imported only when it is chosen: eSpeak NG and Piper are no part of what runs in Lambda.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Protocol

import numpy as np

from duckline.errors import Malformed, SettingMissing

ENGINES = ("polly", "espeak", "piper")
FEW = 6  # voices named to one who asked for a voice that there is not


class Engine(Protocol):
    name: str

    def check_voice(self, voice: str | None) -> str:
        """`voice`, or the engine's own for None. Raises Malformed, naming some near it, if there is no such voice."""
        ...

    def synthesise(self, text: str, *, voice: str | None = None, ssml: bool = False) -> tuple[np.ndarray, int]:
        """`text`, or SSML, spoken: float32 in [−1, 1), one channel, and its rate in Hz.

        Raises Malformed for an unknown voice or for SSML that this engine refuses, Unspeakable if no sound comes of the
        text, Unavailable if the engine cannot be had.
        """
        ...


def choose(name: str, *, voice: str | None = None, polly_client: Any = None) -> Engine:
    """The engine called `name`, speaking as `voice` where a request names none (None: the engine's own choice).

    `polly_client` is boto3's client for Amazon Polly, needed for `polly` alone; its own retries should be off.
    """
    match name:
        case "polly":
            from render.engines.polly import PollyEngine

            return PollyEngine(polly_client, **({"voice": voice} if voice else {}))
        case "espeak":
            from render.engines.espeak import EspeakEngine

            return EspeakEngine(**({"voice": voice} if voice else {}))
        case "piper":
            try:
                from render.engines.piper import PiperEngine
            except ModuleNotFoundError as missing:
                raise SettingMissing(f"the speech engine is 'piper'; `make piper` installs {missing.name}") from missing

            return PiperEngine(**({"voice": voice} if voice else {}))
    raise SettingMissing(f"the speech engine is {name!r}; it must be one of {', '.join(ENGINES)}")


def unknown_voice(voice: str, voices: Iterable[str], engine: str, listed_at: str) -> Malformed:
    """What to say of a voice that `engine` has not: the voices nearest to it, and where all of them are listed."""
    named = {known.casefold(): known for known in sorted(voices)}
    near = get_close_matches(voice[:80].casefold(), named, n=FEW, cutoff=0.4) if len(named) > FEW else []
    few = [named[known] for known in near] or list(named.values())[:FEW]
    others = f", and others: {listed_at}" if len(named) > len(few) else ""
    return Malformed(f"there is no voice {voice[:80]!r}; {engine} has {', '.join(few)}{others}")
