"""The Runtime API stand-in, spoken to byte for byte as a runtime does."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from local.invocation import HELD_BYTES, Body, Buffered, Invocation, InvocationFailed, Streamed
from local.runtime_api import BUFFERED_MAX_BYTES, RuntimeApi

ROOT = "/2018-06-01/runtime"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:stream"
STREAMING = (
    "Content-Type: application/vnd.awslambda.http-integration-response\r\n"
    "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
    "Transfer-Encoding: chunked\r\n"
    "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
)
PRELUDE = b'{"statusCode": 200, "headers": {"Content-Type": "audio/wav"}, "cookies": ["a=b"]}' + bytes(8)
NO_MORE = b"0\r\n\r\n"


class Runtime:
    """A runtime's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    async def ask(self, method: str, path: str, body: bytes = b"", headers: str = "") -> None:
        length = "" if "chunked" in headers else f"Content-Length: {len(body)}\r\n"
        await self.send(f"{method} {ROOT}{path} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n".encode() + body)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        return int(first.split()[1]), headers, await self.reader.readexactly(int(headers.get("Content-Length", 0)))

    async def call(self, method: str, path: str, body: bytes = b"", headers: str = "") -> tuple[int, bytes]:
        await self.ask(method, path, body, headers)
        status, _, told = await self.answer()
        return status, told


@asynccontextmanager
async def serving():
    """A Runtime API, and a way to connect to it."""
    api = RuntimeApi(ARN)
    await api.start()
    opened = []

    async def connect() -> Runtime:
        reader, writer = await asyncio.open_connection(*api.address.split(":"))
        opened.append(writer)
        return Runtime(reader, writer)

    try:
        yield api, connect
    finally:
        await api.stop()
        for writer in opened:
            writer.close()


async def taken(api: RuntimeApi, runtime: Runtime, request_id: str = "id-1") -> Invocation:
    """An invocation that the runtime has taken."""
    invocation = Invocation(request_id, b'{"rawPath": "/"}', "Root=1-2-3")
    invocation.deadline_ms = 1_700_000_000_000
    api.give(invocation)
    assert (await runtime.call("GET", "/invocation/next"))[0] == 200
    return invocation


async def streaming(api: RuntimeApi, connect: Callable[[], Awaitable[Runtime]]) -> tuple[Invocation, Runtime]:
    """An invocation whose response has begun, and the connection that it comes by."""
    invocation, stream = await taken(api, await connect()), await connect()
    await stream.ask("POST", "/invocation/id-1/response", headers=STREAMING)
    return invocation, stream


def test_next_waits_for_an_invocation_and_tells_all_that_a_runtime_reads():
    async def scenario():
        async with serving() as (api, connect):
            runtime, invocation = await connect(), Invocation("id-1", b'{"rawPath": "/"}', "Root=1-2-3")
            await runtime.ask("GET", "/invocation/next")
            await api.started
            invocation.deadline_ms = 1_700_000_000_000
            api.give(invocation)
            status, headers, event = await runtime.answer()
            assert (status, event) == (200, b'{"rawPath": "/"}')
            assert headers["Lambda-Runtime-Aws-Request-Id"] == "id-1"
            assert headers["Lambda-Runtime-Deadline-Ms"] == "1700000000000"
            assert headers["Lambda-Runtime-Invoked-Function-Arn"] == ARN
            assert headers["Lambda-Runtime-Trace-Id"] == "Root=1-2-3"

    asyncio.run(scenario())


def test_an_answer_in_one_piece_is_handed_on_and_the_next_event_follows_on_the_same_connection():
    async def scenario():
        async with serving() as (api, connect):
            runtime = await connect()
            invocation = await taken(api, runtime)
            assert (await runtime.call("POST", "/invocation/id-1/response", b'{"statusCode": 204}'))[0] == 202
            assert await invocation.answer == Buffered(b'{"statusCode": 204}')
            assert not invocation.left.done()
            await taken(api, runtime, "id-2")
            assert invocation.left.done()
            assert invocation.failed is None

    asyncio.run(scenario())


def test_an_error_is_the_invocations_answer():
    async def scenario():
        async with serving() as (api, connect):
            runtime = await connect()
            invocation = await taken(api, runtime)
            kind = "Lambda-Runtime-Function-Error-Type: Function.KeyError\r\n"
            told = b'{"errorType": "KeyError", "errorMessage": "no call"}'
            assert (await runtime.call("POST", "/invocation/id-1/error", told, kind))[0] == 202
            failed = await invocation.answer
            assert isinstance(failed, InvocationFailed)
            assert str(failed) == "Function.KeyError: no call"
            assert invocation.failed is failed

    asyncio.run(scenario())


