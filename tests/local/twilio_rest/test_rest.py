"""The stand-in of Twilio's REST API answers the real `twilio` client as Twilio would."""

import asyncio
import io
import wave

import pytest
import requests
from aiohttp import web
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from local.twilio import SimulatedTwilio
from local.twilio_rest import Redirected, Refusal, TwilioRest

TOKEN = "0123456789abcdef" * 2
OURS, SECOND, THEIRS = "+15005550006", "+15005550001", "+14155550100"


class Line:
    """`async with Line() as line`: an account whose first number is answered, and Twilio's own client for it."""

    async def __aenter__(self):
        self.heard = []
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.twilio = SimulatedTwilio(TOKEN)
        numbers = {OURS: {"voice_url": self.url + "/voice", "status_callback": self.url + "/status"}, SECOND: {}}
        self.rest = TwilioRest(self.twilio, TOKEN, numbers=numbers)
        await self.rest.__aenter__()
        self.client = self.client_of(TOKEN)
        return self

    async def __aexit__(self, *_):
        await self.twilio.close()
        await self.rest.__aexit__()
        await self._runner.cleanup()

    def client_of(self, token):
        return Client(self.twilio.account_sid, token, http_client=Redirected(self.rest.url))

    async def _serve(self, request):
        form = dict(await request.post())
        self.heard.append((request.path, form))
        if request.path == "/voice":
            return web.Response(
                text="<Response><Say>Hello</Say><Pause length='60'/></Response>", content_type="application/xml"
            )
        return web.Response(status=204)

    async def until(self, path):
        for _ in range(500):
            found = [form for heard, form in self.heard if heard == path]
            if found:
                return found[0]
            await asyncio.sleep(0.01)
        raise AssertionError(f"nobody asked for {path}")

    async def ask(self, method, *args, **kwargs):
        return await asyncio.to_thread(method, *args, **kwargs)


async def test_a_call_is_placed_shown_and_ended_by_the_real_client():
    async with Line() as line:
        call = await line.ask(line.client.calls.create, to=THEIRS, from_=OURS, url=line.url + "/voice")
        assert (call.status, call.direction, call.to) == ("ringing", "outbound-api", THEIRS)
        voice = await line.until("/voice")
        assert (voice["CallSid"], voice["Direction"]) == (call.sid, "outbound-api")
        await line.twilio.calls[0].answered()
        ended = await line.ask(line.client.calls(call.sid).update, status="completed")
        await line.twilio.calls[0].over()
        assert ended.sid == call.sid
        shown = await line.ask(line.client.calls(call.sid).fetch)
        assert shown.status == "completed"
        assert [listed.sid for listed in await line.ask(line.client.calls.list)] == [call.sid]


async def test_a_call_to_a_number_of_the_account_rings_at_its_webhook_and_is_recorded():
    async with Line() as line:
        twiml = "<Response><Pause length='60'/></Response>"
        call = await line.ask(line.client.calls.create, to=OURS, from_=SECOND, twiml=twiml, record=True)
        voice = await line.until("/voice")
        assert voice["CallSid"] != call.sid
        assert voice["Direction"] == "inbound"
        await line.twilio.calls[0].answered()
        await line.ask(line.client.calls(call.sid).update, status="completed")
        await line.until("/status")
        (recording,) = await line.ask(line.client.calls(call.sid).recordings.list)
        assert (recording.status, recording.call_sid) == ("completed", call.sid)
        url = line.rest.url + recording.uri.replace(".json", ".wav")
        answer = await line.ask(requests.get, url, auth=(line.twilio.account_sid, TOKEN), timeout=5)
        with wave.open(io.BytesIO(answer.content)) as sound:
            assert (sound.getframerate(), sound.getnchannels()) == (8000, 1)
        assert await line.ask(line.client.recordings(recording.sid).delete)
        assert await line.ask(line.client.calls(call.sid).recordings.list) == []


async def test_who_answered_is_told_when_it_is_detected_beside_the_call():
    async with Line() as line:
        await line.ask(
            line.client.calls.create,
            to=THEIRS,
            from_=OURS,
            url=line.url + "/voice",
            machine_detection="Enable",
            async_amd="true",
            async_amd_status_callback=line.url + "/amd",
        )
        told = await line.until("/amd")
        assert (told["AnsweredBy"], told["CallSid"]) == ("human", line.twilio.calls[0].call_sid)
        assert "CallStatus" not in told


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ({"to": "12345", "from_": OURS}, 21211),
        ({"to": THEIRS, "from_": "anonymous"}, 21212),
        ({"to": THEIRS, "from_": "+14155559999"}, 21210),
    ],
)
async def test_numbers_that_twilio_refuses_are_refused_with_its_codes(numbers, code):
    async with Line() as line:
        with pytest.raises(TwilioRestException) as refusal:
            await line.ask(line.client.calls.create, url=line.url + "/voice", **numbers)
        assert (refusal.value.status, refusal.value.code) == (400, code)
        assert line.twilio.calls == []


async def test_a_wrong_token_a_place_that_is_not_there_and_a_fault_are_told():
    async with Line() as line:
        with pytest.raises(TwilioRestException) as refusal:
            await line.ask(line.client_of("f" * 32).calls("CA" + "0" * 32).fetch)
        assert (refusal.value.status, refusal.value.code) == (401, 20003)
        with pytest.raises(TwilioRestException) as refusal:
            await line.ask(line.client.calls("CA" + "0" * 32).fetch)
        assert refusal.value.status == 404
        line.rest.refusals.append(Refusal(429, 20429, "Too Many Requests"))
        with pytest.raises(TwilioRestException) as refusal:
            await line.ask(line.client.calls("CA" + "0" * 32).fetch)
        assert refusal.value.code == 20429


def test_the_client_goes_nowhere_else():
    with pytest.raises(ValueError, match=r"not Twilio's REST API"):
        Redirected("http://127.0.0.1:1").request("GET", "https://elsewhere.example.com/2010-04-01")
