"""Calls by REST: placed, shown, redirected and ended. https://www.twilio.com/docs/voice/api/call-resource"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from local.twilio import Call, NotLoopbackError, SimulatedTwilio
from local.twilio_rest.account import E164, Account, Form, Handler, Refusal, one, page, required, stamp

DETECTED_AFTER_S = 2.4
ANSWERED_BY = "human"  # what machine detection says unless a test says something else


@dataclass
class Leg:
    """One call as REST knows it.

    Where a number of the account was called, `call` is the one that rang there, under a sid of its own: what is heard
    on one end of the line is heard on the other.
    """

    sid: str
    call: Call
    created_at_s: float
    is_recorded: bool = False


class Calls:
    def __init__(self, twilio: SimulatedTwilio, account: Account) -> None:
        self.twilio, self.account = twilio, account
        self.legs: dict[str, Leg] = {}
        self.answered_by = ANSWERED_BY
        self.ending: list[asyncio.Future[None]] = []

    @property
    def routes(self) -> dict[str, Handler]:
        return {
            "POST /Calls.json": self.create,
            "GET /Calls.json": self.show_all,
            "GET /Calls/{sid}.json": self.show,
            "POST /Calls/{sid}.json": self.change,
        }

    async def create(self, request: web.Request, form: Form) -> dict[str, Any]:
        to, from_ = required(form, "To"), required(form, "From")
        self._check_numbers(to, from_)
        url, twiml = one(form, "Url"), one(form, "Twiml")
        if not url and not twiml:
            raise Refusal(400, 21205, "Url parameter is required.")
        status_url = one(form, "StatusCallback") or None
        try:
            leg = await self._placed(to, from_, url, twiml, status_url, form)
        except NotLoopbackError as error:
            raise Refusal(400, 21205, f"Url is not a valid URL: {error}") from error
        leg.is_recorded = one(form, "Record").lower() == "true"
        self.legs[leg.sid] = leg
        return self.shown(leg)

    def _check_numbers(self, to: str, from_: str) -> None:
        if not (E164.fullmatch(to) or to.startswith("sip:")):
            raise Refusal(400, 21211, f"The phone number you are attempting to call, {to}, is not valid.")
        if to in self.account.unverified:
            raise Refusal(400, 21219, f"The number {to} is unverified. Trial accounts may only call verified numbers.")
        if not E164.fullmatch(from_):
            raise Refusal(400, 21212, f"The caller ID number you provided, {from_}, is not a valid number.")
        if from_ not in self.account.numbers:
            raise Refusal(
                400, 21210, f"The source phone number provided, {from_}, is not yet verified for your account."
            )

    async def _placed(self, to: str, from_: str, url: str, twiml: str, status_url: str | None, form: Form) -> Leg:
        voice_url = self.account.numbers.get(to, {}).get("voice_url")
        if voice_url and not url:
            number = self.account.numbers[to]
            call = await self.twilio.place_call(voice_url, number.get("status_callback") or None, from_=from_, to=to)
            return Leg(self.twilio.new_sid("CA"), call, time.time())
        if not url:
            raise Refusal(400, 21205, "this stand-in obeys Twiml only where one of the account's numbers is called")
        is_async = one(form, "AsyncAmd").lower() == "true"
        params = {"AnsweredBy": self.answered_by} if one(form, "MachineDetection") and not is_async else {}
        call = await self.twilio.place_call(
            url, status_url, from_=from_, to=to, params=params, direction="outbound-api"
        )
        callback = one(form, "AsyncAmdStatusCallback")
        if is_async and callback:
            call.detect_machine(callback, self.answered_by, after_s=DETECTED_AFTER_S)
        return Leg(call.call_sid, call, time.time())

    def leg(self, sid: str) -> Leg:
        if sid not in self.legs:
            raise Refusal(404, 20404, f"The requested resource /Calls/{sid}.json was not found")
        return self.legs[sid]

    async def change(self, request: web.Request, form: Form) -> dict[str, Any]:
        leg = self.leg(request.match_info["sid"])
        status, url = one(form, "Status"), one(form, "Url")
        if status not in ("", "completed", "canceled"):
            raise Refusal(400, 21218, f"Invalid status: {status}")
        if leg.call.hung_up_at is not None:
            raise Refusal(400, 21220, "Invalid call state: the call is not in progress. Cannot redirect.")
        if status:
            self.ending.append(asyncio.ensure_future(leg.call.hang_up()))
        elif url:
            leg.call.redirect(url, one(form, "Method", "POST"))
        return self.shown(leg)

    def show(self, request: web.Request, form: Form) -> dict[str, Any]:
        return self.shown(self.leg(request.match_info["sid"]))

    def show_all(self, request: web.Request, form: Form) -> dict[str, Any]:
        return page("calls", map(self.shown, self.legs.values()), request.path)

    def shown(self, leg: Leg) -> dict[str, Any]:
        call = leg.call
        identity = call.identity
        talked_s = None
        if call.answered_at is not None and call.hung_up_at is not None:
            talked_s = str(round(call.hung_up_at - call.answered_at))
        return {
            "sid": leg.sid,
            "account_sid": self.account.sid,
            "api_version": "2010-04-01",
            "to": identity.to,
            "from": identity.from_,
            "status": call.status,
            "direction": "outbound-api",
            "duration": talked_s,
            "answered_by": None,
            "date_created": stamp(leg.created_at_s),
            "price": None,
            "price_unit": "USD",
            "uri": f"/2010-04-01/Accounts/{self.account.sid}/Calls/{leg.sid}.json",
            "subresource_uris": {},
        }
