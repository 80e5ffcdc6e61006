"""What is kept of a speech and of a bed beside the call's own item, and what the API says of a speech and of a call."""

import base64
import hashlib
import re
from dataclasses import dataclass, replace

from duckline.call import Call, Speech, playhead, surely_heard
from duckline.delivery import HEARD_MARGIN_MS
from duckline.timeline import ms_from_frames

CALL_SID = re.compile("CA[0-9a-fA-F]{32}")  # https://www.twilio.com/docs/glossary/what-is-a-sid
LIVE_FOR_MS = 30_000  # a call that nobody has sealed for that long beyond its window's gap counts as ended


@dataclass(frozen=True, slots=True)
class SpeechRecord:
    """One accepted request to speak.

    `fingerprint` names the request's body, so that the same Idempotency-Key with another body is noticed. Exactly one
    of `text`, `ssml` and `audio_key` (the sound as it came, in the bucket) is set. `state` and what follows are written
    when the speech is over; until then the call's item knows.
    """

    call_sid: str
    speech_id: str
    fingerprint: str = ""
    requested_at_ms: int = 0
    text: str = ""
    ssml: str = ""
    audio_key: str = ""
    voice: str = ""
    when: str = "queue"
    order: int = 0
    state: str = "scheduled"
    reason: str = ""
    starts_at_ms: int | None = None
    duration_ms: int | None = None

    def closed(self, status: "SpeechStatus", order: int) -> "SpeechRecord":
        """This record with its history."""
        return replace(
            self,
            order=order,
            state=status.state,
            reason=status.reason or "",
            starts_at_ms=status.starts_at_ms,
            duration_ms=status.duration_ms,
        )

    @property
    def status(self) -> "SpeechStatus":
        return SpeechStatus(self.speech_id, self.state, self.reason or None, self.starts_at_ms, self.duration_ms)


@dataclass(frozen=True, slots=True)
class BedRecord:
    """What a bed's name means: `state` is `rendering`, `ready` or `failed` with its `reason`.

    `version` is the one in use, which stays in use while another is made or has failed.
    """

    name: str
    state: str
    version: str = ""
    seconds: float = 0.0
    level_dbov: float | None = None
    reason: str = ""
    updated_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class SpeechStatus:
    """What the API says of a speech; times count from the call's start."""

    speech_id: str
    state: str
    reason: str | None = None
    starts_at_ms: int | None = None
    duration_ms: int | None = None


def speech_id_for(call_sid: str, idempotency_key: str) -> str:
    """The id of the speech that a request with this key means: the same for every retry of it."""
    digest = hashlib.sha256(f"{call_sid}\n{idempotency_key}".encode(errors="surrogateescape")).digest()
    return "sp_" + base64.b32encode(digest)[:10].decode().lower()


def greeting_id(call_sid: str) -> str:
    """The id of the speech with which a call begins: by a key with a line feed, which no header can hold."""
    return speech_id_for(call_sid, "\ngreeting")


def status_of(call: Call, speech: Speech, now_ms: float) -> SpeechStatus:
    """What is to be said of a speech that is still in the call's item."""
    # After a hang-up, of which the callback tells late, only what was surely heard counts as heard.
    heard = surely_heard(call, now_ms, HEARD_MARGIN_MS) if call.ended else playhead(call, now_ms)
    spoken = speech.spoken_parts
    starts_at_ms = ms_from_frames(spoken[0].voice_at) if spoken else None
    whole = spoken and not speech.more and speech.outcome is None
    duration_ms = ms_from_frames(spoken[-1].voice_end - spoken[0].voice_at) if whole else None
    state, reason = "scheduled", speech.reason
    if speech.outcome is not None:
        state = speech.outcome
    elif whole and spoken[-1].voice_end <= heard:
        state = "finished"
    elif call.ended:
        state, reason = "cancelled", f"the call is over: {call.end_reason}"
    elif spoken and spoken[0].voice_at <= heard:
        state = "playing"
    return SpeechStatus(speech.speech_id, state, reason, starts_at_ms, duration_ms)


def call_state(call: Call, now_ms: float) -> str:
    """`ringing` until its first stream begins, `ended` when it is over or nobody seals it any more."""
    if call.ended or is_forsaken(call, now_ms):
        return "ended"
    return "live" if call.opened_at_ms or call.epoch > 1 else "ringing"


def is_forsaken(call: Call, now_ms: float) -> bool:
    """Whether nobody has sealed the call for so long that nobody can be listening, though its end was never told."""
    last_sign_ms = max(call.sealed_at_ms, call.opening_at_ms, call.started_at_ms)
    sent_ahead_ms = ms_from_frames(call.sealed - playhead(call, now_ms))
    return now_ms - last_sign_ms > LIVE_FOR_MS + sent_ahead_ms
