"""By the real clock: what a busy machine does to the simulator must not be heard as a fault of the stream."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from aiohttp import web

from local.twilio import Call, RealClock, SimulatedTwilio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nConnection: close\r\n\r\n"


@contextlib.contextmanager
def sender(pieces: list[tuple[float, bytes]]) -> Iterator[str]:
    """A server in a thread of its own that sends each piece at its time after the request; its URL."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            asked_at = time.monotonic()
            connection.sendall(HEAD)
            for at_s, data in pieces:
                if over.wait(max(0.0, asked_at + at_s - time.monotonic())):
                    return
                connection.sendall(data)
            over.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/music.wav"
        finally:
            over.set()
            thread.join()


@contextlib.asynccontextmanager
async def answering(twiml: str):
    """The URL of an application in this event loop that answers every webhook with `twiml`."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=f"<Response>{twiml}</Response>", content_type="application/xml")

    app = web.Application()
    app.router.add_post("/voice", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/voice"
    finally:
        await runner.cleanup()


async def received(call: Call, size_bytes: int) -> None:
    while not call.windows or call.windows[0].received_bytes < size_bytes:
        await asyncio.sleep(0)


async def test_a_loop_that_is_kept_busy_for_less_than_the_lead_makes_no_gap(noise, wav_header):
    audio = noise(1.6)
    lead = 6400
    pieces = [(0.0, wav_header(len(audio)) + audio[:lead])]
    pieces += [(n / 50, audio[lead + (n - 1) * 160 : lead + n * 160]) for n in range(1, 41)]
    with sender(pieces) as media_url:
        async with answering(f"<Play>{media_url}</Play>") as url, SimulatedTwilio("token") as twilio:
            call = await twilio.place_call(url)
            await call.answered()
            for _ in range(3):
                await asyncio.sleep(0.02)
                time.sleep(0.4)  # whoever shares the loop
            await call.over()
            start = call.windows[0].play_out.start_tick * 160
            assert call.recording().mulaw[start : start + len(audio)] == audio
            assert (call.underruns, call.late_chunks) == ([], [])


async def test_bytes_that_came_before_a_hang_up_were_in_time_though_nobody_had_read_them(noise, wav_header):
    audio = noise(2)
    header = wav_header(len(audio))
    with sender([(0.0, header + audio[:2400]), (0.15, audio[2400:])]) as media_url:
        async with answering(f"<Play>{media_url}</Play>") as url, SimulatedTwilio("token") as twilio:
            call = await twilio.place_call(url)
            await call.answered()
            await received(call, len(header) + 2400)
            time.sleep(0.8)  # the second piece comes, and the buffer would run dry
            await call.hang_up()
            window = call.windows[0]
            if window.longest_wait_in_socket_s == 0.0:
                pytest.skip("this kernel does not stamp what a TCP socket receives")
            assert window.longest_wait_in_socket_s > 0.3
            assert window.late_chunks == []
            assert window.underruns == []
            heard = call.recording().mulaw[window.play_out.start_tick * 160 :]
            assert len(heard) > 5000
            assert audio.startswith(heard)


async def test_ticks_keep_to_the_clock(noise, wav_header):
    """Half a second of sound takes half a second, to the tick."""
    audio = noise(0.5)
    with sender([(0.0, wav_header(len(audio)) + audio)]) as media_url:
        async with answering(f"<Play>{media_url}</Play>") as url, SimulatedTwilio("token") as twilio:
            call = await twilio.place_call(url)
            await call.over()
            window = call.windows[0]
            assert window.ended_at - window.started_at == pytest.approx(0.5)
            assert window.ended_at <= call.hung_up_at <= RealClock().time()
