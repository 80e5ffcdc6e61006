"""Calls that go out: Twilio is asked for one, and sends its webhooks for it like for any other.

One request of Twilio's REST API does it, so its client stays out of the artifact: see docs/decisions/.
https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import urllib3

from duckline.errors import DucklineError, Malformed, Unavailable
from duckline.records import CALL_SID

E164 = re.compile(r"\+[1-9][0-9]{6,14}")  # ITU-T E.164: at most fifteen digits; none is shorter than seven
NUMBER = re.compile(r"\+?[0-9][0-9 ().-]{5,}[0-9]")  # in Twilio's messages
TIMEOUT = urllib3.Timeout(connect=2, read=10)
RANGS_FOR_S = 60


class NotCallable(DucklineError):
    """Twilio, which knows the numbers, will not place this call."""

    status = 422
    title = "Cannot be called"


class NotSetUp(DucklineError):
    """The deployment lacks what it takes."""

    status = 501
    title = "Not set up"


@dataclass(frozen=True, slots=True)
class Order:
    """A call that is wanted. `bed` and `greeting` may be empty."""

    to: str
    from_: str
    bed: str = ""
    greeting: str = ""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> "Order":
        """Raises Malformed, which quotes no number."""
        given = {name: body.get(name, "") for name in ("to", "from", "bed", "greeting")}
        for name, value in given.items():
            if not isinstance(value, str):
                raise Malformed(f"{name} is {type(value).__name__}; a string would be right")
        for name in ("to", "from"):
            if not E164.fullmatch(given[name]):
                came = f"has {len(given[name])} characters" if given[name] else "is missing"
                raise Malformed(f"{name} {came}; a number in E.164 form would be right: +, country, 7 to 15 digits")
        return cls(given["to"], given["from"], given["bed"], given["greeting"])


@dataclass(frozen=True, slots=True)
class Answer:
    """What Twilio said."""

    status: int
    body: bytes


class Ask(Protocol):
    def __call__(self, url: str, form: Mapping[str, str], credentials: tuple[str, str]) -> Answer:
        """One POST. Raises Unavailable if there is no answer."""


class Tokens(Protocol):
    """`duckline.stores.secrets.Secrets`."""

    def values(self, secret_id: str) -> tuple[str, ...]: ...

    def fresh(self, secret_id: str) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Outbound:
    """The use case of a call that goes out. `account_sid` is empty where no account was set."""

    account_sid: str
    token_secret: str
    api_url: str
    detects_machines: bool
    tokens: Tokens
    ask: Ask

    def place(self, order: Order, base_url: str) -> str:
        """Asks for the call; its sid. `base_url` is where Twilio reaches voice.

        Raises NotSetUp, NotCallable with Twilio's reason, Unavailable.
        """
        if not self.account_sid:
            raise NotSetUp("no Twilio account is set; the parameter TwilioAccountSid would be right")
        form = self._form(order, base_url)
        url = f"{self.api_url}/2010-04-01/Accounts/{self.account_sid}/Calls.json"
        for tokens in (self.tokens.values, self.tokens.fresh):
            for token in tokens(self.token_secret):
                answer = self.ask(url, form, (self.account_sid, token))
                if answer.status != 401:
                    return _sid(answer)
        raise NotSetUp("Twilio refuses the credentials; a TwilioAccountSid and its TwilioAuthToken would be right")

    def _form(self, order: Order, base_url: str) -> dict[str, str]:
        asked = {"bed": order.bed, "greeting": "1" if order.greeting else ""}
        query = urlencode({name: value for name, value in asked.items() if value})
        form = {
            "To": order.to,
            "From": order.from_,
            "Url": f"{base_url}/voice" + (f"?{query}" if query else ""),
            "Method": "POST",
            "StatusCallback": f"{base_url}/voice/status",
            "StatusCallbackMethod": "POST",
            "Timeout": str(RANGS_FOR_S),
        }
        if self.detects_machines:  # beside the call: the music does not wait for it
            form |= {
                "MachineDetection": "Enable",
                "AsyncAmd": "true",
                "AsyncAmdStatusCallback": f"{base_url}/voice/status",
                "AsyncAmdStatusCallbackMethod": "POST",
            }
        return form


NO_ACCOUNT = Outbound("", "", "", detects_machines=False, tokens=None, ask=None)


def _sid(answer: Answer) -> str:
    """The sid of the call that Twilio has placed; its refusal as an error otherwise."""
    try:
        told = json.loads(answer.body)
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    if answer.status == 201 and CALL_SID.fullmatch(str(told.get("sid"))):
        return told["sid"]
    if answer.status == 429 or answer.status >= 500 or answer.status == 201:
        raise Unavailable(f"Twilio answered {answer.status}; whether it has placed the call is not known")
    code = told.get("code", "none")
    said = NUMBER.sub("(number)", str(told.get("message", "no reason")))
    more = f", https://www.twilio.com/docs/errors/{code}" if isinstance(code, int) else ""
    raise NotCallable(f"Twilio refused the call: {said} (error {code}{more})")


def asking(pool: Callable[[], urllib3.PoolManager]) -> Ask:
    """`Ask` over HTTPS. Nothing is sent twice: each would be a call."""

    def ask(url: str, form: Mapping[str, str], credentials: tuple[str, str]) -> Answer:
        headers = urllib3.make_headers(basic_auth=":".join(credentials), user_agent="duckline")
        try:
            response = pool().request(
                "POST", url, fields=form, encode_multipart=False, headers=headers, timeout=TIMEOUT, retries=False
            )
        except urllib3.exceptions.HTTPError as error:
            kind = type(error).__name__
            raise Unavailable(f"Twilio gave no answer ({kind}); whether it has placed the call is not known") from None
        return Answer(response.status, response.data)

    return ask
