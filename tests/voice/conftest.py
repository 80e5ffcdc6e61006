"""A switchboard over stores in memory, with a Twilio before it that signs, and a stream behind it that seals."""

import base64
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import pytest

from duckline import stream_token
from duckline.call import Part
from duckline.delivery import Delivery
from duckline.envelope import Duck
from duckline.records import BedRecord
from duckline.schedule import place, reserve
from duckline.settings import Webhooks
from duckline.stores import Hold
from duckline.stores.findings import MemoryFindings
from duckline.stores.memory import MemoryBeds, MemoryCalls, MemorySpeeches
from duckline.window import take_hold
from local.twilio.signature import sign
from voice.answering import Answering
from voice.ending import Ending
from voice.notices import Notices
from voice.switchboard import Switchboard

SID = "CA" + "0123456789abcdef" * 2
HOST = "abc123.execute-api.us-east-1.amazonaws.com"
TOKEN, OLD_TOKEN = "a" * 32, "b" * 32
STREAM_KEY = "k" * 64
NUMBER = "+14158675310"


class Told:
    """A queue or a bus that keeps what it is told; with `failure` set it fails so."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.failure: Exception | None = None

    def send(self, message: dict[str, Any]) -> None:
        self.publish([message])

    def publish(self, events: list[dict[str, Any]]) -> None:
        if self.failure is not None:
            raise self.failure
        self.messages += events

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]


class AtOnce:
    """A background that does its work at once, and keeps what failed."""

    def __init__(self) -> None:
        self.failed: list[Exception] = []

    def __call__(self, function, *args) -> None:
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001 - kept for the test to see
            self.failed.append(error)


class Vault:
    """`duckline.stores.secrets.Secrets` in a dictionary; `older` come to light when fresh values are asked for."""

    def __init__(self) -> None:
        self.current = {"twilio-token": TOKEN, "stream-key": STREAM_KEY}
        self.older: dict[str, tuple[str, ...]] = {}
        self.asked: list[str] = []
        self.failure: Exception | None = None

    def values(self, secret_id: str) -> tuple[str, ...]:
        self.asked.append(secret_id)
        if self.failure is not None:
            raise self.failure
        return (self.current[secret_id],)

    def fresh(self, secret_id: str) -> tuple[str, ...]:
        return (*self.values(secret_id), *self.older.get(secret_id, ()))


def request_of(
    route: str,
    form: Iterable[tuple[str, str]] = (),
    *,
    query: str = "",
    token: str = TOKEN,
    url: str | None = None,
    stage: str = "$default",
    raw_path: str | None = None,
    is_base64: bool = False,
    **changed: Any,
) -> dict[str, Any]:
    """A signed webhook as the HTTP API hands it on, payload format 2.0; `url` is where Twilio thinks it sent it."""
    form = list(form)
    body = urlencode(form)
    url = url or f"https://{HOST}{route}" + (f"?{query}" if query else "")
    event = {
        "version": "2.0",
        "routeKey": f"POST {route}",
        "rawPath": raw_path or route,
        "rawQueryString": query,
        "headers": {
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
            "host": HOST,
            "user-agent": "TwilioProxy/1.1",
            "x-twilio-signature": sign(token, url, form),
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": HOST,
            "http": {"method": "POST", "path": raw_path or route, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "requestId": "r1",
            "routeKey": f"POST {route}",
            "stage": stage,
            "timeEpoch": 1_800_000_000_000,
        },
        "body": base64.b64encode(body.encode()).decode() if is_base64 else body,
        "isBase64Encoded": is_base64,
    }
    return {**event, **changed}


@dataclass
class Desk:
    """Everything around one switchboard, and the time."""

    delivery: Delivery = field(default_factory=Delivery)
    settings: Webhooks = field(
        default_factory=lambda: Webhooks("https://stream.example.com", "", "hold", "stream-key", "twilio-token")
    )

    def __post_init__(self) -> None:
        self.now_ms = 1_800_000_000_000
        self.calls, self.beds, self.speeches = MemoryCalls(), MemoryBeds(), MemorySpeeches()
        self.findings, self.work, self.events = MemoryFindings(), Told(), Told()
        self.background, self.vault = AtOnce(), Vault()
        self.log = logging.getLogger("switchboard")
        self.is_full, self.plain_url = False, _plain_url
        self.notices = Notices(self.work, self.events, self.background)
        self.beds.keep(BedRecord("hold", "ready", version="v-hold"))
        self.beds.keep(BedRecord("calm", "ready", version="v-calm"))

    @staticmethod
    def request(route: str, form: Iterable[tuple[str, str]] = (), **how: Any) -> dict[str, Any]:
        return request_of(route, form, **how)

    @staticmethod
    def verbs(response: dict[str, Any]) -> list[tuple[str, str]]:
        return verbs_of(response)

    @property
    def answering(self) -> Answering:
        room = (self.calls, self.beds, self.findings, self.notices, self.delivery, "hold", lambda now_ms: self.is_full)
        return Answering(*room)

    @property
    def ending(self) -> Ending:
        return Ending(self.calls, self.speeches, self.notices)

    @property
    def switchboard(self) -> Switchboard:
        return Switchboard(self.answering, self.ending, self.vault, self.settings, self.plain_url, self.log)

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        return self.switchboard.answer(event, self.now_ms)

    def post(self, route: str, query: str = "", **form: str) -> dict[str, Any]:
        """Twilio's webhook for the call, with what it always sends."""
        fields = {"CallSid": SID, "From": NUMBER, "To": "+18005551212", "CallStatus": "in-progress", **form}
        return self.answer(request_of(route, fields.items(), query=query))

    def follow(self, response: dict[str, Any]) -> dict[str, Any]:
        """Twilio obeys the <Redirect> of an answer."""
        url = urlsplit(self.verbs(response)[-1][1])
        return self.post(url.path, url.query)

    def opened(self, response: dict[str, Any]) -> stream_token.Token:
        """The stream reads the token of the answer's <Play>."""
        name = urlsplit(self.verbs(response)[0][1]).path.removeprefix("/stream/").removesuffix(".wav")
        return stream_token.read(STREAM_KEY, name, self.now_ms / 1000)

    def plays(self, seconds: float, *, sealed: int | None = None, done: bool = False) -> None:
        """The stream takes hold of the call's window, time passes, and it has sealed as far as that."""
        call = self.calls.get(SID)
        held = take_hold(call, "h", now_ms=self.now_ms, margin_ms=0, first_frames=50, longest_frames=45_000)
        call = self.calls.write(call, held, exact=True)
        to = call.window_until if done else sealed or call.sealed
        self.pass_s(seconds)
        self.calls.seal(SID, Hold(call.epoch, "h"), to, now_ms=self.now_ms, done=done)

    def seals(self, to: int) -> None:
        """The stream that holds the call's window promises the frames below `to`, as of now."""
        call = self.calls.get(SID)
        self.calls.seal(SID, Hold(call.epoch, call.holder), to, now_ms=self.now_ms)

    def pass_s(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)

    def speak(self, speech_id: str, start: int | None = None, frames: int = 100) -> None:
        """A speech is reserved, and placed if it says where."""
        call = self.calls.get(SID)
        after = reserve(call, speech_id, now_ms=self.now_ms, lease_ms=10_000)
        if start is not None:
            duck = Duck(start, 6, start + 6 + frames, 30, 0.2)
            after = place(after, speech_id, Part(f"{speech_id}-1", duck, start + 6), more=False)
        self.calls.write(call, after)

    def change(self, **fields: Any) -> None:
        self.calls.calls[SID] = replace(self.calls.calls[SID], **fields)


def _plain_url(version: str) -> str:
    return f"https://bucket.example.com/beds/{version}/plain.wav?X-Amz-Signature=0"


def verbs_of(response: dict[str, Any]) -> list[tuple[str, str]]:
    """The answer's TwiML as its verbs and what they say."""
    assert response["statusCode"] == 200
    assert response["headers"] == {"Content-Type": "application/xml"}
    root = ElementTree.fromstring(response["body"])  # noqa: S314 - our own
    assert root.tag == "Response"
    assert all(verb.attrib == {"method": "POST"} for verb in root.iter("Redirect"))
    return [(verb.tag, verb.text or verb.get("length", "")) for verb in root]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def learning_desk() -> Desk:
    return Desk(delivery=Delivery("auto"))
