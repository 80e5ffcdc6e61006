"""The Runtime API as a streaming runtime uses it, version 2018-06-01.

- `GET /invocation/next` waits, without end, for the next event.
- `POST /invocation/{id}/response`, chunked, in the mode `streaming`: a JSON prelude (status, headers, cookies), eight
  NULs, the payload. A failure on the way is told in the trailers.
- `POST /invocation/{id}/error` tells a failure before the response has begun, `POST /init/error` one before any event.

Sources:
- https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html (paths, headers, the error object)
- https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html (streaming: the mode, the trailers, and "close the
  underlying connection after it has successfully written the response": so one connection serves `next` and the errors
  for the process's life, and each streamed response has one of its own)
- aws/aws-lambda-rust-runtime, `lambda-runtime/src/requests.rs` (the prelude's content type, `Trailer`, eight NULs)
- aws/aws-lambda-nodejs-runtime-interface-client, `src/stream/` (the trailers: error type, error object in base64)
"""

import base64
import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

ROOT = "/2018-06-01/runtime"
ERROR_TYPE, ERROR_BODY = "Lambda-Runtime-Function-Error-Type", "Lambda-Runtime-Function-Error-Body"
TRAILER_ERROR_BYTES = 2048  # of JSON; Go's HTTP server, which the Runtime API runs on, takes 4 KiB of trailers in all


class RuntimeApiLost(Exception):
    """The Runtime API did not give, or did not take, what it must."""


class RuntimeApi:
    """Lambda as its runtime sees it. `address` is `host:port`, from AWS_LAMBDA_RUNTIME_API. Raises RuntimeApiLost."""

    def __init__(self, address: str):
        self._address = address
        self._connection = HTTPConnection(address, timeout=None)

    def next(self) -> tuple[Mapping[str, str | None], bytes]:
        """Wait for the next invocation: the headers that describe it, and its event as JSON."""
        return self.call("GET", "/invocation/next", expected=200)

    def respond(self, request_id: str) -> "ResponseStream":
        """A streamed response, not begun yet."""
        return ResponseStream(HTTPConnection(self._address, timeout=None), f"{ROOT}/invocation/{request_id}/response")

    def fail_invocation(self, request_id: str, kind: str, error: dict) -> None:
        """Tell a failure of one invocation whose response has not begun. `kind` is `Category.Reason`."""
        self._fail(f"/invocation/{request_id}/error", kind, error)

    def fail_init(self, kind: str, error: dict) -> None:
        """Tell that the function cannot be started."""
        self._fail("/init/error", kind, error)

    def _fail(self, path: str, kind: str, error: dict) -> None:
        headers = {"Content-Type": "application/vnd.aws.lambda.error+json", ERROR_TYPE: kind}
        self.call("POST", path, json.dumps(error).encode(), headers, expected=202)

    def close(self) -> None:
        self._connection.close()

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None, *, expected: int):
        """One request on the connection that is kept: the answer's headers and body, if its status is as expected."""
        reused = self._connection.sock is not None
        try:
            self._connection.request(method, ROOT + path, body, headers or {})
            answer = self._connection.getresponse()
            answer_body = answer.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            if reused:  # perhaps the connection was let go while a stream ran: a fresh one tells
                return self.call(method, path, body, headers, expected=expected)
            raise RuntimeApiLost(f"{method} {path} at {self._address}: {error!r}") from error
        if answer.status != expected:
            raise RuntimeApiLost(f"{method} {path} was answered {answer.status}, not {expected}: {answer_body[:200]!r}")
        return answer.headers, answer_body


class ResponseStream:
    """One response on its way, begun by its first write. Raises RuntimeApiLost when the way breaks."""

    def __init__(self, connection: HTTPConnection, path: str):
        self._connection, self._path, self.begun = connection, path, False

    def write(self, chunk: bytes) -> None:
        """Send one chunk at once: http.client sets TCP_NODELAY. It must hold something: an empty one ends the body."""
        try:
            if not self.begun:
                self._begin()
            self._connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        except OSError as error:
            raise RuntimeApiLost(f"the response broke: {error!r}") from error

    def _begin(self) -> None:
        self.begun = True
        self._connection.putrequest("POST", self._path, skip_accept_encoding=True)
        self._connection.putheader("Content-Type", "application/vnd.awslambda.http-integration-response")
        self._connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        self._connection.putheader("Transfer-Encoding", "chunked")
        self._connection.putheader("Trailer", f"{ERROR_TYPE}, {ERROR_BODY}")
        self._connection.endheaders()

    def end(self) -> None:
        """The last chunk; then Lambda's word that it has it all."""
        self._end(b"")

    def fail(self, kind: str, error: dict) -> None:
        """The last chunk, with the failure in the trailers."""
        told = base64.b64encode(json.dumps(_short(error)).encode())
        self._end(f"{ERROR_TYPE}: {kind}\r\n{ERROR_BODY}: ".encode() + told + b"\r\n")

    def _end(self, trailers: bytes) -> None:
        try:
            self._connection.send(b"0\r\n" + trailers + b"\r\n")
            answer = self._connection.getresponse()
            answer_body = answer.read()
        except (OSError, HTTPException) as error:
            raise RuntimeApiLost(f"the response broke at its end: {error!r}") from error
        if answer.status != 202:
            raise RuntimeApiLost(f"the response was answered {answer.status}, not 202: {answer_body[:200]!r}")

    def close(self) -> None:
        """Let the connection go. A response that has not ended is cut off by it, and Lambda sees that it was."""
        self._connection.close()


def _short(error: dict) -> dict:
    """The error as it fits into a trailer: whole, or without its stack trace and with the start of its message."""
    if len(json.dumps(error)) <= TRAILER_ERROR_BYTES:
        return error
    return {**error, "errorMessage": error["errorMessage"][:120] + "…", "stackTrace": []}
