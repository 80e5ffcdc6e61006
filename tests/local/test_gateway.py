"""The gateway on a real socket, before functions of the tests' own."""

import asyncio
import io
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest

from local.gateway import BODY_MAX_BYTES, Gateway
from local.invocation import Body, InvocationFailed, Streamed, Throttled
from local.template import Route

ROUTES = {Route("POST", "/voice"): "voice", Route("GET", "/calls/{sid}"): "render"}


class Functions:
    """Functions as the gateway sees them: `result` is what the next one answers, or raises."""

    def __init__(self):
        self.events, self.result, self.streamed = [], {"statusCode": 200}, None
        self.go_on = asyncio.Event()

    async def invoke(self, name, event):
        self.events.append((name, event))
        if isinstance(self.result, Exception):
            raise self.result
        if self.result == "wait":
            await self.go_on.wait()
            return {"statusCode": 200}
        return self.result

    async def invoke_streaming(self, name, event):
        self.events.append((name, event))
        if isinstance(self.streamed, Exception):
            raise self.streamed
        return self.streamed


@asynccontextmanager
async def front_door(**settings):
    functions = Functions()
    gateway = Gateway(
        ROUTES, "stream", invoke=functions.invoke, invoke_streaming=functions.invoke_streaming, **settings
    )
    listening = socket.create_server(("127.0.0.1", 0))
    await gateway.start(listening)
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        async with aiohttp.ClientSession(base) as client:
            yield client, functions
    finally:
        await gateway.stop()


def test_a_request_reaches_the_function_of_its_route_and_the_answer_comes_back():
    async def story():
        async with front_door() as (client, functions):
            functions.result = {
                "statusCode": 200,
                "headers": {"Content-Type": "application/xml"},
                "body": "<Response/>",
            }
            async with client.post("/voice?bed=calm", data={"CallSid": "CA1"}) as response:
                assert response.status == 200
                assert response.headers["Content-Type"] == "application/xml"
                assert await response.text() == "<Response/>"
            ((name, event),) = functions.events
            assert (name, event["routeKey"], event["rawQueryString"]) == ("voice", "POST /voice", "bed=calm")
            assert event["requestContext"]["domainName"] == "127.0.0.1"
            assert event["isBase64Encoded"]

    asyncio.run(story())


def test_the_paths_parameters_reach_the_function():
    async def story():
        async with front_door() as (client, functions):
            await client.get("/calls/CA%2F1")
            assert functions.events[0][1]["pathParameters"] == {"sid": "CA/1"}

    asyncio.run(story())


def test_what_no_route_serves_is_not_found_and_reaches_nobody():
    async def story():
        async with front_door() as (client, functions):
            for method, path in (("GET", "/console"), ("DELETE", "/calls/CA1"), ("GET", "/voice")):
                async with client.request(method, path) as response:
                    assert (response.status, await response.json()) == (404, {"message": "Not Found"})
            assert functions.events == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("result", "status", "message"),
    [
        (InvocationFailed("Function.Unknown", "it broke"), 500, "Internal Server Error"),
        ({"statusCode": "odd"}, 500, "Internal Server Error"),
        (Throttled("TooManyRequestsException", "all are busy"), 503, "Service Unavailable"),
    ],
)
def test_a_function_that_fails_is_told_in_the_gateways_own_words(result, status, message):
    async def story():
        async with front_door() as (client, functions):
            functions.result = result
            async with client.post("/voice") as response:
                assert (response.status, await response.json()) == (status, {"message": message})

    asyncio.run(story())


def test_a_function_that_takes_too_long_is_given_up_but_goes_on():
    async def story():
        async with front_door(limit_s=0.02) as (client, functions):
            functions.result = "wait"
            async with client.post("/voice") as response:
                assert (response.status, await response.json()) == (503, {"message": "Service Unavailable"})
            functions.go_on.set()

    asyncio.run(story())


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_ten_megabytes_is_refused(announced):
    async def body():
        for _ in range(11):
            yield bytes(1024 * 1024)

    async def story():
        async with front_door() as (client, functions):
            data = io.BytesIO(bytes(BODY_MAX_BYTES + 1)) if announced else body()
            async with client.post("/voice", data=data) as response:
                assert (response.status, await response.json()) == (413, {"message": "Request Entity Too Large"})
            assert functions.events == []

    asyncio.run(story())


