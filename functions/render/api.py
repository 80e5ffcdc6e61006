"""The API's routes: what a request says, checked; the one use case it asks for; what is answered."""

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from duckline.call import Call, playhead
from duckline.ending import end_call
from duckline.errors import Conflict, Malformed, NotFound, TooLarge, UnreadableAudio
from duckline.public_url import base_url
from duckline.records import (
    CALL_SID,
    LIVE_FOR_MS,
    BedRecord,
    SpeechRecord,
    SpeechStatus,
    call_state,
    greeting_id,
    is_forsaken,
    speech_id_for,
    status_of,
)
from duckline.script import check_ssml, check_text
from duckline.timeline import ms_from_frames
from render.beds import BedChange, BedRoom
from render.engines import Engine
from render.limits import (
    AUDIO_MOST_BYTES,
    AUDIO_TYPES,
    JSON_MOST_BYTES,
    JSON_TYPE,
    KEY_MOST_CHARS,
    LATEST,
    PAGE,
)
from render.openapi import description
from render.outbound import NO_ACCOUNT, Order, Outbound
from render.silencing import Silencing
from render.speaking import Speaking, starts_in_ms

AFTER = re.compile(CALL_SID.pattern + r"-[0-9]{1,15}")


class Api:
    """One method a route; `request` is what the handler has parsed."""

    def __init__(
        self,
        speaking: Speaking,
        silencing: Silencing,
        bed_room: BedRoom,
        bed_change: BedChange,
        engine: Engine,
        keep_audio: Callable[[str, bytes, str], None],
        outbound: Outbound = NO_ACCOUNT,
        public_url: str = "",
    ) -> None:
        self.speaking, self.silencing = speaking, silencing
        self.bed_room, self.bed_change = bed_room, bed_change
        self.engine, self.keep_audio = engine, keep_audio
        self.outbound, self.public_url = outbound, public_url
        self.calls, self.clock = speaking.calls, speaking.clock

    # -- calls ----------------------------------------------------------------------------------------

    def list_calls(self, request: "Request") -> tuple[int, Any]:
        after = request.query.get("after")
        if after is not None and not AFTER.fullmatch(after):
            raise Malformed(f'after is {after[:80]!r}; the "next" of an earlier answer would be right')
        sids, more = self.calls.live(PAGE, after)
        calls = [call for call in map(self.calls.get, sids) if call is not None]
        now_ms = self.clock.now_ms()
        shown = [self._call_shown(call, now_ms) for call in calls if call_state(call, now_ms) != "ended"]
        return 200, {"calls": shown, "next": more}

    def place_call(self, request: "Request") -> tuple[int, Any]:
        order = Order.read(request.json())
        if order.bed:
            self.bed_room.record(order.bed)
        greeting = check_text(order.greeting) if order.greeting else ""
        call_sid = self.outbound.place(order, self.public_url or request.base_url)
        if greeting:
            self.speaking.speeches.keep(
                SpeechRecord(
                    call_sid, greeting_id(call_sid), "greeting", requested_at_ms=self.clock.now_ms(), text=greeting
                )
            )
        return 201, {"call_sid": call_sid}

    def show_call(self, request: "Request") -> tuple[int, Any]:
        call, now_ms = self._call(request), self.clock.now_ms()
        told = {r.order: r.status for r in self.speaking.speeches.latest(call.call_sid, LATEST)}
        told |= {speech.order: status_of(call, speech, now_ms) for speech in call.speeches}
        speeches = [_speech_shown(told[order]) for order in sorted(told)]
        return 200, {**self._call_shown(call, now_ms), "speeches": speeches}

    def end_call(self, request: "Request") -> tuple[int, Any]:
        ended = end_call(
            self.calls,
            self.speaking.speeches,
            self._publish,
            self._call(request).call_sid,
            reason="ended by DELETE /calls/{sid}",
            now_ms=self.clock.now_ms(),
        )
        return 200, self._call_shown(ended, self.clock.now_ms())

    def _publish(self, events: list[dict[str, Any]]) -> None:
        self.speaking.background(self.speaking.events.publish, events)

    def _call_shown(self, call: Call, now_ms: int) -> dict[str, Any]:
        bed = [span for span in call.beds if span.start <= call.sealed or span is call.beds[0]]
        return {
            "call_sid": call.call_sid,
            "state": call_state(call, now_ms),
            "bed": bed[-1].name if bed else None,
            "position_ms": ms_from_frames(playhead(call, now_ms)),
        }

    # -- speeches -------------------------------------------------------------------------------------

    def speak(self, request: "Request") -> tuple[int, Any]:
        call = self._listening(request)
        record = self._record(request, call.call_sid)
        status = self.speaking.accept(record)
        call = self.calls.get(call.call_sid) or call
        return 201, {
            "speech_id": status.speech_id,
            "state": status.state,
            "starts_in_ms": starts_in_ms(call, status, self.clock.now_ms()),
            "duration_ms": status.duration_ms,
        }

    def _record(self, request: "Request", call_sid: str) -> SpeechRecord:
        when = request.query.get("when", "queue")
        if when not in ("queue", "now"):
            raise Malformed(f"when is {when[:40]!r}; queue or now would be right")
        key = request.headers.get("idempotency-key", "")
        if len(key) > KEY_MOST_CHARS:
            raise Malformed(f"the Idempotency-Key has {len(key)} characters; at most {KEY_MOST_CHARS} may be")
        speech_id = speech_id_for(call_sid, key or uuid.uuid4().hex)
        kind = request.kind
        asked = f"{kind}\n{when}\n".encode(errors="surrogateescape") + request.body
        fingerprint = hashlib.sha256(asked).hexdigest()[:32]
        said = self._audio(request, call_sid, speech_id) if kind in AUDIO_TYPES else self._words(request, kind)
        return SpeechRecord(
            call_sid=call_sid,
            speech_id=speech_id,
            fingerprint=fingerprint,
            requested_at_ms=self.clock.now_ms(),
            when=when,
            **said,
        )

    def _audio(self, request: "Request", call_sid: str, speech_id: str) -> dict[str, str]:
        if len(request.body) > AUDIO_MOST_BYTES:
            raise TooLarge(f"the audio has {len(request.body)} bytes; at most {AUDIO_MOST_BYTES} may be")
        if not request.body:
            raise UnreadableAudio("the audio has no bytes")
        audio_key = f"audio/{call_sid}/{hashlib.sha256(request.body).hexdigest()[:32]}"
        self.keep_audio(audio_key, request.body, request.headers["content-type"])
        return {"audio_key": audio_key}

    def _words(self, request: "Request", kind: str) -> dict[str, str]:
        if kind not in (JSON_TYPE, ""):
            allowed = ", ".join((JSON_TYPE, *AUDIO_TYPES))
            raise UnreadableAudio(f"the Content-Type is {kind[:80]!r}; one of {allowed} would be right")
        body = request.json()
        given = [name for name in ("text", "ssml") if name in body]
        if len(given) != 1 or not isinstance(body[given[0]], str):
            raise Malformed('the body must have either "text" or "ssml", a string')
        voice = body.get("voice", "")
        if not isinstance(voice, str):
            raise Malformed(f"voice is {voice!r}; the name of a voice, a string, would be right")
        if voice:
            self.engine.check_voice(voice)
        words = check_text(body["text"]) if given == ["text"] else check_ssml(body["ssml"])
        return {given[0]: words, "voice": voice}

    def show_speech(self, request: "Request") -> tuple[int, Any]:
        call, speech_id = self._call(request), request.path["id"]
        speech = call.speech(speech_id)
        if speech is not None:
            return 200, _speech_shown(status_of(call, speech, self.clock.now_ms()))
        record = self.speaking.speeches.get(call.call_sid, speech_id)
        if record is None or not record.order:  # what is neither pending nor over was refused
            raise NotFound(f"call {call.call_sid} has no speech {speech_id}")
        return 200, _speech_shown(record.status)

    def cancel_speech(self, request: "Request") -> tuple[int, Any]:
        return 200, _speech_shown(self.silencing.cancel(self._call(request).call_sid, request.path["id"]))

    def cancel_speeches(self, request: "Request") -> tuple[int, Any]:
        return 200, {"cancelled": self.silencing.cancel_all(self._call(request).call_sid)}

    # -- beds -----------------------------------------------------------------------------------------

    def change_bed(self, request: "Request") -> tuple[int, Any]:
        name = request.json().get("bed")
        if not isinstance(name, str):
            raise Malformed(f'the body must have "bed", the name of a bed; it is {name!r}')
        call, span = self.bed_change.change(self._listening(request).call_sid, name)
        ahead_ms = ms_from_frames(span.start - playhead(call, self.clock.now_ms()))
        return 200, {"starts_in_ms": max(0, ahead_ms)}

    def list_beds(self, request: "Request") -> tuple[int, Any]:
        return 200, {"beds": [_bed_shown(record) for record in self.bed_room.records()]}

    def show_bed(self, request: "Request") -> tuple[int, Any]:
        return 200, _bed_shown(self.bed_room.record(request.path["name"]))

    def upload_bed(self, request: "Request") -> tuple[int, Any]:
        return 201, {"upload": self.bed_room.upload(request.path["name"], uuid.uuid4().hex)}

    # -- all of it ------------------------------------------------------------------------------------

    def describe(self, request: "Request") -> tuple[int, Any]:
        return 200, description()

    def _call(self, request: "Request") -> Call:
        sid = request.path["sid"]
        call = self.calls.get(sid) if CALL_SID.fullmatch(sid) else None
        if call is None:
            raise NotFound(f"there is no call {sid[:80]!r}; a call's sid is CA and 32 hexadecimal digits")
        return call

    def _listening(self, request: "Request") -> Call:
        """The call, which still has a caller as far as can be known. Raises NotFound, Conflict."""
        call = self._call(request)
        if is_forsaken(call, self.clock.now_ms()) and not call.ended:
            silence_s = LIVE_FOR_MS // 1000
            raise Conflict(f"call {call.call_sid} is over: nobody has fetched its sound for more than {silence_s} s")
        return call


