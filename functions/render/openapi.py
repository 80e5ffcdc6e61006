"""What the API is, for machines: OpenAPI 3.1, its limits taken from the code that keeps to them.

https://spec.openapis.org/oas/v3.1.1.html
"""

from typing import Any

from duckline.errors import (
    Conflict,
    DucklineError,
    KeyReused,
    Malformed,
    NotFound,
    TooLarge,
    TooManyPending,
    Unauthorized,
    Unavailable,
    UnreadableAudio,
    Unspeakable,
)
from duckline.records import CALL_SID, LIVE_FOR_MS
from duckline.schedule import PENDING_LIMIT
from duckline.script import BREAK_MOST_S, SSML_LIMIT, SSML_TAGS, TEXT_LIMIT
from render.beds import NAME, UPLOAD_GOOD_FOR_S, UPLOAD_MOST_BYTES
from render.limits import (
    AUDIO_MOST_BYTES,
    AUDIO_TYPES,
    JSON_MOST_BYTES,
    JSON_TYPE,
    KEY_MOST_CHARS,
    LATEST,
    PAGE,
    PROBLEM_TYPE,
    RETRY_AFTER_S,
)
from render.outbound import E164, NotCallable, NotSetUp

VERSION = "0.1.0"

Json = dict[str, Any]


def description() -> Json:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Duckline",
            "version": VERSION,
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": (
                "Speak into live Twilio calls over one continuous bed of music. Times are milliseconds, from the "
                "call's start (`…_at_ms`, `position_ms`) or from now (`starts_in_ms`). A request that is refused is a "
                "problem (RFC 9457), which says what came and what would be right. API Gateway's own refusals, of a "
                'body beyond some 4.4 MB for one, are `{"message": …}` instead.'
            ),
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "x-limits": _limits(),
        "paths": _paths(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "The API's key."}},
            "parameters": _parameters(),
            "schemas": _schemas(),
        },
    }


def _limits() -> Json:
    return {
        "text_characters": TEXT_LIMIT,
        "ssml_characters": SSML_LIMIT,
        "ssml_break_seconds": BREAK_MOST_S,
        "json_bytes": JSON_MOST_BYTES,
        "audio_bytes": AUDIO_MOST_BYTES,
        "idempotency_key_characters": KEY_MOST_CHARS,
        "pending_speeches": PENDING_LIMIT,
        "calls_a_page": PAGE,
        "speeches_shown": LATEST,
        "upload_bytes": UPLOAD_MOST_BYTES,
        "upload_good_for_seconds": UPLOAD_GOOD_FOR_S,
        "silence_that_ends_a_call_seconds": LIVE_FOR_MS // 1000,
    }


# -- routes ---------------------------------------------------------------------------------------


def _paths() -> Json:
    return {
        "/calls": {
            "get": _operation(
                "listCalls",
                f"The live calls, {PAGE} at a time",
                _answer(200, "CallPage"),
                [Malformed],
                parameters=["after"],
            ),
            "post": _operation(
                "placeCall",
                "Calls somebody, through Twilio. The call is known to this API once it is answered",
                _answer(201, "PlacedCall"),
                [Malformed, NotFound, TooLarge, NotCallable, Unspeakable, NotSetUp],
                body=_json_body(
                    "CallOrder",
                    {
                        "call": {"to": "+14155550100", "from": "+14155550101"},
                        "greeting": {
                            "to": "+14155550100",
                            "from": "+14155550101",
                            "bed": "calm",
                            "greeting": "Hello. Your table is ready.",
                        },
                    },
                ),
            ),
        },
        "/calls/{sid}": {
            "parameters": [_ref("parameters", "sid")],
            "get": _operation(
                "showCall",
                f"One call with its pending speeches and the latest {LATEST} that are over",
                _answer(200, "CallWithSpeeches"),
                [NotFound],
            ),
            "delete": _operation(
                "endCall",
                "Ends music and speech for this call. If it still asks what to do, it is hung up. Again is the same",
                _answer(200, "Call"),
                [NotFound],
            ),
        },
        "/calls/{sid}/bed": {
            "parameters": [_ref("parameters", "sid")],
            "put": _operation(
                "changeBed",
                "Cross-fades to another bed, after the last speech that has its place",
                _answer(200, "BedChange"),
                [Malformed, NotFound, Conflict, TooLarge],
                body=_json_body("BedChoice", {"bed": {"bed": "calm"}}),
            ),
        },
        "/calls/{sid}/speeches": {
            "parameters": [_ref("parameters", "sid")],
            "post": _operation(
                "speak",
                f"Speaks. Up to {PENDING_LIMIT} speeches may be pending in a call",
                _answer(201, "AcceptedSpeech"),
                [Malformed, NotFound, Conflict, TooLarge, UnreadableAudio, Unspeakable, KeyReused, TooManyPending],
                parameters=["when", "idempotencyKey"],
                body=_said(),
            ),
            "delete": _operation(
                "cancelSpeeches",
                "Silences all: what plays fades out, what waits is dropped, the music comes back up",
                _answer(200, "Cancelled"),
                [NotFound],
            ),
        },
        "/calls/{sid}/speeches/{id}": {
            "parameters": [_ref("parameters", "sid"), _ref("parameters", "id")],
            "get": _operation("showSpeech", "What became of a speech", _answer(200, "Speech"), [NotFound]),
            "delete": _operation(
                "cancelSpeech",
                "Takes a speech out, or fades it out if it is playing. Again is the same",
                _answer(200, "Speech"),
                [NotFound, Conflict],
            ),
        },
        "/beds": {"get": _operation("listBeds", "All beds", _answer(200, "BedList"), [])},
        "/beds/{name}": {
            "parameters": [_ref("parameters", "name")],
            "get": _operation("showBed", "One bed", _answer(200, "Bed"), [Malformed, NotFound]),
            "post": _operation(
                "uploadBed",
                f"A presigned form, good for {UPLOAD_GOOD_FOR_S} s. A file of music of up to {UPLOAD_MOST_BYTES} bytes "
                "that is posted with it becomes the bed; until then the one of that name stays",
                _answer(201, "Upload"),
                [Malformed],
            ),
        },
        "/openapi.json": {
            "get": _operation("describe", "This description", _answer(200, "Description"), []),
        },
    }


