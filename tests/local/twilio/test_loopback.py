import asyncio
import socket

import pytest

from local.twilio import NotLoopbackError, SimulatedTwilio
from local.twilio.clock import RealClock, VirtualClock
from local.twilio.loopback import require_loopback, socket_factory


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/voice",
        "http://127.3.2.1/",
        "https://[::1]:1/a",
        "http://localhost:9/",
        "http://s3.localhost/",
    ],
)
def test_this_machine_is_let_through(url):
    assert require_loopback(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/voice",
        "http://10.0.0.1/",
        "http://0.0.0.0:80/",
        "ftp://127.0.0.1/",
        "http://localhost.example/",
        "/voice",
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(url):
    with pytest.raises(NotLoopbackError, match=r"never calls out.*127\.0\.0\.1"):
        require_loopback(url)


async def test_no_call_is_placed_to_another_machine():
    async with SimulatedTwilio("token") as twilio:
        with pytest.raises(NotLoopbackError, match=r"example\.com"):
            await twilio.place_call("https://example.com/voice")
        with pytest.raises(NotLoopbackError, match=r"example\.com"):
            await twilio.place_call("http://127.0.0.1:1/voice", "https://example.com/status")
        assert twilio.calls == []


def test_a_name_that_leads_off_this_machine_makes_no_socket():
    make = socket_factory(RealClock())
    with pytest.raises(NotLoopbackError):
        make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80)))


async def test_twiml_that_leads_off_this_machine_is_an_error_of_the_call(stage):
    async with stage() as s:
        s.twiml["/voice"] = "<Play>http://192.0.2.1/a.wav</Play><Redirect>http://192.0.2.1/next</Redirect>"
        call = await s.call()
        await s.pass_time(20)
        await call.over()
        assert [error.code for error in call.errors] == [11200, 11200]
        assert all("never calls out" in error.message for error in call.errors)
        assert call.ended_by == "error"


async def test_bytes_are_stamped_when_they_came_and_not_when_they_were_read():
    loop, clock = asyncio.get_running_loop(), RealClock()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket_factory(clock)((socket.AF_INET, socket.SOCK_STREAM, 0, "", address)) as reader:
            reader.setblocking(False)
            await loop.sock_connect(reader, address)
            writer, _ = server.accept()
            with writer:
                for _ in range(100):  # the kernel takes its time before it begins to stamp
                    writer.send(b"x")
                    await loop.sock_recv(reader, 1)
                    if reader.longest_wait_s:
                        break
                    await asyncio.sleep(0.01)
                else:
                    pytest.skip("this kernel does not stamp what a TCP socket receives")
                writer.send(b"before")
                sent_at = clock.time()
                while clock.time() < sent_at + 0.2:  # the loop is kept busy, and reads nothing
                    pass
                assert await loop.sock_recv(reader, 100) == b"before"
    assert reader.arrived_at == pytest.approx(sent_at, abs=0.05)
    assert reader.longest_wait_s >= 0.15


def test_in_virtual_time_bytes_come_when_they_are_read():
    assert VirtualClock(start=7.0).ago(0.5) == 7.0