def test_each_chunk_of_a_stream_is_there_before_the_next_is_written():
    async def scenario():
        async with serving() as (api, connect):
            invocation, stream = await streaming(api, connect)
            await stream.chunk(PRELUDE)
            answer = await invocation.answer
            assert (answer.status, answer.headers, answer.cookies) == (200, {"Content-Type": "audio/wav"}, ("a=b",))
            for sent in (b"RIFF", b"\xff" * 160, bytes(8) + b"after nuls of its own"):
                await stream.chunk(sent)
                assert await anext(answer.body) == sent
            await stream.send(NO_MORE)
            assert [chunk async for chunk in answer.body] == []
            assert (await stream.answer())[0] == 202
            assert invocation.failed is None

    asyncio.run(scenario())


@pytest.mark.parametrize("cut", [1, len(PRELUDE) - 8, len(PRELUDE) - 3, len(PRELUDE), len(PRELUDE) + 2])
def test_a_prelude_may_be_cut_anywhere(cut):
    async def scenario():
        async with serving() as (api, connect):
            invocation, stream = await streaming(api, connect)
            whole = PRELUDE + b"RIFF"
            await stream.chunk(whole[:cut])
            await stream.chunk(whole[cut:])
            await stream.send(NO_MORE)
            answer = await invocation.answer
            assert answer.status == 200
            assert b"".join([chunk async for chunk in answer.body]) == b"RIFF"

    asyncio.run(scenario())


def test_trailers_end_a_stream_by_the_failure_they_tell():
    async def scenario():
        async with serving() as (api, connect):
            invocation, stream = await streaming(api, connect)
            await stream.chunk(PRELUDE)
            await stream.chunk(b"music")
            error = base64.b64encode(json.dumps({"errorMessage": "no segment"}).encode()).decode()
            trailers = (
                f"Lambda-Runtime-Function-Error-Type: Function.X\r\nLambda-Runtime-Function-Error-Body: {error}\r\n"
            )
            await stream.send(f"0\r\n{trailers}\r\n".encode())
            body = (await invocation.answer).body
            assert await anext(body) == b"music"
            with pytest.raises(InvocationFailed, match=r"Function\.X: no segment"):
                await anext(body)
            assert body.failed is invocation.failed
            assert (await stream.answer())[0] == 202

    asyncio.run(scenario())


def test_trailers_longer_than_lambda_takes_are_refused():
    async def scenario():
        async with serving() as (api, connect):
            invocation, stream = await streaming(api, connect)
            await stream.chunk(PRELUDE)
            await stream.send(b"0\r\nLambda-Runtime-Function-Error-Body: " + b"A" * 5000 + b"\r\n\r\n")
            status, _, told = await stream.answer()
            assert status == 400
            assert "Lambda takes 4096" in told.decode()
            assert not invocation.answered_whole

    asyncio.run(scenario())


def test_a_stream_of_another_type_has_no_prelude():
    async def scenario():
        async with serving() as (api, connect):
            invocation, stream = await taken(api, await connect()), await connect()
            kind = "Content-Type: text/plain\r\n"
            headers = f"{kind}Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n"
            await stream.ask("POST", "/invocation/id-1/response", headers=headers)
            await stream.chunk(b"{}")
            await stream.send(NO_MORE)
            answer = await invocation.answer
            assert answer.headers == {"content-type": "text/plain"}
            assert [chunk async for chunk in answer.body] == [b"{}"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "head", [b"RIFF" + bytes(8), b'{"headers": {}}' + bytes(8), b'{"statusCode": 200}', bytes(20_000)]
)
def test_a_response_without_a_prelude_fails(head):
    async def scenario():
        async with serving() as (api, connect):
            invocation, stream = await streaming(api, connect)
            await stream.chunk(head)
            await stream.send(NO_MORE)
            assert (await stream.answer())[0] == 400
            failed = await invocation.answer
            assert isinstance(failed, InvocationFailed)
            assert failed.kind == "Runtime.InvalidPrelude"
            assert "then eight NULs, is wanted" in str(failed)

    asyncio.run(scenario())


