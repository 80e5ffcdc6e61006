"""The log of a call as Twilio's debugger would show it: its requests and errors, in words that JSON can hold."""

from typing import Any
from urllib.parse import urlsplit

from local.twilio import CallError, Request

FORM_SHOWN = ("CallSid", "CallStatus", "From", "To", "Direction", "CallDuration", "Digits", "SpeechResult")


def entry(number: int, request: Request, began_at: float) -> dict[str, Any]:
    """One request; `began_at` is when the call was placed, by the simulator's clock."""
    url = urlsplit(request.url)
    return {
        "number": number,
        "kind": request.kind,
        "at_s": round(request.asked_at - began_at, 3),
        "method": request.method,
        "path": url.path + (f"?{url.query}" if url.query else ""),
        "status": request.status,
        "ms": None if request.answered_at is None else round((request.answered_at - request.asked_at) * 1000),
        "type": request.answer_headers.get("content-type", ""),
        "form": {name: request.form[name] for name in FORM_SHOWN if name in request.form},
        "is_signed": "X-Twilio-Signature" in request.headers,
        "twiml": request.twiml,
        "failure": request.failure,
    }


def error(fault: CallError, began_at: float) -> dict[str, Any]:
    return {"at_s": round(fault.at - began_at, 3), "code": fault.code, "message": fault.message}