def _operation(
    operation_id: str,
    summary: str,
    answer: Json,
    errors: list[type[DucklineError]],
    *,
    parameters: list[str] | None = None,
    body: Json | None = None,
) -> Json:
    operation: Json = {"operationId": operation_id, "summary": summary}
    if parameters:
        operation["parameters"] = [_ref("parameters", name) for name in parameters]
    if body:
        operation["requestBody"] = body
    return {**operation, "responses": answer | _problems([*errors, Unauthorized, Unavailable])}


def _answer(status: int, schema: str) -> Json:
    return {str(status): {"description": "Done", "content": {JSON_TYPE: {"schema": _ref("schemas", schema)}}}}


def _problems(errors: list[type[DucklineError]]) -> Json:
    """The errors as responses, one for each status."""
    responses: Json = {}
    for status in sorted({error.status for error in errors}):
        titles = dict.fromkeys(error.title for error in errors if error.status == status)
        responses[str(status)] = {
            "description": ", or: ".join(titles),
            "content": {PROBLEM_TYPE: {"schema": _ref("schemas", "Problem")}},
        }
        if status in (TooManyPending.status, Unavailable.status):
            seconds = {"description": "Seconds to wait", "schema": {"type": "integer", "examples": [RETRY_AFTER_S]}}
            responses[str(status)]["headers"] = {"Retry-After": seconds}
    return responses


def _said() -> Json:
    examples = {
        "text": {"text": "Thank you for waiting. You are next in line."},
        "voice": {"text": "Your order has left the warehouse.", "voice": "Joanna"},
        "ssml": {"ssml": '<speak>One moment, please. <break time="700ms"/> Here you are.</speak>'},
    }
    body = _json_body("Words", examples)
    audio = {"schema": {"description": f"A whole file of sound, up to {AUDIO_MOST_BYTES} bytes."}}
    body["content"] |= dict.fromkeys(AUDIO_TYPES, audio)
    return body


def _json_body(schema: str, examples: Json) -> Json:
    shown = {name: {"value": value} for name, value in examples.items()}
    return {"required": True, "content": {JSON_TYPE: {"schema": _ref("schemas", schema), "examples": shown}}}


def _parameters() -> Json:
    return {
        "sid": _in_path("sid", _ref("schemas", "CallSid")),
        "id": _in_path("id", _ref("schemas", "SpeechId")),
        "name": _in_path("name", _ref("schemas", "BedName")),
        "after": {
            "name": "after",
            "in": "query",
            "description": "The `next` of the page before.",
            "schema": {"type": "string"},
        },
        "when": {
            "name": "when",
            "in": "query",
            "description": "`queue`: in the order of arrival. `now`: what plays fades out, what waits is dropped.",
            "schema": {"enum": ["queue", "now"], "default": "queue"},
        },
        "idempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A request that comes again under the same key is spoken once.",
            "schema": {"type": "string", "maxLength": KEY_MOST_CHARS, "examples": ["order-4711-shipped"]},
        },
    }


