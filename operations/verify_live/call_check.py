"""Part two: a real call between two Twilio numbers. The stack answers one; the other records what it hears."""

import io
import time
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import requests

from duckline import shipped
from duckline.sound import mulaw
from local.ear.findings import Heard
from local.ear.hearing import listen
from operations.verify_live.target import Refused, Target

RINGS_FOR_S = 30.0
RECORDED_WITHIN_S = 60.0
CALLS_FOR_S = 90  # the most that the call may last, whatever becomes of this program
SILENT_TWIML = f'<Response><Pause length="{CALLS_FOR_S}"/></Response>'


@dataclass(frozen=True, slots=True)
class Script:
    """When the call is spoken to and hung up, in seconds from its answer: past the probe, and past a cut at 15 s."""

    speaks_at_s: tuple[float, float] = (6.0, 20.0)
    hangs_up_at_s: float = 34.0


LONG_ENOUGH = Script()


class Numbers(Protocol):
    """`operations.connect.Numbers`."""

    def connect(self, number: str, webhooks: Mapping[str, str]) -> None: ...

    def undo(self, number: str) -> None: ...


@dataclass(frozen=True, slots=True)
class CallCheck:
    """What the recording of the other end holds, and when what was asked for.

    `asked_s` are the speeches' requests and `answered_s` the recording's beginning, in seconds of one clock.
    """

    heard: Heard
    asked_s: Mapping[str, float]
    answered_s: float
    hung_up_s: float
    stopped_after_s: float | None

    def latency_s(self, speech_id: str) -> float | None:
        """From the request to the first word; the call's setting up makes it uncertain by some tenths of a second."""
        found = [speech for speech in self.heard.speeches if speech.speech_id == speech_id]
        if not found or found[0].heard_at_s is None:
            return None
        return self.answered_s + found[0].heard_at_s - self.asked_s[speech_id]


def check(
    target: Target,
    client: Any,
    numbers: Numbers,
    *,
    stack_number: str,
    other_number: str,
    webhooks: Mapping[str, str],
    speeches: Mapping[str, np.ndarray],
    media: Callable[[str], bytes],
    script: Script = LONG_ENOUGH,
    tell: Callable[[str], None] = print,
) -> CallCheck:
    """Places the call, speaks into it, hangs up, listens to the recording. Everything it made is taken away again.

    `speeches` are int16 at 8 kHz, `media` fetches what Twilio keeps under a URI. Raises Refused, TwilioException.
    """
    numbers.connect(stack_number, webhooks)
    call = None
    try:
        before = set(target.live_calls())
        call = client.calls.create(
            to=stack_number, from_=other_number, twiml=SILENT_TWIML, record=True, time_limit=CALLS_FOR_S
        )
        call_sid = _rung(target, before)
        answered_s = time.monotonic()
        tell(f"· the stack plays to {call_sid}")
        asked_s = {}
        for at_s, (name, pcm) in zip(script.speaks_at_s, speeches.items(), strict=True):
            _sleep_until(answered_s + at_s)
            asked_s[name] = time.monotonic()
            target.say(call_sid, wav_of(pcm))
        _sleep_until(answered_s + script.hangs_up_at_s)
        client.calls(call.sid).update(status="completed")
        hung_up_s = time.monotonic()
        stopped_after_s = target.until_over(call_sid, within_s=15)
        tell("· hung up; waiting for the recording")
        sound = _recorded(client, call.sid, media)
        call = None
    finally:
        if call is not None:
            _given_up(client, call.sid)
        numbers.undo(stack_number)
    pcm, rate_hz = sound
    heard = listen(pcm, rate_hz=rate_hz, bed=shipped_bed(), speeches=speeches)
    return CallCheck(heard, asked_s, answered_s, hung_up_s, stopped_after_s)


def _rung(target: Target, before: set[str]) -> str:
    give_up = time.monotonic() + RINGS_FOR_S
    while time.monotonic() < give_up:
        if new := set(target.live_calls()) - before:
            return new.pop()
        time.sleep(0.2)
    raise Refused(f"no call came in within {RINGS_FOR_S:g} s of its being placed; see Twilio's debugger")


def _recorded(client: Any, call_sid: str, media: Callable[[str], bytes]) -> tuple[np.ndarray, int]:
    """The recording's samples and rate; it is deleted at Twilio's. `(channels,)` stay as they are."""
    give_up = time.monotonic() + RECORDED_WITHIN_S
    while time.monotonic() < give_up:
        for recording in client.calls(call_sid).recordings.list():
            if recording.status == "completed":
                body = media(recording.uri.replace(".json", ".wav"))
                client.recordings(recording.sid).delete()
                return _samples(body)
        time.sleep(1)
    raise Refused(f"Twilio had no recording of {call_sid} within {RECORDED_WITHIN_S:g} s")


def _given_up(client: Any, call_sid: str) -> None:
    """Leaves nothing running and nothing kept of a call that could not be measured."""
    client.calls(call_sid).update(status="completed")
    for recording in client.calls(call_sid).recordings.list():
        client.recordings(recording.sid).delete()


def _samples(body: bytes) -> tuple[np.ndarray, int]:
    with wave.open(io.BytesIO(body)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        channels = file.getnchannels()
        return (pcm if channels == 1 else pcm.reshape(-1, channels)), file.getframerate()


def wav_of(pcm: np.ndarray) -> bytes:
    """int16 at 8 kHz as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(pcm.astype("<i2").tobytes())
    return file.getvalue()


def shipped_bed() -> np.ndarray:
    frames = shipped.playlist().frames
    return mulaw.decode(shipped.frames(0, frames))


def media_of(base_url: str, credentials: tuple[str, str]) -> Callable[[str], bytes]:
    """Fetches what Twilio keeps."""

    def fetch(uri: str) -> bytes:
        answer = requests.get(base_url + uri, auth=credentials, timeout=60)
        if answer.status_code != 200:
            raise Refused(f"Twilio answered {answer.status_code} for {uri}")
        return answer.content

    return fetch


def _sleep_until(at_s: float) -> None:
    time.sleep(max(0.0, at_s - time.monotonic()))
