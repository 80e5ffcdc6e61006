"""Where Twilio's webhooks are let in, led to their use case and answered.

Nothing is looked up for a webhook that Twilio did not sign. Whatever goes wrong after that, the caller gets TwiML that
keeps the line alive and asks again.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from duckline import stream_token
from duckline.call import Call, bed_at
from duckline.errors import Forbidden, Malformed
from duckline.settings import Webhooks
from duckline.stores.secrets import Secrets
from duckline.timeline import FRAMES_PER_SECOND
from voice import twiml
from voice.answering import Answering, Turn
from voice.ending import Ending
from voice.webhook import Webhook

Response = dict[str, Any]

TOKEN_SPARE_S = 120  # from the TwiML to the fetch of its URL, and for a second fetch near the window's end
BEFORE_THE_FIRST = 0  # an epoch that no window has: whoever comes from there gets the current window


@dataclass(frozen=True, slots=True)
class Switchboard:
    """`plain_url` gives the address of a bed version's plain copy, good for a short while."""

    answering: Answering
    ending: Ending
    secrets: Secrets
    settings: Webhooks
    plain_url: Callable[[str], str]
    log: logging.Logger

    def answer(self, event: Mapping[str, Any], now_ms: int) -> Response:
        """The answer to a request of payload format 2.0: TwiML, 204 for a status callback, or 403 for a stranger."""
        try:
            webhook = Webhook.from_event(event, self.settings.public_url)
            if not webhook.signature:
                raise Forbidden(f"no X-Twilio-Signature came with the request to {webhook.base_url}{webhook.route}")
        except Forbidden as refusal:
            return self._refused(refusal)
        try:
            self._let_in(webhook)
            return self._led(webhook, now_ms)
        except Forbidden as refusal:
            return self._refused(refusal)
        except Exception:
            self.log.exception("webhook failed", extra={"route": webhook.route, "call_sid": _call_sid(webhook)})
            return (
                NO_CONTENT if webhook.route == "/voice/status" else _twiml(twiml.trouble(_again_url(webhook, now_ms)))
            )

    # -- letting in ---------------------------------------------------------------------------------

    def _let_in(self, webhook: Webhook) -> None:
        secret = self.settings.twilio_token_secret
        for tokens in (self.secrets.values, self.secrets.fresh):
            if any(webhook.is_signed_with(token) for token in tokens(secret)):
                return
        raise Forbidden(
            f"X-Twilio-Signature does not fit {webhook.base_url}{webhook.route}; it must be made with the account's "
            "auth token, and DUCKLINE_PUBLIC_URL set where Twilio reaches this by another address"
        )

    def _refused(self, refusal: Forbidden) -> Response:
        self.log.warning("webhook refused", extra={"reason": str(refusal)})
        problem = {"type": "about:blank", "title": refusal.title, "status": refusal.status, "detail": str(refusal)}
        headers = {"Content-Type": "application/problem+json"}
        return {"statusCode": refusal.status, "headers": headers, "body": json.dumps(problem)}

    # -- leading ------------------------------------------------------------------------------------

    def _led(self, webhook: Webhook, now_ms: int) -> Response:
        call_sid, query = _call_sid(webhook), webhook.query
        if not call_sid:
            raise Malformed(f"{webhook.route} came without a CallSid; Twilio sends one with every webhook of a call")
        if webhook.route == "/voice/status":
            self.ending.call_over(call_sid, webhook.form.get("CallStatus", ""), now_ms)
            return NO_CONTENT
        bed = query.get("bed", "")
        if webhook.route == "/voice":
            return _twiml(self._taken(self.answering.call_in(call_sid, bed, now_ms), webhook))
        rested = "rested" in query
        asked_ms = min(_number(webhook, "asked") or now_ms, now_ms)
        turn = self.answering.next_window(
            call_sid, _number(webhook, "epoch"), now_ms, rested=rested, bed_name=bed, asked_ms=asked_ms
        )
        return _twiml(self._taken(turn, webhook))

    def _taken(self, turn: Turn, webhook: Webhook) -> str:
        """The turn as TwiML."""
        if turn.kind == "over":
            return twiml.hangup()
        epoch = turn.call.epoch
        if turn.kind == "music":
            return twiml.music(self._stream_url(turn.call), webhook.sibling_url("/voice/next", epoch=epoch))
        plain_url = self.plain_url(bed_at(turn.call, turn.call.sealed).version) if turn.kind == "plain" else None
        return twiml.rest(plain_url, webhook.sibling_url("/voice/next", epoch=epoch, rested=1))

    def _stream_url(self, call: Call) -> str:
        """The address of the call's current window; always the same for the same window."""
        key = self.secrets.values(self.settings.stream_key_secret)[0]
        expires_at_s = call.opening_at_ms // 1000 + call.grid_frames // FRAMES_PER_SECOND + TOKEN_SPARE_S
        token = stream_token.issue(key, call.call_sid, call.epoch, expires_at_s)
        return f"{self.settings.stream_url}/stream/{token}.wav"


def _call_sid(webhook: Webhook) -> str:
    return webhook.form.get("CallSid", "")


def _number(webhook: Webhook, name: str) -> int | None:
    value = webhook.query.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 16 else None


def _again_url(webhook: Webhook, now_ms: int) -> str:
    """Where to ask for the same once more. A call that did not come in is taken up by /voice/next."""
    kept = {"asked": str(now_ms)}
    kept |= {name: value for name, value in webhook.query.items() if name in ("asked", "bed", "epoch", "rested")}
    if webhook.route == "/voice":
        kept["epoch"] = str(BEFORE_THE_FIRST)
    return webhook.sibling_url("/voice/next", **kept)


def _twiml(body: str) -> Response:
    return {"statusCode": 200, "headers": {"Content-Type": "application/xml"}, "body": body}


NO_CONTENT: Response = {"statusCode": 204}