def test_a_body_that_does_not_fit_into_an_event_is_refused():
    async def story():
        async with front_door() as (client, functions):
            for size, status in ((4_500_000, 200), (5_000_000, 413)):
                async with client.post("/voice", data=io.BytesIO(bytes(size))) as response:
                    assert response.status == status
            assert len(functions.events) == 1

    asyncio.run(story())


def streamed(body, **headers):
    return Streamed(200, {"Content-Type": "audio/wav", **headers}, ("a=1", "b=2"), body)


def test_a_stream_is_handed_on_chunk_by_chunk_as_it_comes():
    async def story():
        async with front_door() as (client, functions):
            body = Body()
            functions.streamed = streamed(body)
            await body.write(b"RIFF")
            async with client.get("/stream/token.wav") as response:
                assert response.headers["Transfer-Encoding"] == "chunked"
                assert response.headers["Content-Type"] == "audio/wav"
                assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
                assert await response.content.readany() == b"RIFF"
                for chunk in (b"one", b"two"):  # each is read before the next is written
                    await body.write(chunk)
                    assert await response.content.readany() == chunk
                body.end()
                assert await response.content.read() == b""
            name, event = functions.events[0]
            assert (name, event["routeKey"], event["rawPath"]) == ("stream", "$default", "/stream/token.wav")

    asyncio.run(story())


def test_a_stream_that_fails_midway_is_cut_off_so_that_the_client_can_tell():
    async def story():
        async with front_door() as (client, functions):
            body = Body()
            functions.streamed = streamed(body)
            await body.write(b"RIFF")
            async with client.get("/stream/token.wav") as response:
                assert await response.content.readany() == b"RIFF"
                body.end(InvocationFailed("Function.Unknown", "it broke"))
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.content.read()

    asyncio.run(story())


def test_a_client_that_hangs_up_does_not_stop_the_function():
    async def story():
        async with front_door() as (client, functions):
            body = Body()
            functions.streamed = streamed(body)
            await body.write(b"RIFF")
            response = await client.get("/stream/token.wav")
            assert await response.content.readany() == b"RIFF"
            response.close()
            for _ in range(200):  # far more than any buffer holds: a write that waited for a reader would wait for ever
                await asyncio.wait_for(body.write(bytes(65_536)), 10)

    asyncio.run(story())


def test_a_head_request_has_the_same_headers_and_no_body():
    async def story():
        async with front_door() as (client, functions):
            headers = {}
            for method in ("GET", "HEAD"):
                body = Body()
                functions.streamed = streamed(body)
                await body.write(b"RIFF")
                body.end()
                async with client.request(method, "/stream/token.wav") as response:
                    assert response.status == 200
                    assert await response.read() == (b"RIFF" if method == "GET" else b"")
                    headers[method] = dict(response.headers)
                assert functions.events[-1][1]["requestContext"]["http"]["method"] == method
                headers[method].pop("Date")
            assert headers["GET"].pop("Transfer-Encoding") == "chunked"  # of a body, which HEAD has none
            assert headers["HEAD"] == headers["GET"]
            async with client.post("/voice") as response:  # the connection is still good
                assert response.status == 200

    asyncio.run(story())


@pytest.mark.parametrize(
    ("failure", "status"), [(InvocationFailed("Function.Unknown", "it broke"), 502), (Throttled("Busy", "busy"), 429)]
)
def test_a_stream_that_fails_before_it_begins_is_an_error(failure, status):
    async def story():
        async with front_door() as (client, functions):
            functions.streamed = failure
            async with client.get("/stream/token.wav") as response:
                assert response.status == status

    asyncio.run(story())
