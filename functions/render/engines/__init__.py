"""Speech synthesisers behind one small interface.

An engine's module is imported only when it is chosen: eSpeak NG is no part of what runs in Lambda.
"""

from typing import Any, Protocol

import numpy as np

from duckline.errors import SettingMissing

ENGINES = ("polly", "espeak")


class Engine(Protocol):
    name: str

    def check_voice(self, voice: str | None) -> str:
        """`voice`, or the engine's own for None. Raises Malformed, listing the voices, if there is no such voice."""
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
    raise SettingMissing(f"the speech engine is {name!r}; it must be one of {', '.join(ENGINES)}")
