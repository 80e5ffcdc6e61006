"""The requests by which Twilio asks an application what to do with a call, and tells it that the call is over."""

import asyncio
import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from local.twilio.clock import Clock, within
from local.twilio.log import CallFault, Request
from local.twilio.loopback import NotLoopbackError, require_loopback, socket_factory
from local.twilio.signature import sign
from local.twilio.twiml import MOST_BYTES

LIMIT_S = 15.0  # Twilio's for every call-related request
USER_AGENT = "TwilioProxy/1.1"
_GEOGRAPHY = ("City", "State", "Zip", "Country")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls whom, and under which names."""

    call_sid: str
    account_sid: str
    from_: str
    to: str
    direction: str = "inbound"
    extra: Mapping[str, str] = field(default_factory=dict)

    def form(self, call_status: str, more: Mapping[str, str]) -> dict[str, str]:
        """What a voice webhook carries. Twilio sends a number's place even where it knows none: an empty value."""
        known = {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_sid,
            "CallStatus": call_status,
            "Called": self.to,
            "Caller": self.from_,
            "Direction": self.direction,
            "From": self.from_,
            "To": self.to,
        }
        for party in ("Called", "Caller", "From", "To"):
            known |= {party + place: "US" if place == "Country" else "" for place in _GEOGRAPHY}
        return known | dict(self.extra) | dict(more)


class Webhooks:
    """Signs and sends webhooks. One for all calls; `close()` it."""

    def __init__(self, auth_token: str, clock: Clock, randomness: Random, *, twice: bool) -> None:
        self._auth_token = auth_token
        self._clock = clock
        self._randomness = randomness
        self._twice = twice
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self, kind: str, method: str, url: str, form: Mapping[str, str], log: list[Request]
    ) -> tuple[Request, bytes]:
        """Ask `url`; the request and its answer's body. CallFault 11200, 11205 or 11750 if there is none of any use."""
        token = str(uuid.UUID(int=self._randomness.getrandbits(128), version=4))
        if self._twice:
            with contextlib.suppress(CallFault):
                await self._send_once(kind, method, url, form, token, log)
        return await self._send_once(kind, method, url, form, token, log)

    async def _send_once(
        self, kind: str, method: str, url: str, form: Mapping[str, str], token: str, log: list[Request]
    ) -> tuple[Request, bytes]:
        request = self._request(kind, method, url, form, token)
        log.append(request)
        try:
            body = await within(self._clock, LIMIT_S, self._exchange(request))
        except CallFault as fault:
            request.failure = fault.message
            raise
        except asyncio.CancelledError:
            request.failure = "given up"
            raise
        except TimeoutError as error:
            request.failure = f"no answer within {LIMIT_S:g} s"
            raise CallFault(11200, request.failure, request.url) from error
        request.answered_at = self._clock.time()
        if not 200 <= (request.status or 0) < 300:
            raise CallFault(11200, f"answered {request.status}: {body[:200]!r}; 200 is right", request.url)
        if len(body) > MOST_BYTES:
            raise CallFault(11750, f"the answer has more than {MOST_BYTES} bytes", request.url)
        return request, body

    def _request(self, kind: str, method: str, url: str, form: Mapping[str, str], token: str) -> Request:
        try:
            url = require_loopback(url).partition("#")[0]  # a fragment is for Twilio itself
        except NotLoopbackError as error:
            raise CallFault(11200, str(error), url) from error
        if method == "GET":
            url += ("&" if "?" in url else "?") + urlencode(form)
        headers = {
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "I-Twilio-Idempotency-Token": token,
            "X-Twilio-Signature": sign(self._auth_token, url, form.items() if method == "POST" else ()),
        }
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        return Request(kind, method, url, headers, self._clock.time(), form=dict(form))

    async def _exchange(self, request: Request) -> bytes:
        if self._session is None:
            # A connection each: one kept open that the server has dropped meanwhile would look like a lost webhook.
            connector = aiohttp.TCPConnector(socket_factory=socket_factory(self._clock), force_close=True, limit=0)
            timeout = aiohttp.ClientTimeout(total=None)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        data = urlencode(request.form).encode() if request.method == "POST" else None
        url = URL(request.url, encoded=True)
        try:
            async with self._session.request(
                request.method, url, data=data, headers=request.headers, allow_redirects=False
            ) as response:
                body = await response.content.read(MOST_BYTES + 1)
                while len(body) <= MOST_BYTES and (more := await response.content.read(MOST_BYTES + 1 - len(body))):
                    body += more
        except aiohttp.ClientConnectorError as error:
            raise CallFault(11205, f"no connection: {error}", request.url) from error
        except (aiohttp.ClientError, NotLoopbackError) as error:
            raise CallFault(11200, f"no answer: {error!r}", request.url) from error
        request.status, request.answer_headers = response.status, response.headers
        return body
