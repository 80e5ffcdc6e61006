"""Whose account it is, what Twilio refuses, and how it says so.

Errors: https://www.twilio.com/docs/api/errors, each a JSON object with `code`, `message`, `more_info` and `status`.
"""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from aiohttp import web

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
Form = Mapping[str, list[str]]


class Refusal(Exception):
    """A request that Twilio answers with an error."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self) -> web.Response:
        body = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        return web.Response(status=self.status, text=json.dumps(body), content_type="application/json")


@dataclass
class Account:
    """An account by its credentials. `numbers` are its own, with their webhooks; `unverified` may not be called."""

    sid: str
    auth_token: str
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)
    unverified: set[str] = field(default_factory=set)

    def let_in(self, authorization: str) -> None:
        """Refusal 20003 unless these are the account's sid and token."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
        except binascii.Error:
            given = b""
        if not hmac.compare_digest(given, f"{self.sid}:{self.auth_token}".encode()):
            raise Refusal(401, 20003, "Authenticate")


def one(form: Form, name: str, default: str = "") -> str:
    """The first value of a parameter."""
    return form.get(name, [default])[0]


def required(form: Form, name: str) -> str:
    """Refusal 21201 and its like for what is missing."""
    value = one(form, name)
    if not value:
        codes = {"To": 21201, "From": 21213, "Url": 21205}
        raise Refusal(400, codes.get(name, 20001), f"No '{name}' specified")
    return value


def page(name: str, items: Iterable[Mapping[str, Any]], uri: str) -> dict[str, Any]:
    """A list in the form in which Twilio hands it out, all on one page."""
    shown = list(items)
    places = {"uri": uri, "first_page_uri": uri, "next_page_uri": None, "previous_page_uri": None}
    return {name: shown, "page": 0, "page_size": max(50, len(shown)), "start": 0, "end": len(shown), **places}


def stamp(at_s: float | None) -> str | None:
    """A time as Twilio writes it (RFC 2822)."""
    return None if at_s is None else formatdate(at_s, usegmt=True)


Handler = Callable[[web.Request, Form], Any]