class Request:
    """A request as API Gateway hands it over (payload format 2.0)."""

    def __init__(self, event: dict[str, Any]) -> None:
        self.base_url = base_url(event, event["routeKey"].partition(" ")[2])
        self.path: dict[str, str] = event.get("pathParameters") or {}
        self.query: dict[str, str] = event.get("queryStringParameters") or {}
        self.headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
        body = event.get("body") or ""
        self.body = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()

    @property
    def kind(self) -> str:
        """The media type without its parameters; empty if none was given."""
        given = self.headers.get("content-type", "").strip()
        return given.partition(";")[0].strip().lower() or given

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises Malformed, TooLarge."""
        if len(self.body) > JSON_MOST_BYTES:
            raise TooLarge(f"the body has {len(self.body)} bytes; at most {JSON_MOST_BYTES} may be")
        try:
            parsed = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"the body is not JSON that can be read: {error}") from None
        if not isinstance(parsed, dict):
            raise Malformed(f"the body is JSON, but {type(parsed).__name__}; an object would be right")
        return parsed


def _speech_shown(status: SpeechStatus) -> dict[str, Any]:
    return asdict(status)


def _bed_shown(record: BedRecord) -> dict[str, Any]:
    shown = {
        "name": record.name,
        "state": record.state,
        "seconds": record.seconds if record.version else None,
        "level_dbov": record.level_dbov,
    }
    return {**shown, "reason": record.reason} if record.reason else shown
