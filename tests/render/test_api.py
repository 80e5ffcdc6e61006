"""The API as an application meets it: every route, every refusal, and no request that gets a 500."""

import json
import string
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib import import_module
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe
from jsonschema import Draft202012Validator

from duckline import errors, schedule
from duckline.errors import DucklineError, Unavailable
from duckline.records import LIVE_FOR_MS, BedRecord, speech_id_for, status_of
from duckline.schedule import PENDING_LIMIT
from duckline.sound.bedmaking import make_bed
from duckline.sound.speech import make_ready
from duckline.stores import NotReached
from local.payload import Request, event
from local.simulation.world import START_MS
from render.api import Api
from render.beds import BedChange, BedRoom
from render.engines.espeak import EspeakEngine
from render.limits import AUDIO_MOST_BYTES, JSON_MOST_BYTES, LATEST
from render.openapi import description
from render.outbound import Answer as Placed
from render.outbound import Outbound

SID = "CA" + "0123456789abcdef" * 2
OTHER_SID = "CA" + "9" * 32
KEY = "the-api-key"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "DUCKLINE_TABLE": "calls",
    "DUCKLINE_BUCKET": "sound",
    "DUCKLINE_WORK_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/work",
    "DUCKLINE_EVENT_BUS": "default",
    "DUCKLINE_API_KEY_SECRET": "api-key",
    "DUCKLINE_SPEECH_ENGINE": "espeak",
}
SPEAK = "POST /calls/{sid}/speeches"
TITLES = {(error.status, error.title) for error in DucklineError.__subclasses__()}
DESCRIPTION = description()


@cache
def described(route):
    """What the description promises of a route: a validator for the body of each status."""
    method, _, path = route.partition(" ")
    promised = {}
    for status, response in DESCRIPTION["paths"][path][method.lower()]["responses"].items():
        [content] = response["content"].values()
        promised[int(status)] = Draft202012Validator({**content["schema"], "components": DESCRIPTION["components"]})
    return promised


class Vault:
    """`duckline.stores.secrets.Secrets` with one key."""

    def values(self, secret_id):
        return (KEY,)

    fresh = values


class Uploads:
    """Where music would come in."""

    def form(self, key, most_bytes, good_for_s):
        return {"url": "https://bucket.example.com/", "fields": {"key": key}}


class Answer:
    """What came back, its body read."""

    def __init__(self, answer):
        self.status, self.headers = answer["statusCode"], answer["headers"]
        self.body = json.loads(answer["body"])

    @property
    def detail(self):
        return self.body["detail"]


class Client:
    """An application, in front of the handler's own routes over the bench's stores."""

    def __init__(self, entry, api):
        self.entry, self.api = entry, api

    def ask(self, route, body=b"", *, sid=SID, id="", name="", query=None, key=KEY, **headers):  # noqa: A002 - the API's
        """One request; the answer is checked for what all answers have in common."""
        method, _, path = route.partition(" ")
        if not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"content_type": "application/json", **headers}
        given = {place: value for place, value in (("sid", sid), ("id", id), ("name", name)) if f"{{{place}}}" in path}
        for place, value in given.items():
            path = path.replace(f"{{{place}}}", quote(value, safe=""))
        sent = [(header.replace("_", "-"), value) for header, value in headers.items()]
        if key is not None:
            sent.append(("authorization", f"Bearer {key}"))
        request = Request(method, path, urlencode(query or {}), sent, body, "192.0.2.1")
        made = event(request, route=route, path_parameters=given, domain="x", request_id="r", now_ms=START_MS)
        answer = self.checked(self.entry.answered(made))
        if route in self.entry.ROUTES:
            described(route)[answer.status].validate(answer.body)
        return answer

    def checked(self, answered):
        answer = Answer(answered)
        if answer.status < 400:
            assert answer.headers["Content-Type"] == "application/json"
            return answer
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert set(answer.body) == {"title", "status", "detail"}
        assert answer.body["status"] == answer.status
        assert (answer.status, answer.body["title"]) in TITLES
        assert answer.detail and "Traceback" not in answer.detail
        return answer

    def speak(self, body=None, **request):
        return self.ask(SPEAK, {"text": "1.5 s of words"} if body is None else body, **request)


