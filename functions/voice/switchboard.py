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
from duckline.errors import Forbidden, Malformed, Unspeakable
from duckline.records import CALL_SID
from duckline.settings import Webhooks
from duckline.stores import NotReached
from duckline.stores.secrets import Secrets
from duckline.timeline import FRAMES_PER_SECOND
from voice import twiml
from voice.answering import Answering, Turn
from voice.ending import Ending
from voice.greeting import keep_greeting
from voice.input import LISTENS, PAUSE_S, Input, call_input
from voice.notices import call_answered
from voice.webhook import Webhook

Response = dict[str, Any]

TOKEN_SPARE_S = 120  # from the TwiML to the fetch of its URL, and for a second fetch near the window's end
CARRIED = ("asked", "bed", "epoch", "greeting", "rested")  # by a webhook that has to be asked again
BEFORE_THE_FIRST = 0  # an epoch that no window has: whoever comes from there gets the current window


@dataclass(frozen=True, slots=True)
class Switchboard:
    """`plain_url` gives the address of a bed version's plain copy, good for a short while; None if there is none."""

    answering: Answering
    ending: Ending
    secrets: Secrets
    settings: Webhooks
    plain_url: Callable[[str], str | None]
    log: logging.Logger
    caller_input: str = "off"

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
        if not CALL_SID.fullmatch(call_sid):
            came = f"with the CallSid {call_sid[:80]!r}" if call_sid else "without a CallSid"
            raise Malformed(f"{webhook.route} came {came}; CA and 32 hexadecimal digits would be right")
        if webhook.route == "/voice/status":
            if "AnsweredBy" in webhook.form and "CallStatus" not in webhook.form:
                self.answering.notices.publish([call_answered(call_sid, webhook.form["AnsweredBy"], now_ms)])
            self.ending.call_over(call_sid, webhook.form.get("CallStatus", ""), now_ms)
            return NO_CONTENT
        bed, greeted = query.get("bed", ""), self._greeted(call_sid, query.get("greeting", ""), now_ms)
        if webhook.route == "/voice/input":
            return _twiml(self._taken(self._heeded(webhook, call_sid, now_ms), webhook))
        if webhook.route == "/voice":
            turn = self.answering.call_in(call_sid, bed, now_ms, greeted=greeted)
            return _twiml(self._taken(turn, webhook))
        rested = "rested" in query
        asked_ms = min(_number(webhook, "asked") or now_ms, now_ms)
        turn = self.answering.next_window(
            call_sid,
            _number(webhook, "epoch"),
            now_ms,
            rested=rested,
            bed_name=bed,
            greeted=greeted,
            asked_ms=asked_ms,
        )
        return _twiml(self._taken(turn, webhook))

    def _greeted(self, call_sid: str, words: str, now_ms: int) -> bool:
        """Whether the call begins with a speech. Words that cannot be spoken are told of, and cost no music."""
        try:
            return keep_greeting(self.ending.speeches, call_sid, words, now_ms)
        except Unspeakable as reason:
            self.log.warning("greeting not spoken", extra={"call_sid": call_sid, "reason": str(reason)})
            return False

    def _heeded(self, webhook: Webhook, call_sid: str, now_ms: int) -> Turn:
        """The window that follows what the caller pressed or said, of which the application is told once."""
        given, epoch = Input.read(webhook.form), _number(webhook, "epoch")
        told = [call_input(call_sid, given, now_ms)] if given else []
        is_cut = given is not None and self.caller_input != "off"
        cut_at_ms = now_ms - PAUSE_S * 1000 if is_cut else None
        try:
            turn = self.answering.next_window(call_sid, epoch, now_ms, rested=False, bed_name="", cut_at_ms=cut_at_ms)
        except NotReached:
            self.answering.notices.publish(told)  # what is asked again is the window alone
            raise
        if turn.call.opening_at_ms == now_ms and turn.call.epoch != epoch:
            self.answering.notices.publish(told)
        return turn

    def _taken(self, turn: Turn, webhook: Webhook) -> str:
        """The turn as TwiML."""
        if turn.kind == "over":
            return twiml.hangup()
        epoch = turn.call.epoch
        if turn.kind == "music":
            stream_url, next_url = self._stream_url(turn.call), webhook.sibling_url("/voice/next", epoch=epoch)
            listens = LISTENS[self.caller_input]
            if not listens:
                return twiml.music(stream_url, next_url)
            input_url = webhook.sibling_url("/voice/input", epoch=epoch)
            return twiml.heeding(stream_url, next_url, input_url, listens, PAUSE_S)
        plain_url = None if turn.kind == "pause" else self.plain_url(bed_at(turn.call, turn.call.sealed).version)
        if turn.kind == "full":  # the call is not kept, so what it asked for goes along
            asked = {name: webhook.query[name] for name in ("bed", "greeting") if webhook.query.get(name)}
            return twiml.rest(plain_url, webhook.sibling_url("/voice/next", epoch=BEFORE_THE_FIRST, **asked))
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
    kept |= {name: value for name, value in webhook.query.items() if name in CARRIED}
    if webhook.route == "/voice":
        kept["epoch"] = str(BEFORE_THE_FIRST)
    return webhook.sibling_url("/voice/next", **kept)


def _twiml(body: str) -> Response:
    return {"statusCode": 200, "headers": {"Content-Type": "application/xml"}, "body": body}


NO_CONTENT: Response = {"statusCode": 204}
