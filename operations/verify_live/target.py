"""The stack that is measured: its addresses, and what lets one in."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import requests
from twilio.request_validator import RequestValidator

PATIENCE_S = 20


class Refused(Exception):
    """The stack answered something else than what was asked for."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the stack is reached, its API's key, and the auth token with which webhooks are signed."""

    voice_url: str
    status_url: str
    api_url: str
    api_key: str
    auth_token: str

    @classmethod
    def of_stack_json(cls, told: Mapping[str, str]) -> "Target":
        """What `make dev` writes into .local/stack.json."""
        return cls(told["voice_url"], told["status_url"], told["api_url"], told["api_key"], told["twilio_auth_token"])

    # -- Twilio's side --------------------------------------------------------------------------------

    def webhook(self, url: str, call_sid: str, **more: str) -> requests.Response:
        """A webhook as Twilio would send it. Raises Refused."""
        form = {"CallSid": call_sid, "CallStatus": "in-progress", **more}
        signature = RequestValidator(self.auth_token).compute_signature(url, form)
        answer = requests.post(url, data=form, headers={"X-Twilio-Signature": signature}, timeout=PATIENCE_S)
        return _good(answer, url)

    def window(self, url: str, call_sid: str) -> tuple[str, str]:
        """The addresses of the music and of what follows it, as the TwiML at `url` has them."""
        answer = self.webhook(url, call_sid)
        verbs = ElementTree.fromstring(answer.content)  # noqa: S314 - our own stack's
        play, redirect = verbs.find(".//Play"), verbs.find("Redirect")
        if play is None or redirect is None:
            raise Refused(f"{url} answered no music: {answer.text[:200]}")
        return play.text or "", redirect.text or ""

    # -- the application's side -----------------------------------------------------------------------

    def live_calls(self) -> list[str]:
        return [call["call_sid"] for call in self.api("GET", "/calls")["calls"]]

    def say(self, call_sid: str, wav: bytes) -> dict[str, Any]:
        """A speech of the caller's own audio, accepted."""
        return self.api("POST", f"/calls/{call_sid}/speeches", data=wav, headers={"Content-Type": "audio/wav"})

    def api(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> Any:
        """Raises Refused."""
        authorized = {"Authorization": f"Bearer {self.api_key}", **(headers or {})}
        answer = requests.request(method, self.api_url + path, headers=authorized, timeout=PATIENCE_S, **more)
        return json.loads(_good(answer, f"{method} {path}").content or b"null")

    def until_over(self, call_sid: str, within_s: float) -> float | None:
        """How long it took until the stack took the call for ended; None if it did not within that."""
        began = time.monotonic()
        while time.monotonic() < began + within_s:
            if self.api("GET", f"/calls/{call_sid}")["state"] == "ended":
                return time.monotonic() - began
            time.sleep(0.25)
        return None


def _good(answer: requests.Response, asked: str) -> requests.Response:
    if answer.status_code >= 300:
        raise Refused(f"{asked} was answered {answer.status_code}: {answer.text[:200]}")
    return answer
