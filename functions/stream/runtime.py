"""The runtime loop of `stream`: takes an event from Lambda, answers with a body that flows, takes the next.

Managed Python answers only with a whole body. So `AWS_LAMBDA_EXEC_WRAPPER=/var/task/stream/bootstrap` starts this loop
in its place, on the same image, with the standard library alone. `stream.runtime_api` has the protocol and its sources.

A handler is `handler(event: dict, context: Context) -> StreamedResponse`. The response begins with its body's first
bytes: whatever fails before them is an error of the invocation (Lambda answers 502), whatever fails after them ends the
response with the error in its trailers. Either way the process lives on and takes the next event. It ends with status 1
when the handler cannot be loaded or the Runtime API is gone, and with 0 on SIGTERM, which cuts a running response off.
"""

import importlib
import json
import logging
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NoReturn

from stream.runtime_api import RuntimeApi, RuntimeApiLost

PRELUDE_END = bytes(8)
EMPTY_PAYLOAD = b"\n"  # Lambda wants one byte of payload at least; a client that asked with HEAD is not sent it

log = logging.getLogger("stream.runtime")


@dataclass(frozen=True)
class StreamedResponse:
    """What a handler answers: an HTTP status, headers, and a body, each piece of which leaves as soon as it is yielded.

    Empty pieces are skipped; a body of nothing is sent as one newline. The body's iterator is closed whatever happens,
    so that a generator's `finally` runs.
    """

    status: int
    headers: Mapping[str, str]
    body: Iterable[bytes]
    cookies: Sequence[str] = ()


