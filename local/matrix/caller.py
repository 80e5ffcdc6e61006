"""One caller of the matrix: what is asked of the call, and what the recording holds of it, frame by frame."""

import asyncio
import itertools
from dataclasses import dataclass

from duckline.call import Part
from duckline.timeline import FRAME_BYTES, FRAME_MS, FRAMES_PER_SECOND
from local.matrix.service import Service
from local.twilio import Call

SPEAKS_AT_S = (2.0, 11.0, 21.0, 24.0, 40.0)
HANGS_UP_AT_S = 75.0
STOPPED_WITHIN_S = 30.0
SILENCE = b"\xff" * FRAME_BYTES


@dataclass(frozen=True, slots=True)
class HeardSpeech:
    """Seconds into the call; `heard_s` is its first word, None if the caller never heard it whole. `times` it was."""

    asked_s: float
    heard_s: float | None
    times: int

    @property
    def waited_s(self) -> float | None:
        return None if self.heard_s is None else self.heard_s - self.asked_s


@dataclass(frozen=True, slots=True)
class Heard:
    """What one caller heard.

    `music_s` is the first sound, from the moment the call was answered. `silences_ms` are all silences between the
    first sound and the last. `stopped_s` is the time from the hang-up to the end of the stream function that was
    running: 0 if none was, None if it did not end.
    """

    music_s: float | None
    silences_ms: tuple[int, ...]
    speeches: tuple[HeardSpeech, ...]
    windows: int
    fetches: int
    underruns: int
    stopped_s: float | None

    @property
    def every_speech(self) -> bool:
        return all(speech.heard_s is not None for speech in self.speeches)

    @property
    def slowest_s(self) -> float | None:
        """The longest that a speech was waited for."""
        return max((speech.waited_s for speech in self.speeches), default=None) if self.every_speech else None

    @property
    def longest_silence_ms(self) -> int:
        return max(self.silences_ms, default=0)

    @property
    def silent_s(self) -> float:
        """All that the caller missed: the wait for the first sound, and every silence after."""
        return (self.music_s or 0.0) + sum(self.silences_ms) / 1000


async def listen(service: Service, number: int) -> Heard:
    """A whole call, `number` of its service: music, five speeches, a hang-up."""
    call = await service.twilio.place_call(f"{service.url}/voice", f"{service.url}/voice/status")
    await service.pass_time(1.0)
    answered_s = call.answered_at
    asked: dict[str, float] = {}
    for at_s in SPEAKS_AT_S:
        await service.pass_time(answered_s + at_s - service.clock.time())
        asked_s = service.clock.time() - answered_s
        asked[await service.speak(call.call_sid, f"{number}: at {at_s} s")] = asked_s
    await service.pass_time(answered_s + HANGS_UP_AT_S - service.clock.time())
    streams_over = len(service.streams_over)
    call_over = service.clock.time()
    ending = asyncio.ensure_future(call.hang_up())
    await service.pass_time(STOPPED_WITHIN_S)
    await ending
    stopped_s = max((at - call_over for at in service.streams_over[streams_over:]), default=0.0)
    has_stopped = service.streams_begun == len(service.streams_over)
    return _heard(service, call, asked, stopped_s if has_stopped else None)


def _heard(service: Service, call: Call, asked: dict[str, float], stopped_s: float | None) -> Heard:
    recording = call.recording()
    frames = [recording.mulaw[at : at + FRAME_BYTES] for at in range(0, len(recording.mulaw), FRAME_BYTES)]
    sounding = [number for number, frame in enumerate(frames) if frame != SILENCE]
    silences = tuple(
        (after - before - 1) * FRAME_MS for before, after in itertools.pairwise(sounding) if after - before > 1
    )
    return Heard(
        music_s=sounding[0] / FRAMES_PER_SECOND if sounding else None,
        silences_ms=silences,
        speeches=tuple(
            _speech(frames, service, call.call_sid, speech_id, asked_s) for speech_id, asked_s in asked.items()
        ),
        windows=len(call.windows),
        fetches=sum(request.kind == "media" for request in call.log),
        underruns=len(call.underruns),
        stopped_s=stopped_s,
    )


def _speech(frames: list[bytes], service: Service, call_sid: str, speech_id: str, asked_s: float) -> HeardSpeech:
    """A speech is heard where all frames of its voice, in one of the clips made of it, follow one another."""
    heard = []
    for part in service.calls.parts.get(speech_id, {}).values():
        voice = _voice(service, call_sid, part)
        starts = [at for at, frame in enumerate(frames) if frame == voice[0]]
        heard += [at for at in starts if frames[at : at + len(voice)] == voice]
    return HeardSpeech(asked_s, min(heard) / FRAMES_PER_SECOND if heard else None, len(heard))


def _voice(service: Service, call_sid: str, part: Part) -> list[bytes]:
    body = service.sounds.get(f"clips/{call_sid}/{part.clip}.ulaw").replace(b"\x7f", b"\xff")
    first, last = part.voice_at - part.start, part.voice_end - part.start
    return [body[at * FRAME_BYTES : (at + 1) * FRAME_BYTES] for at in range(first, last)]
