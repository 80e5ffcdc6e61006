"""The loop on the wire: a Runtime API that writes down all that it is told, byte for byte."""

import base64
import json
import logging
import socketserver
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest
from aws_lambda_powertools import Logger

from stream import runtime
from stream.runtime import JsonLines, StreamedResponse, run
from stream.runtime_api import RuntimeApiLost

ROOT = "/2018-06-01/runtime"
WAV = {"Content-Type": "audio/wav"}


@dataclass
class Told:
    """A request as it came, its body by chunks."""

    line: str
    client: tuple[str, int]
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return self.line.split()[1].removeprefix(ROOT)

    @property
    def error(self) -> dict:
        return json.loads(b"".join(self.chunks))

    @property
    def trailer_error(self) -> dict:
        return json.loads(base64.b64decode(self.trailers["lambda-runtime-function-error-body"]))


class RecordingLambda(socketserver.ThreadingTCPServer):
    """Gives its events one after the other, then answers `next` with 410. It can be told to break off."""

    daemon_threads = True

    def __init__(self, *events: dict):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.events, self.told = list(events), []
        self.arrived = threading.Semaphore(0)  # released at each chunk of a streamed response
        self.hangs_up_after_chunks = self.hangs_up_after_next = 0
        self.response_status = 202

    @property
    def address(self) -> str:
        return "{}:{}".format(*self.server_address)

    def paths(self) -> list[str]:
        return [told.path for told in self.told]

    def only(self, end: str) -> Told:
        (found,) = (told for told in self.told if told.path.endswith(end))
        return found


class Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline().decode():
            told = Told(line.strip(), self.client_address, self._fields())
            self.server.told.append(told)
            if not self._read_body(told) or not self._answer(told):
                return

    def _fields(self) -> dict[str, str]:
        lines = iter(lambda: self.rfile.readline().decode().strip(), "")
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def _read_body(self, told: Told) -> bool:
        if told.headers.get("transfer-encoding") != "chunked":
            told.chunks.append(self.rfile.read(int(told.headers.get("content-length", 0))))
            return True
        while size := int(self.rfile.readline(), 16):
            told.chunks.append(self.rfile.read(size))
            assert self.rfile.read(2) == b"\r\n"
            self.server.arrived.release()
            if len(told.chunks) == self.server.hangs_up_after_chunks:
                self.server.hangs_up_after_chunks = 0
                return False
        told.trailers = self._fields()
        return True

    def _answer(self, told: Told) -> bool:
        status, headers, body = self.server.response_status, {}, b"{}"
        if told.path.endswith("/error"):
            status = 202
        if told.path == "/invocation/next":
            status, number = 410, sum(path == "/invocation/next" for path in self.server.paths())
            if number <= len(self.server.events):
                status, body = 200, json.dumps(self.server.events[number - 1]).encode()
                headers = {
                    "Lambda-Runtime-Aws-Request-Id": f"id-{number}",
                    "Lambda-Runtime-Deadline-Ms": str(time.time_ns() // 1_000_000 + 3000),
                    "Lambda-Runtime-Trace-Id": f"Root=1-5bef4de7-{number}",
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:stream",
                }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.wfile.write(f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return not (told.path == "/invocation/next" and self.server.hangs_up_after_next)


@pytest.fixture
def lambda_of():
    """Make a Lambda of some events."""
    servers = []

    def make(*events: dict) -> RecordingLambda:
        server = RecordingLambda(*events)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def serve(monkeypatch):
    """Run the loop with a handler until Lambda has no more events; the variables that the loop saw and set."""

    def run_to_the_end(server: RecordingLambda, handler, **environ: str) -> dict[str, str]:
        module = ModuleType("handlers")
        module.handler = handler
        monkeypatch.setitem(sys.modules, "handlers", module)
        with pytest.raises(RuntimeApiLost, match="410"):
            run("handlers.handler", server.address, environ)
        return environ

    return run_to_the_end


class Spoken:
    """A body that remembers whether it was closed."""

    def __init__(self, *pieces):
        self.pieces, self.closed = pieces, False

    def __iter__(self):
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed = True


def streaming(*pieces):
    return lambda event, context: StreamedResponse(200, WAV, iter(pieces))


def test_a_response_is_a_prelude_eight_nuls_and_the_payload_piece_by_piece(lambda_of, serve):
    server = lambda_of({})
    serve(server, lambda event, context: StreamedResponse(201, WAV, [b"RIFF", b"\xff" * 160], ("a=b",)))
    told = server.only("/response")
    prelude, *payload = told.chunks
    assert prelude.endswith(bytes(8))
    assert json.loads(prelude[:-8]) == {"statusCode": 201, "headers": WAV, "cookies": ["a=b"]}
    assert payload == [b"RIFF", b"\xff" * 160]
    assert told.trailers == {}
    assert told.line == f"POST {ROOT}/invocation/id-1/response HTTP/1.1"
    assert told.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert told.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert told.headers["trailer"] == "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
    assert "content-length" not in told.headers


def test_a_piece_has_arrived_before_the_next_one_is_asked_for(lambda_of, serve):
    server = lambda_of({})

    def body():
        yield b"first"
        assert all(server.arrived.acquire(timeout=5) for _ in ("prelude", "first"))
        yield b"second"
        assert server.arrived.acquire(timeout=5)
        yield b"third"

    serve(server, lambda event, context: StreamedResponse(200, WAV, body()))
    assert server.only("/response").chunks[1:] == [b"first", b"second", b"third"]
    assert not server.only("/response").trailers


def test_the_handler_is_given_the_event_and_what_lambda_says_of_it(lambda_of, serve):
    server, seen = lambda_of({"rawPath": "/stream/x.wav"}), []

    def handler(event, context):
        seen.append((event, context, context.get_remaining_time_in_millis()))
        return StreamedResponse(200, WAV, [b"x"])

    environ = serve(server, handler, AWS_LAMBDA_FUNCTION_NAME="stream", AWS_LAMBDA_FUNCTION_MEMORY_SIZE="256")
    ((event, context, left_ms),) = seen
    assert event == {"rawPath": "/stream/x.wav"}
    assert (context.aws_request_id, context.function_name, context.memory_limit_in_mb) == ("id-1", "stream", 256)
    assert context.invoked_function_arn.endswith(":function:stream")
    assert 0 < left_ms <= 3000
    assert context.trace_id == environ["_X_AMZN_TRACE_ID"] == "Root=1-5bef4de7-1"


def test_time_left_is_never_less_than_none():
    headers = dict.fromkeys(("Lambda-Runtime-Aws-Tenant-Id", "Lambda-Runtime-Trace-Id"), None)
    headers |= {"Lambda-Runtime-Aws-Request-Id": "id", "Lambda-Runtime-Invoked-Function-Arn": "arn"}
    context = runtime.Context.of({**headers, "Lambda-Runtime-Deadline-Ms": "1000"}, {})
    assert context.get_remaining_time_in_millis() == 0


def test_powertools_takes_the_context_for_its_own(lambda_of, serve, capsys):
    server, log = lambda_of({}), Logger(service="stream")

    @log.inject_lambda_context
    def handler(event, context):
        log.info("window opened")
        return StreamedResponse(200, WAV, [b"x"])

    serve(server, handler, AWS_LAMBDA_FUNCTION_NAME="stream", AWS_LAMBDA_FUNCTION_MEMORY_SIZE="256")
    line = json.loads(capsys.readouterr().out)
    assert (line["function_request_id"], line["function_name"]) == ("id-1", "stream")


def test_pieces_of_nothing_are_skipped_because_they_would_end_the_body(lambda_of, serve):
    server = lambda_of({})
    serve(server, streaming(b"", b"one", b"", b"two", b""))
    assert server.only("/response").chunks[1:] == [b"one", b"two"]


def test_a_body_of_nothing_is_the_one_byte_that_lambda_wants(lambda_of, serve):
    server = lambda_of({})
    serve(server, streaming())
    assert server.only("/response").chunks[1:] == [b"\n"]


def test_a_handler_that_raises_is_told_as_an_error_of_its_invocation(lambda_of, serve):
    server = lambda_of({}, {})
    serve(server, lambda event, context: {}["the call"])
    first, second = (told for told in server.told if told.path.endswith("/error"))
    assert (first.path, second.path) == ("/invocation/id-1/error", "/invocation/id-2/error")
    assert first.headers["lambda-runtime-function-error-type"] == "Function.KeyError"
    assert (first.error["errorType"], first.error["errorMessage"]) == ("KeyError", "'the call'")
    assert first.error["requestId"] == "id-1"
    assert "test_runtime.py" in first.error["stackTrace"][-1]


def test_a_body_that_fails_before_its_first_bytes_has_begun_no_response(lambda_of, serve):
    server, body = lambda_of({}), Spoken(b"", OSError("no segment"))
    serve(server, lambda event, context: StreamedResponse(200, WAV, body))
    assert server.only("/error").error["errorMessage"] == "no segment"
    assert body.closed


def test_a_failure_in_mid_stream_is_told_in_the_trailers(lambda_of, serve):
    server = lambda_of({}, {})
    serve(server, lambda event, context: StreamedResponse(200, WAV, Spoken(b"music", ValueError("no segment"))))
    first = next(told for told in server.told if told.path == "/invocation/id-1/response")
    assert first.chunks[1:] == [b"music"]
    assert first.trailers["lambda-runtime-function-error-type"] == "Function.ValueError"
    assert first.trailer_error["errorMessage"] == "no segment"
    assert "/invocation/id-2/response" in server.paths()
    assert not any(path.endswith("/error") for path in server.paths())


def test_a_long_failure_is_cut_to_what_lambda_takes_as_trailers(lambda_of, serve):
    server = lambda_of({})
    serve(server, lambda event, context: StreamedResponse(200, WAV, Spoken(b"music", ValueError("µ" * 20_000))))
    trailers = server.only("/response").trailers
    assert sum(len(name) + len(value) + 4 for name, value in trailers.items()) < 4096
    assert server.only("/response").trailer_error["errorMessage"].startswith("µµµ")


NONSENSE = {
    "a dict": ({"statusCode": 200}, "the handler returned {'statusCode': 200}; a StreamedResponse is wanted"),
    "nothing": (None, "the handler returned None"),
    "a status in words": (StreamedResponse("OK", WAV, []), "the status is 'OK'; a whole number from 200"),
    "a status of no use": (StreamedResponse(99, WAV, []), "the status is 99"),
    "headers in pairs": (StreamedResponse(200, [("a", "b")], []), "a mapping of str to str is wanted"),
    "a number in a header": (StreamedResponse(200, {"Age": 5}, []), "the header Age is 5; a str of one line"),
    "two lines in a header": (StreamedResponse(200, {"Age": "5\r\nX: y"}, []), "a str of one line is wanted"),
    "a header without a name": (StreamedResponse(200, {"": "5"}, []), "a header is named ''"),
    "its own chunking": (StreamedResponse(200, {"transfer-Encoding": "chunked"}, []), "leave it out"),
    "one cookie": (StreamedResponse(200, WAV, [], "a=b"), "the cookies are 'a=b'; a sequence of str"),
    "bytes for a body": (StreamedResponse(200, WAV, b"RIFF"), "the body is b'RIFF'; an iterable of bytes is wanted"),
    "no body": (StreamedResponse(200, WAV, None), "the body is None"),
    "text in the body": (StreamedResponse(200, WAV, ["RIFF"]), "the body yielded 'RIFF'; bytes are wanted"),
}


@pytest.mark.parametrize(("response", "message"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_from_a_handler_is_one_clear_failure(lambda_of, serve, response, message):
    server = lambda_of({})
    serve(server, lambda event, context: response)
    told = server.only("/error")
    assert message in told.error["errorMessage"]
    assert told.headers["lambda-runtime-function-error-type"] == "Runtime.BadResponse"


def test_text_in_mid_stream_fails_the_response_and_closes_the_body(lambda_of, serve):
    server, body = lambda_of({}), Spoken(b"music", "words", b"never")
    serve(server, lambda event, context: StreamedResponse(200, WAV, body))
    assert server.only("/response").trailers["lambda-runtime-function-error-type"] == "Runtime.BadResponse"
    assert server.only("/response").chunks[1:] == [b"music"]
    assert body.closed


def test_a_body_is_closed_when_the_way_breaks_in_mid_response(lambda_of, serve):
    server, bodies = lambda_of({}, {}), [Spoken(*[bytes(1 << 20)] * 64), Spoken(b"x")]
    server.hangs_up_after_chunks = 2
    serve(server, lambda event, context: StreamedResponse(200, WAV, bodies[context.aws_request_id == "id-2"]))
    assert bodies[0].closed
    assert "/invocation/id-2/response" in server.paths()
    assert "/invocation/id-1/error" not in server.paths()


def test_a_refused_response_is_logged_and_the_loop_goes_on(lambda_of, serve, caplog):
    server = lambda_of({}, {})
    server.response_status = 413
    serve(server, streaming(b"much"))
    assert "answered 413, not 202" in caplog.text
    assert "/invocation/id-2/response" in server.paths()


def test_a_body_that_cannot_be_closed_is_no_failure_of_the_loop(lambda_of, serve, caplog):
    server = lambda_of({})

    class Stuck(Spoken):
        def close(self):
            raise RuntimeError("cannot close")

        def __iter__(self):
            return self

        def __next__(self):
            raise StopIteration

    serve(server, lambda event, context: StreamedResponse(200, WAV, Stuck()))
    assert "cannot close" in caplog.text
    assert server.only("/response").chunks[1:] == [b"\n"]


def test_lambda_is_asked_once_for_each_event_on_one_connection(lambda_of, serve):
    server = lambda_of({}, {}, {})
    serve(server, lambda event, context: streaming(b"x")(event, context) if context.aws_request_id != "id-2" else None)
    assert server.paths() == [
        "/invocation/next",
        "/invocation/id-1/response",
        "/invocation/next",
        "/invocation/id-2/error",
        "/invocation/next",
        "/invocation/id-3/response",
        "/invocation/next",
    ]
    kept = {told.client for told in server.told if not told.path.endswith("/response")}
    streams = {told.client for told in server.told if told.path.endswith("/response")}
    assert len(kept) == 1
    assert len(streams) == 2
    assert not kept & streams


def test_a_connection_that_was_let_go_meanwhile_is_made_anew(lambda_of, serve):
    server = lambda_of({}, {})
    server.hangs_up_after_next = True
    serve(server, streaming(b"x"))
    assert server.paths().count("/invocation/next") == 3
    assert "/invocation/id-2/response" in server.paths()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("handler", "Runtime.BadHandler", "the handler is 'handler'; module.function is wanted"),
        ("json.nothing", "Runtime.BadHandler", "json has no function nothing"),
        ("no.such.handler", "Function.ModuleNotFoundError", "No module named 'no'"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_told_at_init_and_ends_the_process(lambda_of, name, kind, message):
    server = lambda_of({})
    with pytest.raises(SystemExit) as left:
        run(name, server.address, {})
    assert left.value.code == 1
    assert server.paths() == ["/init/error"]
    assert server.only("/init/error").headers["lambda-runtime-function-error-type"] == kind
    assert message in server.only("/init/error").error["errorMessage"]


def test_a_runtime_without_a_lambda_says_where_it_looked():
    with socketserver.TCPServer(("127.0.0.1", 0), None) as closed:
        address = "{}:{}".format(*closed.server_address)
    with pytest.raises(RuntimeApiLost, match=f"GET /invocation/next at {address}"):
        run("json.loads", address, {})


def test_the_bootstrap_looks_for_code_where_the_managed_runtime_does_and_in_its_order(tmp_path):
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH $1 $2"')
    python.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": "/var/runtime", "LAMBDA_RUNTIME_DIR": "/var/runtime"}
    bootstrap = Path(runtime.__file__).with_name("bootstrap")
    ran = subprocess.run(
        [bootstrap, "python3.13", "/var/runtime/bootstrap.py"], env=environ, capture_output=True, text=True
    )
    assert ran.stdout.strip() == "/var/task:/opt/python:/var/runtime:/var/runtime -u -c"


def test_every_log_line_is_one_json_object_with_the_request_id(lambda_of, serve):
    server, lines = lambda_of({}), []

    def handler(event, context):
        try:
            raise ValueError("late\nsegment")
        except ValueError:
            logging.getLogger("handlers").exception("the stream %s", "faltered")
        lines.extend(JsonLines().format(record) for record in records)
        return StreamedResponse(200, WAV, [b"x"])

    records: list[logging.LogRecord] = []
    keep = logging.Handler()
    keep.emit = records.append
    logging.getLogger("handlers").addHandler(keep)
    try:
        serve(server, handler)
    finally:
        logging.getLogger("handlers").removeHandler(keep)
    (line,) = lines
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["message"], told["requestId"]) == ("ERROR", "the stream faltered", "id-1")
    assert "late" in told["stackTrace"][-1]
    assert told["timestamp"].endswith("Z")