@pytest.fixture(scope="module")
def entry():
    """render.handler as a cold start loads it; its secrets are the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        sys.modules.pop("render.handler", None)
        entry = import_module("render.handler")
        entry.secrets = Vault()
        yield entry
        sys.modules.pop("render.handler").background.pool.shutdown()


@pytest.fixture
def client(entry, bench, monkeypatch):
    def twilio(url, form, credentials):
        return Placed(201, json.dumps({"sid": OTHER_SID}).encode())

    def keep_audio(key, body, content_type):
        bench.sounds.put(key, body, content_type=content_type)

    api = Api(
        bench.speaking,
        bench.silencing,
        BedRoom(bench.beds, bench.sounds, Uploads(), make_bed, bench.events, bench.clock),
        BedChange(bench.calls, bench.beds, bench.studio.fade),
        bench.engine,
        keep_audio,
        Outbound("AC" + "1" * 32, "token", "https://api.twilio.com", False, Vault(), twilio),
    )
    routes = {route: getattr(api, method.__name__) for route, method in entry.ROUTES.items()}
    monkeypatch.setattr(entry, "ROUTES", routes)
    return Client(entry, api)


# -- text -----------------------------------------------------------------------------------------


def test_a_text_is_scheduled_and_says_when_it_is_heard(client, bench):
    answer = client.speak({"text": "1.5 s of words"})
    assert answer.status == 201
    assert set(answer.body) == {"speech_id", "state", "starts_in_ms", "duration_ms"}
    assert (answer.body["state"], answer.body["duration_ms"]) == ("scheduled", 1500)
    part = bench.call.speech(answer.body["speech_id"]).parts[0]
    assert answer.body["starts_in_ms"] == part.voice_at * 20


def test_ssml_and_a_voice_are_taken(client, bench):
    client.api.engine = bench.studio.engine = EspeakEngine()
    words = {"ssml": "<speak>Hello <break time='700ms'/> there</speak>"}
    plain, british = client.speak(words), client.speak({**words, "voice": "en-gb-x-rp"})
    assert (plain.status, british.status) == (201, 201)
    assert 1000 < plain.body["duration_ms"] != british.body["duration_ms"]


def test_a_long_texts_duration_is_null_while_later_parts_are_made(client, bench):
    answer = client.speak({"text": "1.5 s of words, " + "and more and more of them. " * 20})
    assert answer.status == 201
    assert answer.body["duration_ms"] is None
    assert answer.body["starts_in_ms"] > 0
    assert bench.work.messages[0]["kind"] == "go_on"


def test_when_now_drops_the_queue(client, bench):
    queued = [client.speak({"text": f"2 s {number}"}).body["speech_id"] for number in range(3)]
    now = client.speak({"text": "1 s at once"}, query={"when": "now"}).body["speech_id"]
    states = {shown["speech_id"]: shown["state"] for shown in client.ask("GET /calls/{sid}").body["speeches"]}
    assert states == {**dict.fromkeys(queued, "cancelled"), now: "scheduled"}


def test_a_retry_under_the_same_key_speaks_once(client, bench):
    first = client.speak(idempotency_key="k1")
    again = client.speak(idempotency_key="k1")
    assert (again.status, again.body) == (201, first.body)
    assert first.body["speech_id"] == speech_id_for(SID, "k1")
    assert len(bench.call.speeches) == 1


def test_the_same_key_with_another_body_or_another_when_is_422(client, bench):
    client.speak(idempotency_key="k1")
    for request in ({"body": {"text": "2 s of other words"}}, {"query": {"when": "now"}}):
        answer = client.speak(idempotency_key="k1", **request)
        assert (answer.status, answer.body["title"]) == (422, "Idempotency-Key of another request")
        assert "this Idempotency-Key came with another body before" in answer.detail
    assert len(bench.call.speeches) == 1


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"Dear Sir or Madam", "audio/wav", 415),
        (b"", "audio/wav", 415),
        (b'{"text": ""}', "application/json", 422),
        (b'{"text": "1 s", "voice": "tenor"}', "application/json", 400),
    ],
)
def test_a_key_is_not_used_up_by_a_request_that_was_refused(client, bench, body, kind, status):
    assert client.ask(SPEAK, body, content_type=kind, idempotency_key="k1").status == status
    spoken = client.speak(idempotency_key="k1")
    assert (spoken.status, spoken.body["state"]) == (201, "scheduled")
    assert client.speak(idempotency_key="k1").body == spoken.body
    assert client.speak({"text": "2 s of other words"}, idempotency_key="k1").status == 422
    assert len(bench.call.speeches) == 1


def test_a_key_is_not_used_up_while_too_many_are_pending(client, bench):
    for _ in range(PENDING_LIMIT):
        client.speak()
    assert client.speak(idempotency_key="k1").status == 429
    client.ask("DELETE /calls/{sid}/speeches")
    assert client.speak({"text": "2 s of other words"}, idempotency_key="k1").status == 201


def test_a_header_that_is_not_utf_8_is_no_fault_of_ours(client, bench):
    assert client.ask(SPEAK, b"Hello", content_type="audio/\udcff").status == 415
    spoken = client.speak(idempotency_key="\udcff")
    assert spoken.status == 201
    assert client.speak(idempotency_key="\udcff").body["speech_id"] == spoken.body["speech_id"]


def test_the_same_key_in_another_call_is_another_speech(client, bench):
    bench.open(OTHER_SID)
    one, other = client.speak(idempotency_key="k1"), client.speak(idempotency_key="k1", sid=OTHER_SID)
    assert one.body["speech_id"] != other.body["speech_id"]


def test_without_a_key_every_request_is_a_speech(client, bench):
    assert client.speak().body["speech_id"] != client.speak().body["speech_id"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"text": ""}, 422, "the text '' has nothing to say; it must hold a word"),
        ({"text": " \n\t "}, 422, "nothing to say"),
        ({"text": "…"}, 422, "nothing to say"),
        ({"text": "x" * 3001}, 422, "the text has 3001 characters; at most 3000"),
        ({"text": "Hi \ud83d"}, 422, "the text has '\\ud83d' as character 4, which is half a character"),
        ({"ssml": "<speak></speak>"}, 422, "nothing to say"),
        ({"ssml": "<speak>Hi<break time='1h'/></speak>"}, 400, "a break of '1h' at line 1, column 10; up to 10s"),
        ({"ssml": "<speak>Hi"}, 400, "the SSML is not well-formed at line 1, column 10"),
        ({"ssml": "<p>Hi</p>"}, 400, "<speak> must be the outermost tag"),
        ({}, 400, 'the body must have either "text" or "ssml", a string'),
        ({"text": "Hi", "ssml": "<speak>Hi</speak>"}, 400, 'either "text" or "ssml"'),
        ({"text": 5}, 400, 'either "text" or "ssml", a string'),
        ({"text": None}, 400, 'either "text" or "ssml", a string'),
        ({"text": "1 s", "voice": 5}, 400, "voice is 5; the name of a voice, a string, would be right"),
        ({"text": "1 s", "voice": "tenor"}, 400, "there is no voice 'tenor'; the hummer has alto, bass"),
        ([], 400, "the body is JSON, but list; an object would be right"),
        ("text", 400, "the body is JSON, but str"),
        (None, 400, "the body is JSON, but NoneType"),
    ],
)
def test_words_that_cannot_be_spoken_are_refused_with_the_reason(client, bench, body, status, said):
    answer = client.ask(SPEAK, json.dumps(body).encode(), content_type="application/json")
    assert answer.status == status
    assert said in answer.detail
    assert bench.call.speeches == ()
    assert bench.speeches.records == {}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"text=Hi", b'{"text": "Hi"', b"\xff\xfe{}", b"[" * 60_000, b'{"text": ' + b"9" * 5000 + b"}", b"NaN,"],
    ids=["empty", "brace", "form", "cut", "binary", "deep", "digits", "junk"],
)
def test_json_that_is_malformed_is_400(client, bench, body):
    answer = client.ask(SPEAK, body, content_type="application/json")
    assert answer.status == 400
    assert "the body" in answer.detail and len(answer.detail) < 300
    assert bench.call.speeches == ()


def test_a_json_body_beyond_its_limit_is_413(client):
    answer = client.speak({"text": "x" * JSON_MOST_BYTES})
    assert answer.status == 413
    assert f"at most {JSON_MOST_BYTES} may be" in answer.detail


def test_a_content_type_that_is_neither_json_nor_audio_is_415(client, bench):
    for kind in ("text/plain", "application/xml", "audio/midi", "video/mp4", "application/octet-stream", ";;;"):
        answer = client.ask(SPEAK, b"Hello", content_type=kind)
        assert answer.status == 415
        assert f"the Content-Type is '{kind}'; one of application/json, audio/wav" in answer.detail
    assert bench.call.speeches == ()


@pytest.mark.parametrize("when", ["", "later", "NOW", "now,queue"])
def test_a_when_that_is_none_is_400(client, when):
    answer = client.speak(query={"when": when})
    assert (answer.status, answer.detail) == (400, f"when is {when!r}; queue or now would be right")


def test_a_key_beyond_its_limit_is_400(client):
    assert client.speak(idempotency_key="k" * 255).status == 201
    answer = client.speak(idempotency_key="k" * 256)
    assert (answer.status, answer.detail) == (400, "the Idempotency-Key has 256 characters; at most 255 may be")


# -- audio ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def words():
    """A sentence, float32 at the synthesiser's own rate."""
    return EspeakEngine().synthesise("I have found a table for two, at eight o'clock.")


