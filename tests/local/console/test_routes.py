"""The console on a real socket: beside it, an application that plays a second of sound to whoever calls."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from duckline.call import BedSpan, Call
from duckline.stores.memory import MemoryCalls
from duckline.timeline import FRAME_BYTES
from duckline.wav import mulaw_header
from local.console import Console, routes

FRAMES = 50
SOUND = bytes(range(1, 251)) * (FRAMES * FRAME_BYTES // 250)


class Application:
    """Answers webhooks as Duckline would, and remembers them."""

    def __init__(self):
        self.asked, self.calls = [], MemoryCalls()
        self.go_on = asyncio.Event()

    async def voice(self, request):
        form = await request.post()
        self.asked.append(request.path_qs)
        self.calls.create(
            Call(form["CallSid"], (BedSpan(0, "v", "calm"),), holder="h", opened_at_ms=1, window_until=FRAMES)
        )
        return web.Response(text="<Response><Play>/sound.wav</Play></Response>", content_type="application/xml")

    async def sound(self, request):
        return web.Response(body=mulaw_header(len(SOUND)) + SOUND, content_type="audio/wav")

    async def status(self, request):
        self.asked.append(request.path_qs)
        return web.Response(status=204)


@asynccontextmanager
async def console():
    application, server = Application(), web.Application()
    runner = web.AppRunner(server, handle_signals=False, shutdown_timeout=0.1)
    facts = {"api_key": "key", "bed": "calm"}
    mounted = Console(facts, "token", application.calls)
    mounted.mount(server)
    server.router.add_post("/voice", application.voice)
    server.router.add_post("/voice/status", application.status)
    server.router.add_get("/sound.wav", application.sound)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    facts |= {"voice_url": f"{base}/voice", "status_url": f"{base}/voice/status"}
    try:
        async with aiohttp.ClientSession(base) as client:
            yield client, application
    finally:
        await runner.cleanup()
        await mounted.close()


def run(story):
    async def told():
        async with console() as (client, application):
            await story(client, application)

    asyncio.run(told())


async def placed(client, **body):
    async with client.post("/console/calls", json=body) as answer:
        assert answer.status == 201
        return (await answer.json())["call_sid"]


def test_the_page_and_its_modules_are_served_to_no_cache():
    async def story(client, _):
        for path, kind in (("", "text/html"), ("/page.js", "text/javascript"), ("/mark.svg", "image/svg+xml")):
            async with client.get(f"/console{path}") as answer:
                assert (answer.status, answer.content_type) == (200, kind)
                assert answer.headers["Cache-Control"] == "no-store"
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]

    run(story)


@pytest.mark.parametrize("path", ["routes.py", "..%2Froutes.py", "nothing.js", "index.html"])
def test_nothing_but_the_pages_own_files_is_served(path):
    async def story(client, _):
        async with client.get(f"/console/{path}") as answer:
            assert answer.status == 404
            assert (await answer.json())["status"] == 404

    run(story)


def test_the_page_is_told_the_key_and_a_stranger_is_not():
    async def story(client, _):
        async with client.get("/console/stack.json") as answer:
            assert (await answer.json())["api_key"] == "key"
        for headers in ({"Host": "music.example"}, {"Origin": "https://music.example"}):
            async with client.get("/console/stack.json", headers=headers) as answer:
                assert answer.status == 403
                assert "key" not in (await answer.json())

    run(story)


def test_a_call_is_placed_and_what_its_caller_hears_comes_as_it_is_heard():
    async def story(client, application):
        sid = await placed(client, bed="calm")
        heard, told = b"", []
        async with client.ws_connect(f"/console/calls/{sid}/live") as line:
            async for message in line:
                if message.type is aiohttp.WSMsgType.BINARY:
                    heard += message.data
                else:
                    told.append(message.json())
        assert SOUND in heard
        assert len(heard) % FRAME_BYTES == 0
        kinds = [message["kind"] for message in told]
        assert {"sound", "now", "twilio", "over"} <= set(kinds)
        assert kinds[-1] == "over" and told[-1]["ended_by"] == "twiml"
        lines = [message["line"] for message in told if message["kind"] == "now" and message["line"]]
        assert lines[-1]["arrived_tick"] - lines[-1]["offset_ticks"] == FRAMES
        assert application.asked == ["/voice?bed=calm", "/voice/status"]
        paths = {message["entry"]["path"] for message in told if message["kind"] == "twilio"}
        assert paths == {"/voice?bed=calm", "/sound.wav", "/voice/status"}

    run(story)


def test_hanging_up_ends_the_call_and_tells_why():
    async def story(client, application):
        sid = await placed(client)
        async with client.ws_connect(f"/console/calls/{sid}/live") as line:
            while (await line.receive()).type is not aiohttp.WSMsgType.BINARY:
                pass
            async with client.delete(f"/console/calls/{sid}") as answer:
                assert (await answer.json())["ended_by"] == "caller"
            last = [message.json() async for message in line if message.type is aiohttp.WSMsgType.TEXT][-1]
        assert last["kind"] == "over" and last["ended_by"] == "caller"
        assert application.asked[-1] == "/voice/status"

    run(story)


def test_a_call_that_no_page_listens_to_is_hung_up(monkeypatch):
    monkeypatch.setattr(routes, "LEFT_ALONE_S", 0.05)

    async def story(client, application):
        await placed(client)
        async with asyncio.timeout(5):
            while "/voice/status" not in application.asked:
                await asyncio.sleep(0.01)

    run(story)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"bed": 3}', b'{"bed": "../../x"}'])
def test_a_body_that_is_not_understood_is_refused(body):
    async def story(client, application):
        async with client.post("/console/calls", data=body) as answer:
            assert answer.status == 400
            assert "would be right" in (await answer.json())["detail"]
        assert application.asked == []

    run(story)


def test_a_call_that_is_not_this_consoles_is_not_found():
    async def story(client, _):
        for method, path in (("DELETE", "/console/calls/CA1"), ("GET", "/console/calls/CA1/live")):
            async with client.request(method, path) as answer:
                assert answer.status == 404

    run(story)


def test_a_page_from_elsewhere_cannot_listen():
    async def story(client, _):
        sid = await placed(client)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"/console/calls/{sid}/live", origin="https://music.example")
        assert refused.value.status == 403

    run(story)
