"""Recordings of calls that were asked for with `Record=true`: what the caller heard, as a WAV.

https://www.twilio.com/docs/voice/api/recording
"""

from typing import Any

from aiohttp import web

from local.twilio_rest.account import Account, Form, Handler, Refusal, page
from local.twilio_rest.calls import Calls, Leg


class Recordings:
    def __init__(self, calls: Calls, account: Account) -> None:
        self.calls, self.account = calls, account
        self.deleted: set[str] = set()

    @property
    def routes(self) -> dict[str, Handler]:
        return {
            "GET /Calls/{sid}/Recordings.json": self.of_call,
            "GET /Recordings/{sid}.json": self.show,
            "GET /Recordings/{sid}.wav": self.sound,
            "DELETE /Recordings/{sid}.json": self.delete,
        }

    def of_call(self, request: web.Request, form: Form) -> dict[str, Any]:
        leg = self.calls.leg(request.match_info["sid"])
        shown = [self._shown(leg)] if leg.is_recorded and _sid(leg) not in self.deleted else []
        return page("recordings", shown, request.path)

    def show(self, request: web.Request, form: Form) -> dict[str, Any]:
        return self._shown(self._leg(request.match_info["sid"]))

    def sound(self, request: web.Request, form: Form) -> web.Response:
        leg = self._leg(request.match_info["sid"])
        if leg.call.hung_up_at is None:
            raise Refusal(404, 20404, "The recording is not there while its call goes on")
        return web.Response(body=leg.call.recording().to_wav(), content_type="audio/x-wav")

    def delete(self, request: web.Request, form: Form) -> None:
        self.deleted.add(_sid(self._leg(request.match_info["sid"])))

    def _leg(self, sid: str) -> Leg:
        for leg in self.calls.legs.values():
            if leg.is_recorded and _sid(leg) == sid and sid not in self.deleted:
                return leg
        raise Refusal(404, 20404, f"The requested resource /Recordings/{sid}.json was not found")

    def _shown(self, leg: Leg) -> dict[str, Any]:
        is_over = leg.call.hung_up_at is not None
        sid = _sid(leg)
        return {
            "sid": sid,
            "account_sid": self.account.sid,
            "api_version": "2010-04-01",
            "call_sid": leg.sid,
            "channels": 1,
            "duration": str(round(leg.call.recording().seconds)) if is_over else None,
            "source": "OutboundAPI",
            "status": "completed" if is_over else "in-progress",
            "uri": f"/2010-04-01/Accounts/{self.account.sid}/Recordings/{sid}.json",
        }


def _sid(leg: Leg) -> str:
    return "RE" + leg.sid.removeprefix("CA")