@pytest.fixture(scope="module")
def audio(words, tmp_path_factory):
    """The sentence as a file in each format; or other sound, or with other options."""
    folder = tmp_path_factory.mktemp("audio")

    def encode(ending, *options, pcm=words[0], rate_hz=words[1]):
        file = folder / f"sound.{ending}"
        source = ["-f", "f32le", "-ar", str(rate_hz), "-ac", "1", "-i", "-"]
        command = [get_ffmpeg_exe(), "-v", "error", "-y", *source, *options, "-bitexact", str(file)]
        subprocess.run(command, input=np.asarray(pcm, "<f4").tobytes(), check=True)
        return file.read_bytes()

    return encode


@pytest.mark.parametrize(
    ("ending", "kind", "options"),
    [
        ("wav", "audio/wav", ()),
        ("wav", "audio/x-wav; charset=binary", ("-ar", "44100", "-ac", "2")),
        ("mp3", "audio/mpeg", ("-ar", "44100")),
        ("ogg", "audio/ogg", ("-ar", "44100", "-ac", "2")),
        ("flac", "AUDIO/FLAC", ()),
    ],
    ids=["wav", "wav in stereo", "mp3", "ogg", "flac"],
)
def test_audio_of_ones_own_is_heard(client, bench, audio, words, ending, kind, options):
    answer = client.ask(SPEAK, audio(ending, *options), content_type=kind)
    assert answer.status == 201
    expected = make_ready(*words).pcm
    assert answer.body["duration_ms"] == pytest.approx(len(expected) / 8, abs=100)
    part = bench.call.speech(answer.body["speech_id"]).parts[0]
    [kept] = [body for key, body in bench.sounds.objects.items() if key.startswith("voices/")]
    heard = np.frombuffer(kept, "<i2") / 32768
    spectrum = np.fft.rfft(expected, 65_536).conj() * np.fft.rfft(heard, 65_536)  # an encoder delays by some samples
    likeness = np.fft.irfft(spectrum).max() / np.sqrt((expected @ expected) * (heard @ heard))
    assert likeness > 0.97
    assert part.voice_end - part.voice_at == len(heard) // 160