def test_a_response_that_is_cut_off_stays_open_and_no_next_event_is_given():
    async def scenario():
        async with serving() as (api, connect):
            runtime = await connect()
            invocation, stream = await taken(api, runtime), await connect()
            await stream.ask("POST", "/invocation/id-1/response", headers=STREAMING)
            await stream.chunk(PRELUDE)
            await stream.send(b"a0\r\nhalf a chunk")
            await invocation.answer
            stream.writer.close()
            status, told = await runtime.call("GET", "/invocation/next")
            assert (status, json.loads(told)["errorType"]) == (403, "InvalidStateTransition")
            assert not invocation.answered_whole

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("POST", "/invocation/id-2/response", 400, "InvalidRequestID"),
        ("POST", "/invocation/id-1/error", 403, "InvalidStateTransition"),
        ("GET", "/restore/next", 404, "NotFound"),
        ("PUT", "/invocation/next", 404, "NotFound"),
    ],
)
def test_what_breaks_the_protocol_is_refused_and_changes_nothing(method, path, status, kind):
    async def scenario():
        async with serving() as (api, connect):
            runtime = await connect()
            invocation = await taken(api, runtime)
            await runtime.call("POST", "/invocation/id-1/response", b"1")
            refused, told = await runtime.call(method, path, b"{}")
            assert (refused, json.loads(told)["errorType"]) == (status, kind)
            assert await invocation.answer == Buffered(b"1")
            assert invocation.failed is None

    asyncio.run(scenario())


def test_an_answer_of_over_six_megabytes_fails():
    async def scenario():
        async with serving() as (api, connect):
            runtime = await connect()
            invocation = await taken(api, runtime)
            status, _ = await runtime.call("POST", "/invocation/id-1/response", bytes(BUFFERED_MAX_BYTES + 1))
            assert status == 413
            assert (await invocation.answer).kind == "Function.ResponseSizeTooLarge"

    asyncio.run(scenario())


def test_an_init_error_is_kept_for_whoever_waits_for_the_process():
    async def scenario():
        async with serving() as (api, connect):
            runtime = await connect()
            kind = "Lambda-Runtime-Function-Error-Type: Runtime.BadHandler\r\n"
            assert (await runtime.call("POST", "/init/error", b'{"errorMessage": "none"}', kind))[0] == 202
            assert str(api.init_error) == "Runtime.BadHandler: none"
            assert not api.started.done()

    asyncio.run(scenario())


def test_a_runtime_that_asks_before_it_sends_is_told_to_go_on():
    async def scenario():
        async with serving() as (api, connect):
            runtime = await connect()
            invocation = await taken(api, runtime)
            await runtime.ask("POST", "/invocation/id-1/response", headers=f"{STREAMING}Expect: 100-continue\r\n")
            assert (await runtime.answer())[0] == 100
            await runtime.chunk(PRELUDE)
            await runtime.send(NO_MORE)
            assert (await runtime.answer())[0] == 202
            assert isinstance(await invocation.answer, Streamed)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"next please\r\n\r\n", "the request line is b'next please'"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "a header reads b'no colon'"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "a length reads b'-1'"),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", "a length reads b'many'"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde", "a chunk of 3 bytes ends in b'de'"),
    ],
)
def test_what_is_not_http_is_refused_with_what_came(sent, message):
    async def scenario():
        async with serving() as (_, connect):
            runtime = await connect()
            await runtime.send(sent)
            status, _, told = await runtime.answer()
            assert status == 400
            assert message in json.loads(told)["errorMessage"]
            assert await runtime.reader.read() == b""

    asyncio.run(scenario())


def test_a_body_holds_its_writer_back_once_too_much_lies_unread():
    async def scenario():
        body = Body()
        await body.write(bytes(HELD_BYTES))
        writing = asyncio.create_task(body.write(b"more"))
        await asyncio.sleep(0)
        assert not writing.done()
        assert len(await anext(body)) == HELD_BYTES
        await writing
        assert await anext(body) == b"more"

    asyncio.run(scenario())


def test_a_body_that_nobody_wants_any_more_holds_nobody_back():
    async def scenario():
        body = Body()
        await body.write(bytes(HELD_BYTES))
        writing = asyncio.create_task(body.write(b"more"))
        await asyncio.sleep(0)
        body.close()
        await writing
        await body.write(bytes(10 * HELD_BYTES))
        assert [chunk async for chunk in body] == []

    asyncio.run(scenario())


def test_a_body_that_failed_frees_its_writer_and_gives_what_was_written_first():
    async def scenario():
        body = Body()
        writing = asyncio.create_task(body.write(bytes(HELD_BYTES + 1)))
        await asyncio.sleep(0)
        body.end(InvocationFailed("Sandbox.Timedout", "too long"))
        body.end()
        await writing
        assert len(await anext(body)) == HELD_BYTES + 1
        with pytest.raises(InvocationFailed, match=r"Sandbox\.Timedout"):
            await anext(body)

    asyncio.run(scenario())