@dataclass(frozen=True)
class Context:
    """Lambda's context object, under the names that awslambdaric gives it and Powertools reads."""

    aws_request_id: str
    invoked_function_arn: str
    deadline_ms: int  # since 1970
    trace_id: str
    function_name: str
    function_version: str
    memory_limit_in_mb: int
    log_group_name: str
    log_stream_name: str
    tenant_id: str | None = None
    client_context: None = None  # this and identity come with the SDK's Invoke, never with a function URL
    identity: None = None

    @classmethod
    def of(cls, headers: Mapping[str, str | None], environ: Mapping[str, str]) -> "Context":
        """From the headers of `next` (None where one is missing) and the variables that Lambda sets."""
        return cls(
            aws_request_id=headers["Lambda-Runtime-Aws-Request-Id"] or "",
            invoked_function_arn=headers["Lambda-Runtime-Invoked-Function-Arn"] or "",
            deadline_ms=int(headers["Lambda-Runtime-Deadline-Ms"] or 0),
            trace_id=headers["Lambda-Runtime-Trace-Id"] or "",
            function_name=environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            function_version=environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            memory_limit_in_mb=int(environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")),
            log_group_name=environ.get("AWS_LAMBDA_LOG_GROUP_NAME", ""),
            log_stream_name=environ.get("AWS_LAMBDA_LOG_STREAM_NAME", ""),
            tenant_id=headers["Lambda-Runtime-Aws-Tenant-Id"],
        )

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.deadline_ms - time.time_ns() // 1_000_000)


class BadHandler(Exception):
    """The handler's name leads to nothing that can be called."""


class BadResponse(Exception):
    """The handler returned, or its body yielded, what cannot be sent."""


def run(
    handler_name: str, runtime_api: str, environ: MutableMapping[str, str] = os.environ, answer: Callable | None = None
) -> NoReturn:
    """Load the handler, then serve events one after the other for as long as Lambda gives any.

    `answer` runs one invocation; `stream_answer` if none is given. Raises RuntimeApiLost when Lambda gives no more,
    SystemExit(1) when the handler cannot be loaded.
    """
    with closing(RuntimeApi(runtime_api)) as api:
        try:
            handler = load(handler_name)
        except Exception as error:
            api.fail_init(*told(error, ""))
            raise SystemExit(1) from error
        while True:
            headers, event = api.next()
            context = Context.of(headers, environ)
            JsonLines.request_id = context.aws_request_id
            environ["_X_AMZN_TRACE_ID"] = context.trace_id
            try:
                (answer or stream_answer)(api, handler, event, context)
            except RuntimeApiLost as lost:  # a response too large, say: if Lambda itself is gone, `next` will tell
                log.error("nobody took the response: %s", lost)


def load(name: str) -> Callable:
    """The function that `package.module.function` names. Raises BadHandler, or what importing it raises."""
    module, _, function = name.replace("/", ".").rpartition(".")
    if not module:
        raise BadHandler(f"the handler is {name!r}; module.function is wanted, such as stream.handler.handler")
    handler = getattr(importlib.import_module(module), function, None)
    if not callable(handler):
        raise BadHandler(f"the handler is {name!r}, but {module} has no function {function}")
    return handler


def stream_answer(api: RuntimeApi, handler: Callable, event: bytes, context: Context) -> None:
    """Run one invocation to its end. What the handler does wrong is told to Lambda, and is no failure of the loop."""
    stream, body = api.respond(context.aws_request_id), None
    try:
        response = handler(json.loads(event), context)
        body = getattr(response, "body", None)
        check(response)
        body = iter(body)
        for chunk in payload(body):
            if not stream.begun:
                stream.write(prelude(response))
            stream.write(chunk)
        stream.end()
    except RuntimeApiLost:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a handler raises belongs to its invocation
        if stream.begun:
            stream.fail(*told(error, context.aws_request_id))
        else:
            api.fail_invocation(context.aws_request_id, *told(error, context.aws_request_id))
    finally:
        stream.close()
        close(body)


def check(response: object) -> None:
    """Raise BadResponse if this cannot be sent, quoting what came and saying what would do."""
    if not isinstance(response, StreamedResponse):
        raise BadResponse(f"the handler returned {response!r:.200}; a StreamedResponse is wanted")
    if type(response.status) is not int or not 200 <= response.status <= 599:
        raise BadResponse(f"the status is {response.status!r:.60}; a whole number from 200 to 599 is wanted")
    if not isinstance(response.headers, Mapping):
        raise BadResponse(f"the headers are {response.headers!r:.200}; a mapping of str to str is wanted")
    for name, value in response.headers.items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise BadResponse(f"a header is named {name!r:.60}; a str of letters, digits and hyphens is wanted")
        if not isinstance(value, str) or not re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", value):
            raise BadResponse(f"the header {name} is {value!r:.200}; a str of one line is wanted")
        if name.lower() == "transfer-encoding":
            raise BadResponse(f"the header {name} is set; leave it out, Lambda's front end chunks by itself")
    if isinstance(response.cookies, str) or not all(isinstance(cookie, str) for cookie in response.cookies):
        raise BadResponse(f"the cookies are {response.cookies!r:.200}; a sequence of str is wanted")
    if isinstance(response.body, bytes | bytearray | str) or not isinstance(response.body, Iterable):
        raise BadResponse(f"the body is {response.body!r:.60}; an iterable of bytes is wanted, such as [b'...']")


def payload(body: Iterator[bytes]) -> Iterator[bytes]:
    """The body's pieces that hold something, or the one byte that Lambda wants."""
    sent = False
    for chunk in body:
        if not isinstance(chunk, bytes):
            raise BadResponse(f"the body yielded {chunk!r:.60}; bytes are wanted")
        if chunk:
            sent = True
            yield chunk
    if not sent:
        yield EMPTY_PAYLOAD


def prelude(response: StreamedResponse) -> bytes:
    head = {"statusCode": response.status, "headers": dict(response.headers), "cookies": list(response.cookies)}
    return json.dumps(head).encode() + PRELUDE_END


def close(body: object) -> None:
    """End a generator where it stands, so that its `finally` runs now and not when memory is tidied."""
    try:
        if hasattr(body, "close"):
            body.close()
    except Exception:
        log.exception("closing the body failed")


def told(error: Exception, request_id: str) -> tuple[str, dict]:
    """Log a failure, and put it as Lambda wants it: `Category.Reason`, and the error object."""
    category = "Runtime" if isinstance(error, BadHandler | BadResponse) else "Function"
    reason = type(error).__name__.encode("ascii", "replace").decode()
    log.error("%s: %s", reason, error, exc_info=error)
    return f"{category}.{reason}", {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


class JsonLines(logging.Formatter):
    """One JSON object a line, under the names of Lambda's own JSON logs; the request's id is in every line."""

    request_id = ""  # a process serves one request at a time

    def format(self, record: logging.LogRecord) -> str:
        seconds, ms = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)), int(record.msecs)
        line = {"timestamp": f"{seconds}.{ms:03d}Z", "level": record.levelname, "message": record.getMessage()}
        line |= {"logger": record.name, "requestId": self.request_id}
        if record.exc_info and record.exc_info[1]:
            line["stackTrace"] = traceback.format_exception(record.exc_info[1])
        return json.dumps(line)


def main(answer: Callable | None = None) -> NoReturn:
    """What `bootstrap` starts."""
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(JsonLines())
    logging.getLogger().addHandler(lines)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        run(os.environ["_HANDLER"], os.environ["AWS_LAMBDA_RUNTIME_API"], answer=answer)
    except RuntimeApiLost as lost:
        log.critical("%s", lost)
        sys.exit(1)
