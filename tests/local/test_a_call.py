"""One real call, end to end: the local stack's real processes, a simulated Twilio, and the ear to judge what was heard.

The call is placed once; the tests look at it from all sides.
"""

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp
import numpy as np
import pytest

from duckline.bed import Playlist
from duckline.envelope import Ducking
from duckline.records import SpeechRecord
from duckline.sound import mulaw
from duckline.sound.decode import decode
from duckline.sound.speech import from_bytes, make_ready
from duckline.stores.dynamodb import DynamoBeds, DynamoSpeeches
from duckline.stores.s3 import S3Sounds
from local.beds import make_bed
from local.ear import Heard, listen
from local.music import SAMPLE_RATE_HZ
from local.music.encoding import encode
from local.stack import Stack
from local.twilio import Call, SimulatedTwilio
from render.engines.espeak import EspeakEngine
from render.studio import Studio

BED = "hold"
TEXTS = ("Your order has left the warehouse.", "It will be with you tomorrow.")
OWN_WORDS = "I have found a table for two."
# All of the tests share two processors with this call: a lead of two seconds is what a stall of theirs may last.
SETTINGS = {"DefaultBed": BED, "LeadSeconds": 2}


def a_song() -> np.ndarray:
    """Twelve seconds of chords that never come back, float32 of shape (samples, 2) at 44.1 kHz."""
    rng = np.random.default_rng(3)
    since_s = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    swell = 0.06 * np.minimum(since_s / 0.08, 1) * np.exp(-since_s / 0.8) * np.minimum((2 - since_s) / 0.1, 1)
    song = np.zeros((14 * SAMPLE_RATE_HZ, 2), np.float32)
    for first in range(0, 12 * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ // 2):
        for pitch_hz in rng.choice([220, 247, 262, 294, 330, 392, 440, 523, 587], 3, replace=False):
            tone = sum(np.sin(2 * np.pi * pitch_hz * partial * since_s) / partial for partial in (1, 2, 3))
            song[first : first + len(tone)] += (swell * tone)[:, None] * rng.uniform(0.3, 0.7, 2)
    return song[: 12 * SAMPLE_RATE_HZ]


@dataclass
class Story:
    """What was done and what came of it. Times are seconds on the recording's clock."""

    call: Call | None = None
    spoken: dict[str, np.ndarray] = field(default_factory=dict)  # each speech's sound, in the order of asking
    asked_at_s: dict[str, float] = field(default_factory=dict)
    told_at_s: dict[str, float] = field(default_factory=dict)
    answers: dict[str, dict] = field(default_factory=dict)
    ended: list[tuple[str, float]] = field(default_factory=list)  # functions, and when each invocation was over
    stopped_s: float | None = None  # from the hang-up to the end of the stream's function
    strangers: dict[str, int] = field(default_factory=dict)  # the statuses they got
    bed: np.ndarray | None = None
    states: dict[str, str] = field(default_factory=dict)
    call_after: dict | None = None
    heard: Heard | None = None


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return asyncio.run(a_call(tmp_path_factory.mktemp("call")))


async def a_call(folder) -> Story:
    story = Story()
    song, own_audio = folder / "song.ogg", folder / "own.ogg"
    encode(a_song(), song)
    pcm, rate_hz = EspeakEngine().synthesise(OWN_WORDS, voice="en-gb-x-rp")
    times = np.arange(len(pcm) * SAMPLE_RATE_HZ // rate_hz) * rate_hz / SAMPLE_RATE_HZ
    voice = np.interp(times, np.arange(len(pcm)), pcm).astype(np.float32)
    encode(np.stack([voice, voice], axis=1), own_audio)

    def reported(report):
        if report.what == "end":
            story.ended.append((report.function, time.monotonic()))

    stack = Stack(port=0, settings=SETTINGS, on_report=reported)
    async with stack, SimulatedTwilio(stack.twilio_auth_token) as twilio:
        await make_bed(stack.base_url, stack.api_key, BED, song)
        story.call = await twilio.place_call(f"{stack.base_url}/voice", f"{stack.base_url}/voice/status")
        async with aiohttp.ClientSession(stack.base_url, headers=bearing(stack.api_key)) as api:
            await lived(story, stack, api, own_audio.read_bytes())
            async with api.get(f"/calls/{story.call.call_sid}") as answer:
                story.call_after = await answer.json()
        await asyncio.to_thread(known, story, stack, own_audio.read_bytes())
    story.heard = listen(story.call.recording().pcm, bed=story.bed, speeches=story.spoken)
    return story


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def lived(story: Story, stack: Stack, api: aiohttp.ClientSession, own_audio: bytes) -> None:
    """The call, from the first music to the end of the stream."""
    call = story.call
    await until(lambda: call.windows and call.windows[0].started_at)
    await asyncio.sleep(1)
    asked = [asyncio.create_task(say(story, api, {"json": {"text": TEXTS[0]}}))]
    await asyncio.sleep(0.1)
    asked.append(asyncio.create_task(say(story, api, {"json": {"text": TEXTS[1]}})))
    await strangers_come(story, stack)
    await asyncio.gather(*asked)
    await say(story, api, {"data": own_audio, "headers": {"Content-Type": "audio/ogg"}})
    await finished(story, api)
    await call.hang_up()
    await until(lambda: stops(story))
    [stopped_at] = stops(story)
    story.stopped_s = stopped_at - call.hung_up_at


def stops(story: Story) -> list[float]:
    """When the function behind a stream was over, after the hang-up."""
    return [at for function, at in story.ended if function == "StreamFunction" and at > story.call.hung_up_at]


async def until(come) -> None:
    async with asyncio.timeout(30):
        while not come():
            await asyncio.sleep(0.02)


async def say(story: Story, api: aiohttp.ClientSession, request: dict) -> None:
    asked_at_s = time.monotonic() - story.call.answered_at
    async with api.post(f"/calls/{story.call.call_sid}/speeches", **request) as answer:
        told = await answer.json()
        assert answer.status == 201, told
    story.asked_at_s[told["speech_id"]] = asked_at_s
    story.told_at_s[told["speech_id"]] = time.monotonic() - story.call.answered_at
    story.answers[told["speech_id"]] = told


async def finished(story: Story, api: aiohttp.ClientSession) -> None:
    """Returns once every speech has been heard to its end."""
    async with asyncio.timeout(40):
        while len(story.states) < 3 or set(story.states.values()) & {"scheduled", "playing"}:
            await asyncio.sleep(0.25)
            async with api.get(f"/calls/{story.call.call_sid}") as answer:
                story.states = {speech["speech_id"]: speech["state"] for speech in (await answer.json())["speeches"]}


async def strangers_come(story: Story, stack: Stack) -> None:
    """Requests that must be refused, in the middle of the call."""
    sid = story.call.call_sid
    form, wrong = {"CallSid": sid, "CallStatus": "completed"}, bearing("wrong")
    requests = {
        "unsigned status": ("POST", "/voice/status", {"data": form}),
        "badly signed": ("POST", "/voice/status", {"data": form, "headers": {"X-Twilio-Signature": "AAAA"}}),
        "wrong key, hang up": ("DELETE", f"/calls/{sid}", {"headers": wrong}),
        "wrong key, speak": ("POST", f"/calls/{sid}/speeches", {"json": {"text": "Boo"}, "headers": wrong}),
        "no key": ("DELETE", f"/calls/{sid}/speeches", {}),
        "foreign token": ("GET", "/stream/AAAA.BBBB.wav", {}),
        "no audio": ("POST", f"/calls/{sid}/speeches", {"data": b"Boo", "headers": audio(stack.api_key)}),
        "no words": ("POST", f"/calls/{sid}/speeches", {"json": {"text": ""}, "headers": bearing(stack.api_key)}),
    }
    async with aiohttp.ClientSession(stack.base_url) as stranger:
        for name, (method, path, options) in requests.items():
            async with stranger.request(method, path, **options) as answer:
                story.strangers[name] = answer.status


def audio(key: str) -> dict[str, str]:
    return {**bearing(key), "Content-Type": "audio/ogg"}


def known(story: Story, stack: Stack, own_audio: bytes) -> None:
    """What the caller should have heard: the bed and the speeches as render made them."""
    sounds = S3Sounds(stack.aws.client("s3"), stack.resources["Bucket"]["Ref"])
    table = stack.aws.client("dynamodb"), stack.resources["Table"]["Ref"]
    version = DynamoBeds(*table).get(BED).version
    playlist = Playlist.from_json(sounds.get(f"beds/{version}/playlist.json"))
    story.bed = mulaw.decode(b"".join(sounds.get(segment.key) for segment in playlist.segments))
    studio, speeches = Studio(sounds, EspeakEngine(), Ducking()), DynamoSpeeches(*table)
    for speech_id in sorted(story.asked_at_s, key=story.asked_at_s.get):
        record = speeches.get(story.call.call_sid, speech_id)
        assert isinstance(record, SpeechRecord)
        if record.text:
            voice = studio.voice(record, record.text)
            story.spoken[speech_id] = from_bytes(sounds.get(voice.key)).pcm
        else:
            sound = decode(own_audio)
            story.spoken[speech_id] = make_ready(sound.pcm, sound.rate_hz).pcm


def test_there_is_one_window_and_the_caller_never_wanted_for_sound(story):
    assert len(story.call.windows) == 1
    assert story.call.underruns == []
    assert story.call.late_chunks == []
    assert story.call.errors == []
    assert story.call.windows[0].problems == []


def test_the_music_has_no_gap_no_click_no_repeat_and_no_skip(story):
    heard = story.heard
    assert (heard.gaps, heard.clicks, heard.repeats, heard.skips) == ((), (), (), ())
    assert heard.seconds_without_sound == 0


def test_all_three_speeches_are_heard_whole_and_in_the_order_of_asking(story):
    assert len(story.spoken) == 3
    assert [speech.whole for speech in story.heard.speeches] == [True] * 3
    assert story.heard.in_order
    assert set(story.states.values()) <= {"finished", "failed"}
    assert [story.states[speech_id] for speech_id in story.spoken] == ["finished"] * 3


def test_every_speech_stands_at_least_18_db_over_the_music(story):
    assert min(speech.speech_to_bed_db for speech in story.heard.speeches) >= 18


def test_a_speech_is_heard_when_its_answer_said(story):
    first = story.heard.speeches[0]
    starts_in_s = story.answers[first.speech_id]["starts_in_ms"] / 1000
    # The line buffers 200 ms, and a voice begins with a breath.
    assert story.asked_at_s[first.speech_id] + starts_in_s - 0.3 <= first.heard_at_s
    assert first.heard_at_s <= story.told_at_s[first.speech_id] + starts_in_s + 1.0


def test_the_stream_is_over_within_a_second_and_a_half_of_the_hang_up(story):
    assert 0 <= story.stopped_s <= 1.5


def test_what_the_api_says_after_the_call(story):
    assert (story.call_after["state"], story.call_after["bed"]) == ("ended", BED)
    assert story.call.log[-1].status == 204


def test_strangers_and_nonsense_are_refused_and_disturb_nothing(story):
    assert story.strangers == {
        "unsigned status": 403,
        "badly signed": 403,
        "wrong key, hang up": 401,
        "wrong key, speak": 401,
        "no key": 401,
        "foreign token": 403,
        "no audio": 415,
        "no words": 422,
    }
    assert story.call.ended_by == "caller"
