"""HTTP as API Gateway and function URLs hand it to a function, and back: payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

EVENT_MAX_BYTES = 6 * 1024 * 1024  # what Lambda takes as one event
TEXT_TYPES = ("application/json", "application/javascript", "application/xml")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in. `path` and `query` are as in the request line, not decoded."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    source_ip: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @classmethod
    def message(cls, status: int, text: str) -> "Answer":
        """An answer of the gateway's own. It is not problem+json, here as there."""
        return cls(status, [("content-type", "application/json")], json.dumps({"message": text}).encode())


class BadAnswer(Exception):
    """A function answered what the gateway cannot make a response of."""


def event(
    request: Request, *, route: str, path_parameters: Mapping[str, str], domain: str, request_id: str, now_ms: int
) -> dict[str, Any]:
    """The event of a request. `route` is the route's key, such as `GET /beds`; a function URL's is `$default`."""
    headers = _joined((name.lower(), value) for name, value in request.headers)
    cookies = headers.pop("cookie", None)
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "local",
            "domainName": domain,
            "domainPrefix": domain.split(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": route,
            "stage": "$default",
            "time": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": now_ms,
        },
        "isBase64Encoded": False,
    }
    if cookies is not None:
        made["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    if request.query:
        made["queryStringParameters"] = _joined(parse_qsl(request.query, keep_blank_values=True))
    if path_parameters:
        made["pathParameters"] = dict(path_parameters)
    if request.body:
        made["body"], made["isBase64Encoded"] = _body(request.body, headers.get("content-type", ""))
    return made


def answer(result: Any) -> Answer:
    """The response that a function's result stands for. Raises BadAnswer.

    A result without `statusCode` is a 200 with the result as JSON.
    """
    if not isinstance(result, Mapping) or "statusCode" not in result:
        return Answer(200, [("content-type", "application/json")], json.dumps(result).encode())
    try:
        status = int(result["statusCode"])
    except (TypeError, ValueError):
        raise BadAnswer(f"statusCode is {result['statusCode']!r}; a number such as 200 would be right") from None
    body = result.get("body") or ""
    if not isinstance(body, str):
        raise BadAnswer(f"body is of type {type(body).__name__}; a string would be right")
    headers = [(name.lower(), str(value)) for name, value in (result.get("headers") or {}).items()]
    if "content-type" not in dict(headers):
        headers.append(("content-type", "text/plain; charset=utf-8"))
    headers += [("set-cookie", cookie) for cookie in result.get("cookies") or ()]
    if not result.get("isBase64Encoded"):
        return Answer(status, headers, body.encode())
    try:
        return Answer(status, headers, base64.b64decode(body, validate=True))
    except binascii.Error as error:
        raise BadAnswer(f"body is not base64, though isBase64Encoded says so: {error}") from error


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    """The body as the event carries it, and whether that is base64: all but text is, a form like any other bytes."""
    media_type = content_type.split(";")[0].strip().lower()
    if media_type.startswith("text/") or media_type in TEXT_TYPES:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass  # text by its name alone
    return base64.b64encode(body).decode(), True


def _joined(pairs: Any) -> dict[str, str]:
    """One value for each name: several are joined by commas."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
