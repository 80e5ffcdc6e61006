"""A webhook of Twilio's as the HTTP API hands it on (payload format 2.0), and whether Twilio signed it.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from twilio.request_validator import RequestValidator

from duckline.errors import Forbidden
from duckline.public_url import base_url

BODY_MAX_BYTES = 65_536  # Twilio's webhooks have some hundred bytes, with what a caller said a few thousand
FORM_MAX_FIELDS = 500  # they have some thirty
QUERY_MAX_CHARS = 10_240  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html


class Form(Mapping[str, str]):
    """The fields of a form, in which a name may come more than once; as a mapping it has the first value of each."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.lists: dict[str, list[str]] = {}
        for name, value in pairs:
            self.lists.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[str]:
        """All values of `name`, in order; Twilio's validator asks for them by this method."""
        return self.lists[name]

    def __getitem__(self, name: str) -> str:
        return self.lists[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self.lists)

    def __len__(self) -> int:
        return len(self.lists)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One request: `route` is the path of the template's route, `base_url` what stands before it in public."""

    route: str
    base_url: str
    raw_query: str
    form: Form
    signature: str

    @classmethod
    def from_event(cls, event: Mapping[str, Any], public_url: str) -> "Webhook":
        """Raises Forbidden for what is too large, or too broken, to have been signed by Twilio."""
        method_and_route = event["routeKey"].partition(" ")
        route = method_and_route[2] or event["rawPath"]
        query = event.get("rawQueryString", "")
        if len(query) > QUERY_MAX_CHARS:
            raise Forbidden(f"a query of {len(query)} characters; a webhook has {QUERY_MAX_CHARS} at the most")
        signature = {name.lower(): value for name, value in event["headers"].items()}.get("x-twilio-signature", "")
        return cls(route, public_url or base_url(event, route), query, _form(event), signature)

    @property
    def url(self) -> str:
        """The address that Twilio asked, as it goes into the signature."""
        return f"{self.base_url}{self.route}" + (f"?{self.raw_query}" if self.raw_query else "")

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    def sibling_url(self, route: str, **query: str | int) -> str:
        """The public address of another route."""
        return f"{self.base_url}{route}" + (f"?{urlencode(query)}" if query else "")

    def is_signed_with(self, token: str) -> bool:
        """Whether Twilio signed this with the auth token `token`."""
        return RequestValidator(token).validate(self.url, self.form, self.signature)


def _form(event: Mapping[str, Any]) -> Form:
    body = event.get("body") or ""
    is_base64 = event.get("isBase64Encoded", False)
    longest = BODY_MAX_BYTES * 4 // 3 + 4 if is_base64 else BODY_MAX_BYTES
    if len(body) > longest:
        raise Forbidden(f"a body of {len(body)} bytes; a webhook has {BODY_MAX_BYTES} at the most")
    try:
        if is_base64:
            body = base64.b64decode(body, validate=True).decode()
        return Form(parse_qsl(body, keep_blank_values=True, max_num_fields=FORM_MAX_FIELDS))
    except (binascii.Error, ValueError) as error:
        raise Forbidden(f"the body is no form that Twilio sends: {error}") from None