def _in_path(name: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


# -- schemas --------------------------------------------------------------------------------------


def _schemas() -> Json:
    count_ms = {"type": "integer", "minimum": 0}
    maybe_ms = {"type": ["integer", "null"], "minimum": 0}
    speech_states = ["scheduled", "playing", "finished", "cancelled", "failed"]
    call = {
        "call_sid": _ref("schemas", "CallSid"),
        "state": {"enum": ["ringing", "live", "ended"]},
        "bed": {"type": ["string", "null"]},
        "position_ms": {**count_ms, "description": "How far the caller has heard, about."},
    }
    speech = {
        "speech_id": _ref("schemas", "SpeechId"),
        "state": {"enum": speech_states},
        "duration_ms": {**maybe_ms, "description": "Null while later parts are being made."},
    }
    reason = {"type": ["string", "null"], "description": "Why it was cancelled, or failed."}
    return {
        "CallSid": {"type": "string", "pattern": f"^{CALL_SID.pattern}$", "examples": ["CA" + "0123456789abcdef" * 2]},
        "SpeechId": {"type": "string", "examples": ["sp_3dofy6fby6"]},
        "BedName": {"type": "string", "pattern": f"^{NAME.pattern}$", "examples": ["calm"]},
        "Call": _object(call),
        "CallWithSpeeches": _object({**call, "speeches": _list("Speech")}),
        "PlacedCall": _object({"call_sid": _ref("schemas", "CallSid")}),
        "CallOrder": _object(
            {
                "to": _ref("schemas", "Number"),
                "from": _ref("schemas", "Number"),
                "bed": _ref("schemas", "BedName"),
                "greeting": {**_text(), "description": "What is said first."},
            },
            optional=["bed", "greeting"],
        ),
        "Number": {"type": "string", "pattern": f"^{E164.pattern}$", "description": "In E.164 form."},
        "CallPage": _object({"calls": _list("Call"), "next": {"type": ["string", "null"]}}),
        "Words": {
            "oneOf": [
                _object({"text": _text(), "voice": _voice()}, optional=["voice"]),
                _object({"ssml": _ssml(), "voice": _voice()}, optional=["voice"]),
            ]
        },
        "Speech": _object({**speech, "reason": reason, "starts_at_ms": maybe_ms}),
        "AcceptedSpeech": _object(
            {**speech, "starts_in_ms": {**maybe_ms, "description": "Null while its place is not known."}}
        ),
        "Cancelled": _object({"cancelled": {"type": "integer", "minimum": 0}}),
        "BedChoice": _object({"bed": _ref("schemas", "BedName")}),
        "BedChange": _object({"starts_in_ms": count_ms}),
        "Bed": _object(
            {
                "name": _ref("schemas", "BedName"),
                "state": {"enum": ["rendering", "ready", "failed"]},
                "seconds": {"type": ["number", "null"], "description": "After which it is heard again; null: not yet."},
                "level_dbov": {"type": ["number", "null"], "description": "RMS between 300 and 3400 Hz."},
                "reason": {"type": "string"},
            },
            optional=["reason"],
        ),
        "BedList": _object({"beds": _list("Bed")}),
        "Upload": _object(
            {
                "upload": _object(
                    {
                        "url": {"type": "string"},
                        "fields": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                )
            }
        ),
        "Problem": _object(
            {
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "What came, and what would be right."},
            }
        ),
        "Description": {"type": "object", "required": ["openapi"]},
    }


def _text() -> Json:
    limit = f"At most {TEXT_LIMIT} characters, with at least a letter, a digit or a symbol to say."
    return {"type": "string", "minLength": 1, "maxLength": TEXT_LIMIT, "description": limit}


def _ssml() -> Json:
    limit = (
        f"A `<speak>` of at most {SSML_LIMIT} characters with its tags and {TEXT_LIMIT} without; a break of at most "
        f"{BREAK_MOST_S} s. The tags: {', '.join(sorted(SSML_TAGS))}."
    )
    return {"type": "string", "minLength": 1, "maxLength": SSML_LIMIT, "description": limit}


def _voice() -> Json:
    return {"type": "string", "description": "A voice of the deployment's speech engine; its own choice without."}


def _object(properties: Json, optional: list[str] | None = None) -> Json:
    required = [name for name in properties if name not in (optional or [])]
    return {"type": "object", "properties": properties, "required": required}


def _list(schema: str) -> Json:
    return {"type": "array", "items": _ref("schemas", schema)}


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
