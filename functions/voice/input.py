"""What a caller pressed or said while the music played: a `<Gather>` has heard it.

https://www.twilio.com/docs/voice/twiml/gather
"""

from collections.abc import Mapping
from dataclasses import dataclass

from voice.notices import Event

# The setting, and what <Gather> is told to listen to for it.
LISTENS = {"off": "", "keys": "dtmf", "speech": "speech", "both": "dtmf speech"}
# Keys that follow one another within this are one input, and after a window the line is silent for as long: whole
# seconds, of which one is the least that <Gather> takes.
PAUSE_S = 1


@dataclass(frozen=True, slots=True)
class Input:
    """Keys, or words and how sure Twilio is of them (0 to 1)."""

    digits: str = ""
    words: str = ""
    confidence: float | None = None

    @classmethod
    def read(cls, form: Mapping[str, str]) -> "Input | None":
        """What a form of `/voice/input` tells; None if that is nothing."""
        digits, words = form.get("Digits", ""), form.get("SpeechResult", "")
        if not digits and not words:
            return None
        try:
            confidence = float(form["Confidence"]) if words else None
        except (KeyError, ValueError):
            confidence = None
        return cls(digits, words, confidence)


def call_input(call_sid: str, given: Input, now_ms: int) -> Event:
    heard = {"digits": given.digits, "speech": given.words, "confidence": given.confidence}
    told = {name: value for name, value in heard.items() if value not in ("", None)}
    return {"type": "call.input", "call_sid": call_sid, "at_ms": now_ms, **told}