def test_audio_is_kept_as_it_came(client, bench, audio):
    body = audio("ogg")
    client.ask(SPEAK, body, content_type="audio/ogg")
    assert body in [kept for key, kept in bench.sounds.objects.items() if key.startswith(f"audio/{SID}/")]


def test_the_same_audio_twice_is_made_ready_once(client, bench, audio):
    client.ask(SPEAK, audio("ogg"), content_type="audio/ogg")
    client.ask(SPEAK, audio("ogg"), content_type="audio/ogg")
    assert len([key for key in bench.sounds.objects if key.startswith("voices/")]) == 1
    assert len(bench.call.speeches) == 2


@pytest.fixture(scope="module")
def unreadable(audio):
    """Files that are no speech, with what is said of them."""
    rng = np.random.default_rng(4)
    return {
        "a letter": (b"Dear Sir or Madam, " * 50, 415, "the file begins with b'Dear Sir or '"),
        "junk": (rng.bytes(5000), 415, "the file begins with"),
        "a page": (b"<!doctype html><html></html>", 415, "none of MP3, OGG, FLAC, M4A or WAV"),
        "one byte": (b"R", 415, "the file begins with b'R'"),
        "a header alone": (audio("wav")[:30], 415, "damaged or cut short"),
        "the start of an ogg": (audio("ogg")[:40], 415, "send it whole"),
        "the start of a flac": (audio("flac")[:60], 415, "send it whole"),
        "an mp3 of junk": (b"\xff\xfb\x90\x00" + rng.bytes(3000), 415, "MP3"),
        "silence": (audio("wav", pcm=np.zeros(8000), rate_hz=8000), 422, "the speech is silent: 1.00 s"),
        "no samples": (audio("wav", pcm=np.zeros(0), rate_hz=8000), 415, "WAV"),
        "five minutes and more": (audio("flac", pcm=np.zeros(4000 * 302), rate_hz=4000), 413, "at most 300 s"),
    }


@pytest.mark.parametrize(
    "which",
    [
        "a letter",
        "junk",
        "a page",
        "one byte",
        "a header alone",
        "the start of an ogg",
        "the start of a flac",
        "an mp3 of junk",
        "silence",
        "no samples",
        "five minutes and more",
    ],
)
def test_a_file_that_is_no_speech_is_refused_and_leaves_nothing_pending(client, bench, unreadable, which):
    body, status, said = unreadable[which]
    answer = client.ask(SPEAK, body, content_type="audio/wav")
    assert answer.status == status, answer.detail
    assert said in answer.detail
    assert bench.call.pending == ()
    assert client.ask("GET /calls/{sid}").body["speeches"] == bench.events.messages == []
    assert client.speak().body["starts_in_ms"] == (63 + 5 + 6) * 20  # the place is free


