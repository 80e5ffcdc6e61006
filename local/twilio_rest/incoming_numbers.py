"""The account's own numbers and their webhooks. https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource"""

import hashlib
from typing import Any

from aiohttp import web

from local.twilio_rest.account import Account, Form, Handler, Refusal, page

WEBHOOKS = {
    "VoiceUrl": "voice_url",
    "StatusCallback": "status_callback",
    "VoiceApplicationSid": "voice_application_sid",
}
METHODS = {"VoiceMethod": "voice_method", "StatusCallbackMethod": "status_callback_method"}


class IncomingNumbers:
    def __init__(self, account: Account) -> None:
        self.account = account

    @property
    def routes(self) -> dict[str, Handler]:
        return {
            "GET /IncomingPhoneNumbers.json": self.show_all,
            "GET /IncomingPhoneNumbers/{sid}.json": self.show,
            "POST /IncomingPhoneNumbers/{sid}.json": self.change,
        }

    def show_all(self, request: web.Request, form: Form) -> dict[str, Any]:
        wanted = request.query.get("PhoneNumber", "")
        shown = [self._shown(number) for number in self.account.numbers if wanted in number]
        return page("incoming_phone_numbers", shown, request.path)

    def show(self, request: web.Request, form: Form) -> dict[str, Any]:
        return self._shown(self._number(request.match_info["sid"]))

    def change(self, request: web.Request, form: Form) -> dict[str, Any]:
        number = self._number(request.match_info["sid"])
        for name, values in form.items():
            if name in METHODS and values[0] not in ("GET", "POST"):
                raise Refusal(400, 21403, f"{name} is not valid: {values[0]}")
            if name.endswith(("Url", "Callback")) and values[0] and not values[0].startswith(("http://", "https://")):
                raise Refusal(400, 21402, f"{name} is not valid: {values[0]}")
            if field := (WEBHOOKS | METHODS).get(name):
                self.account.numbers[number][field] = values[0]
        return self._shown(number)

    def _number(self, sid: str) -> str:
        for number in self.account.numbers:
            if _sid(number) == sid:
                return number
        raise Refusal(404, 20404, f"The requested resource /IncomingPhoneNumbers/{sid}.json was not found")

    def _shown(self, number: str) -> dict[str, Any]:
        webhooks = dict.fromkeys(WEBHOOKS.values(), "") | dict.fromkeys(METHODS.values(), "POST")
        sid = _sid(number)
        return {
            "sid": sid,
            "account_sid": self.account.sid,
            "phone_number": number,
            "friendly_name": number,
            "trunk_sid": None,
            **webhooks,
            **self.account.numbers[number],
            "uri": f"/2010-04-01/Accounts/{self.account.sid}/IncomingPhoneNumbers/{sid}.json",
        }


def _sid(number: str) -> str:
    return "PN" + hashlib.md5(number.encode(), usedforsecurity=False).hexdigest()