@pytest.mark.parametrize("ending", ["ogg", "wav", "flac"])
def test_a_file_of_which_half_is_missing_is_refused_and_leaves_nothing_pending(client, bench, audio, ending):
    whole = audio(ending)
    answer = client.ask(SPEAK, whole[: len(whole) // 2], content_type="audio/wav")
    assert answer.status == 415
    assert "send it whole" in answer.detail
    assert bench.call.pending == ()


def test_no_audio_at_all_is_415(client, bench):
    answer = client.ask(SPEAK, b"", content_type="audio/wav")
    assert (answer.status, answer.detail) == (415, "the audio has no bytes")
    assert bench.call.speeches == ()


def test_audio_beyond_its_limit_is_413(client, bench):
    answer = client.ask(SPEAK, bytes(AUDIO_MOST_BYTES + 1), content_type="audio/wav")
    assert answer.status == 413
    assert answer.detail == f"the audio has {AUDIO_MOST_BYTES + 1} bytes; at most {AUDIO_MOST_BYTES} may be"
    assert bench.call.speeches == ()


# -- who asks, and for which call -----------------------------------------------------------------


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {KEY}", KEY, "Bearer kéy", "Bearer \udcff"]
)
def test_without_the_key_every_route_is_401(client, entry, bench, header):
    before = bench.call
    for route in entry.ROUTES:
        headers = {} if header is None else {"authorization": header}
        answer = client.ask(route, b"{}", key=None, name="calm", **headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert bench.call == before


def test_the_scheme_may_be_written_in_any_case(client):
    assert client.ask("GET /calls", key=None, authorization=f"bEARER  {KEY} ").status == 200


@pytest.mark.parametrize("sid", [OTHER_SID, "CA123", "x", SID.upper(), "../" + SID, "é", "%00", SID + "\n"])
def test_a_call_that_nobody_knows_is_404_on_every_route(client, entry, sid):
    for route in (route for route in entry.ROUTES if "{sid}" in route):
        body = {"text": "1 s"} if route == SPEAK else {"bed": "calm"}
        answer = client.ask(route, body, sid=sid, id="sp_1")
        assert answer.status == 404, route
        assert "there is no call" in answer.detail


def test_a_call_that_is_over_is_409(client, bench):
    bench.calls.write(bench.call, schedule.end(bench.call, now_ms=START_MS, reason="completed"))
    for answer in (client.speak(), client.ask("PUT /calls/{sid}/bed", {"bed": "warm"})):
        assert (answer.status, answer.detail) == (409, f"call {SID} is over: completed")


def test_the_33rd_pending_speech_is_429_and_says_when_to_come_again(client, bench):
    for _ in range(PENDING_LIMIT):
        assert client.speak({"text": "1.5 s of words"}).status == 201
    answer = client.speak({"text": "1.5 s of words"})
    assert (answer.status, answer.detail) == (429, "32 speeches are pending; at most 32 may be")
    assert answer.headers["Retry-After"] == "1"
    assert len(bench.call.speeches) == PENDING_LIMIT


def test_a_route_that_is_not_served_is_404(client):
    answer = client.ask("PATCH /calls")
    assert answer.status == 404
    assert answer.detail == "PATCH /calls is not served; GET /openapi.json lists what is"


def test_a_service_that_cannot_be_reached_is_503_and_says_when_to_come_again(client, bench, monkeypatch):
    def down(*arguments):
        raise NotReached("table")

    monkeypatch.setattr(bench.calls, "get", down)
    answer = client.speak()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


def test_a_synthesiser_that_is_busy_is_503_and_the_retry_is_spoken(client, bench):
    bench.engine.failure = Unavailable("Amazon Polly is busy")
    answer = client.speak(idempotency_key="k1")
    assert (answer.status, answer.detail, answer.headers["Retry-After"]) == (503, "Amazon Polly is busy", "1")
    bench.engine.failure = None
    again = client.speak(idempotency_key="k1")
    assert (again.status, again.body["state"]) == (201, "scheduled")


@pytest.mark.parametrize("error", [e for e in vars(errors).values() if isinstance(e, type) and e is not DucklineError])
def test_every_error_is_a_problem_with_its_status(entry, client, error):
    if issubclass(error, DucklineError):
        answer = client.checked(entry.problem(error("'x' is wrong; 'y' would be right")))
        assert answer.detail == "'x' is wrong; 'y' would be right"


# -- what became of a speech ----------------------------------------------------------------------


def test_a_speech_is_shown_as_it_is_scheduled_played_and_finished(client, bench):
    speech_id = client.speak().body["speech_id"]
    part = bench.call.speech(speech_id).parts[0]

    def shown():
        answer = client.ask("GET /calls/{sid}/speeches/{id}", id=speech_id)
        assert answer.status == 200
        assert set(answer.body) == {"speech_id", "state", "reason", "starts_at_ms", "duration_ms"}
        return answer.body["state"]

    assert shown() == "scheduled"
    bench.seal(part.voice_at + 60)
    assert shown() == "playing"
    bench.seal(part.voice_end + 60)
    assert shown() == "finished"
    answer = client.ask("GET /calls/{sid}/speeches/{id}", id=speech_id)
    assert (answer.body["starts_at_ms"], answer.body["duration_ms"]) == (part.voice_at * 20, 1500)


@pytest.mark.parametrize("route", ["GET /calls/{sid}/speeches/{id}", "DELETE /calls/{sid}/speeches/{id}"])
def test_a_speech_that_nobody_knows_is_404(client, route):
    answer = client.ask(route, id="sp_nothing")
    assert (answer.status, answer.detail) == (404, f"call {SID} has no speech sp_nothing")


def test_a_speech_is_cancelled_once_and_again(client, bench):
    speech_id = client.speak().body["speech_id"]
    for _ in range(2):
        answer = client.ask("DELETE /calls/{sid}/speeches/{id}", id=speech_id)
        assert answer.status == 200
        assert (answer.body["speech_id"], answer.body["state"]) == (speech_id, "cancelled")
    assert bench.call.pending == ()


def test_a_speech_that_was_heard_is_409(client, bench):
    speech_id = client.speak().body["speech_id"]
    bench.seal(bench.call.speech(speech_id).parts[0].voice_end + 60)
    answer = client.ask("DELETE /calls/{sid}/speeches/{id}", id=speech_id)
    assert answer.status == 409
    assert "is finished" in answer.detail


def test_all_are_silenced_and_counted(client):
    for number in range(3):
        client.speak({"text": f"1 s {number}"})
    assert client.ask("DELETE /calls/{sid}/speeches").body == {"cancelled": 3}
    assert client.ask("DELETE /calls/{sid}/speeches").body == {"cancelled": 0}


# -- calls ----------------------------------------------------------------------------------------


def test_a_call_is_shown_with_its_speeches_in_order(client, bench):
    ids = [client.speak({"text": f"1 s {number}"}).body["speech_id"] for number in range(3)]
    bench.seal(150)
    body = client.ask("GET /calls/{sid}").body
    assert {name: body[name] for name in ("call_sid", "state", "bed", "position_ms")} == {
        "call_sid": SID,
        "state": "live",
        "bed": "calm",
        "position_ms": 2000,
    }
    assert [shown["speech_id"] for shown in body["speeches"]] == ids
    assert [shown["state"] for shown in body["speeches"]] == ["playing", "scheduled", "scheduled"]


def test_the_latest_speeches_that_are_over_are_shown_too(client, bench):
    for number in range(LATEST + 5):
        speech_id = client.speak({"text": f"1 s {number}"}, idempotency_key=str(number)).body["speech_id"]
        speech = bench.call.speech(speech_id)
        status = replace(status_of(bench.call, speech, bench.clock.now_ms()), state="finished")
        bench.speeches.close(SID, status, speech.order)
        bench.calls.calls[SID] = replace(bench.call, speeches=())
    pending = client.speak({"text": "1 s last"}).body["speech_id"]
    shown = client.ask("GET /calls/{sid}").body["speeches"]
    ids = [speech_id_for(SID, str(number)) for number in range(5, LATEST + 5)]
    assert [speech["speech_id"] for speech in shown] == [*ids, pending]


def test_live_calls_are_listed_and_those_that_are_over_are_not(client, bench):
    bench.open(OTHER_SID, opened_at_ms=0)
    over = bench.open("CA" + "7" * 32)
    bench.calls.write(over, schedule.end(over, now_ms=START_MS, reason="completed"))
    body = client.ask("GET /calls").body
    assert {call["call_sid"]: call["state"] for call in body["calls"]} == {SID: "live", OTHER_SID: "ringing"}
    assert body["next"] is None


def test_a_call_that_nobody_seals_any_more_counts_as_ended(client, bench):
    bench.clock.time_ms = LIVE_FOR_MS
    assert client.ask("GET /calls/{sid}").body["state"] == "live"
    bench.clock.time_ms = LIVE_FOR_MS + 1
    assert client.ask("GET /calls/{sid}").body["state"] == "ended"
    assert client.ask("GET /calls").body["calls"] == []


def test_a_call_that_nobody_seals_any_more_takes_no_speech_and_no_bed_and_can_be_ended(client, bench):
    bench.clock.time_ms = LIVE_FOR_MS + 1
    for answer in (client.speak(), client.ask("PUT /calls/{sid}/bed", {"bed": "warm"})):
        assert answer.status == 409
        assert answer.detail == f"call {SID} is over: nobody has fetched its sound for more than 30 s"
    assert bench.call.speeches == ()
    assert client.ask("DELETE /calls/{sid}").status == 200
    assert bench.events.types == ["call.ended"]


def test_a_call_whose_window_was_sent_at_once_lives_while_it_is_heard(client, bench):
    bench.open(OTHER_SID, sealed=3000, paced=False)
    bench.clock.time_ms = LIVE_FOR_MS + 10_000
    assert client.ask("GET /calls/{sid}", sid=OTHER_SID).body["state"] == "live"


def test_a_call_is_ended_once_and_again(client, bench):
    speech_id = client.speak().body["speech_id"]
    first = client.ask("DELETE /calls/{sid}")
    assert (first.status, first.body["state"]) == (200, "ended")
    bench.clock.time_ms += 5000
    assert client.ask("DELETE /calls/{sid}").body == first.body
    assert bench.call.ended
    shown = client.ask("GET /calls/{sid}/speeches/{id}", id=speech_id).body
    assert (shown["state"], shown["reason"]) == ("cancelled", f"the call is over: {bench.call.end_reason}")


def test_a_call_that_the_api_ends_is_told_of_once_like_any_other(client, bench):
    speech_id = client.speak().body["speech_id"]
    for _ in range(2):
        client.ask("DELETE /calls/{sid}")
    ended, cancelled = bench.events.messages[1:]
    assert (ended["type"], ended["call_sid"]) == ("call.ended", SID)
    assert (cancelled["type"], cancelled["speech_id"]) == ("speech.cancelled", speech_id)
    kept = bench.speeches.get(SID, speech_id)
    assert (kept.state, kept.reason) == ("cancelled", "the call is over: ended by DELETE /calls/{sid}")


def test_a_call_that_twilio_ended_is_not_told_of_again_by_a_delete(client, bench):
    bench.calls.write(bench.call, schedule.end(bench.call, now_ms=START_MS, reason="completed"))
    assert client.ask("DELETE /calls/{sid}").body["state"] == "ended"
    assert (bench.call.end_reason, bench.events.messages) == ("completed", [])


# -- beds -----------------------------------------------------------------------------------------


def test_a_calls_bed_is_changed(client, bench):
    answer = client.ask("PUT /calls/{sid}/bed", {"bed": "warm"})
    assert answer.status == 200
    assert answer.body == {"starts_in_ms": bench.call.beds[-1].start * 20}
    bench.seal(200)
    assert client.ask("GET /calls/{sid}").body["bed"] == "warm"


@pytest.mark.parametrize(
    ("body", "status"),
    [({"bed": "jazz"}, 404), ({"bed": "No Name"}, 400), ({"bed": 5}, 400), ({}, 400), ({"bed": ""}, 400), ([], 400)],
)
def test_a_bed_that_is_not_to_be_had_is_refused(client, bench, body, status):
    before = bench.call
    assert client.ask("PUT /calls/{sid}/bed", body).status == status
    assert bench.call == before


def test_beds_are_listed_and_shown(client, bench):
    bench.beds.keep(BedRecord("rock", "failed", reason="the file is empty: send MP3"))
    listed = client.ask("GET /beds").body["beds"]
    assert [bed["name"] for bed in listed] == ["calm", "rock", "shipped", "warm"]
    calm = client.ask("GET /beds/{name}", name="calm").body
    assert calm == listed[0] == {"name": "calm", "state": "ready", "seconds": 8, "level_dbov": calm["level_dbov"]}
    assert calm["level_dbov"] == pytest.approx(-28, abs=1)
    rock = client.ask("GET /beds/{name}", name="rock").body
    assert (rock["state"], rock["seconds"], rock["reason"]) == ("failed", None, "the file is empty: send MP3")


def test_the_bed_that_ships_is_one_of_them_until_another_takes_its_name(client, bench):
    shown = client.ask("GET /beds/{name}", name="shipped").body
    assert shown in client.ask("GET /beds").body["beds"]
    assert (shown["state"], shown["seconds"] > 0, shown["level_dbov"] < -20) == ("ready", True, True)
    assert client.ask("PUT /calls/{sid}/bed", {"bed": "shipped"}).status == 200
    bench.beds.keep(BedRecord("shipped", "failed", reason="the file is empty: send MP3"))
    assert client.ask("GET /beds/{name}", name="shipped").body["state"] == "failed"
    assert [bed["name"] for bed in client.ask("GET /beds").body["beds"]] == ["calm", "shipped", "warm"]


def test_an_upload_is_asked_for(client, bench):
    answer = client.ask("POST /beds/{name}", name="jazz")
    assert answer.status == 201
    assert answer.body["upload"]["fields"]["key"].startswith("uploads/jazz/")
    assert client.ask("GET /beds/{name}", name="jazz").body["state"] == "rendering"


@pytest.mark.parametrize("route", ["GET /beds/{name}", "POST /beds/{name}"])
@pytest.mark.parametrize("name", ["No Name", "ä", "a" * 64, "..", "a/b", "-x"])
def test_a_name_that_is_none_is_400(client, route, name):
    answer = client.ask(route, name=name)
    assert answer.status == 400
    assert "is no bed's name" in answer.detail


def test_a_bed_that_nobody_knows_is_404(client):
    assert client.ask("GET /beds/{name}", name="jazz").status == 404


# -- the description ------------------------------------------------------------------------------


class EveryVoice(EspeakEngine):
    """Takes whatever voice is asked for, and speaks as always."""

    def check_voice(self, voice):
        return super().check_voice(None)


def examples():
    """Every example of a request: its route, its name and its body."""
    for path, operations in DESCRIPTION["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}) if method != "parameters" else {}
            for name, example in content.get("application/json", {}).get("examples", {}).items():
                yield pytest.param(f"{method.upper()} {path}", example["value"], id=f"{method} {path} {name}")


@pytest.mark.parametrize(("route", "body"), list(examples()))
def test_every_example_of_a_request_is_accepted(client, bench, route, body):
    client.api.engine = bench.studio.engine = EveryVoice()
    answer = client.ask(route, body)
    assert answer.status in (200, 201)


def test_the_api_describes_itself(client):
    answer = client.ask("GET /openapi.json")
    assert (answer.status, answer.body) == (200, json.loads(json.dumps(DESCRIPTION)))


def test_all_that_an_answer_has_is_described(client, bench):
    """A schema lets more through than it names; an answer has no more than is named."""
    speech_id = client.speak().body["speech_id"]
    bench.beds.keep(BedRecord("rock", "failed", reason="the file is empty: send MP3"))
    schemas = DESCRIPTION["components"]["schemas"]
    for route, schema in [
        ("GET /calls", "CallPage"),
        ("GET /calls/{sid}", "CallWithSpeeches"),
        ("GET /calls/{sid}/speeches/{id}", "Speech"),
        (SPEAK, "AcceptedSpeech"),
        ("GET /beds", "BedList"),
        ("GET /beds/{name}", "Bed"),
        ("POST /beds/{name}", "Upload"),
    ]:
        answer = client.ask(route, {"text": "1 s"}, id=speech_id, name="rock")
        assert set(answer.body) == set(schemas[schema]["properties"]), route


# -- anything at all ------------------------------------------------------------------------------

anything = st.text(max_size=60)
header_values = st.text(st.sampled_from(string.printable[:95] + "äé€"), max_size=60)
values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | anything, st.lists, max_leaves=5)
bodies = st.one_of(
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(["text", "ssml", "voice", "bed", "when", "x"]), values).map(
        lambda body: json.dumps(body).encode()
    ),
    st.builds(lambda text: json.dumps({"ssml": f"<speak>{text}</speak>"}).encode(), anything),
    st.builds(
        lambda head, rest: head + rest, st.sampled_from([b"RIFF\0\0\0\0WAVE", b"OggS", b"fLaC", b"ID3"]), st.binary()
    ),
)
kinds = st.sampled_from(["application/json", "audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", ""]) | header_values


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_gets_a_500(client, entry, data):
    route = data.draw(st.sampled_from(sorted(entry.ROUTES)))
    answer = client.ask(
        route,
        data.draw(bodies),
        sid=data.draw(st.just(SID) | anything),
        id=data.draw(anything),
        name=data.draw(st.sampled_from(["calm", "warm"]) | anything),
        query=data.draw(st.dictionaries(st.sampled_from(["when", "after", "x"]), anything, max_size=2)),
        content_type=data.draw(kinds),
        idempotency_key=data.draw(header_values),
    )
    assert answer.status < 500, answer.body
    if answer.status >= 400:
        assert len(answer.detail) < 1000


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=header_values)
def test_no_authorization_but_the_key_is_let_in(client, header):
    answer = client.ask("GET /calls", key=None, authorization=header)
    assert answer.status == 401
