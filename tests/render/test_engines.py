import io
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import boto3
import espeakng_loader
import numpy as np
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from duckline.errors import Malformed, SettingMissing, Unavailable, Unspeakable
from render.engines import ENGINES, choose
from render.engines.espeak import LONGEST_S, EspeakEngine
from render.engines.polly import ATTEMPTS, LONGEST_WAIT_S, PATIENCE_S, PollyEngine

SOUND = (np.sin(np.arange(1600) / 5) * 8000).astype("<i2").tobytes()

VOICES = [
    {"Id": "Joanna", "SupportedEngines": ["neural", "standard"]},
    {"Id": "Carla", "SupportedEngines": ["standard"]},
    {"Id": "Danielle", "SupportedEngines": ["long-form", "neural"]},
    {"Id": "Ruth", "SupportedEngines": ["generative", "long-form"]},
]


def refusal(code: str, status: int = 400, message: str = "No.") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "SynthesizeSpeech",
    )


class FakePolly:
    """Polly's client as far as it is used: gives out `failures` first and then `sound`."""

    def __init__(self, *failures: Exception, sound: bytes = SOUND) -> None:
        self.failures = list(failures)
        self.sound = sound
        self.asked: list[dict] = []
        self.described = 0

    def describe_voices(self, NextToken: str = "") -> dict:  # noqa: N803 - boto3's name
        self.described += 1
        if NextToken:
            return {"Voices": VOICES[2:]}
        return {"Voices": VOICES[:2], "NextToken": "more"}

    def synthesize_speech(self, **asked: str) -> dict:
        self.asked.append(asked)
        if self.failures:
            raise self.failures.pop(0)
        return {"AudioStream": io.BytesIO(self.sound), "ContentType": "audio/pcm"}


class Waiting:
    """Time that passes only while something waits, and jitter that takes all it may."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def clock(self) -> float:
        return sum(self.waits)

    @staticmethod
    def longest(_low: float, high: float) -> float:
        return high


def polly(client: FakePolly, waiting: Waiting | None = None, **settings: object) -> PollyEngine:
    waiting = waiting or Waiting()
    return PollyEngine(client, uniform=waiting.longest, sleep=waiting.sleep, clock=waiting.clock, **settings)


# -- choosing -------------------------------------------------------------------------------------


def test_every_engine_can_be_chosen_by_its_name():
    for name in ENGINES:
        try:
            assert choose(name, polly_client=FakePolly()).name == name
        except SettingMissing as missing:
            assert name == "piper" and "`make piper` installs" in str(missing)


def test_the_voice_of_the_deployment_speaks_where_a_request_names_none():
    assert choose("polly", voice="Carla", polly_client=FakePolly()).check_voice(None) == "Carla"
    assert choose("espeak", voice="de").check_voice(None) == "de"
    assert choose("espeak").check_voice(None) == "en-us"


def test_an_engine_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(SettingMissing, match="'festival'; it must be one of polly, espeak, piper"):
        choose("festival")


# -- Polly ----------------------------------------------------------------------------------------


def test_polly_is_asked_for_plain_samples():
    client = FakePolly()
    pcm, rate_hz = polly(client).synthesise("Hello.")
    assert rate_hz == 16000
    assert pcm.dtype == np.float32 and len(pcm) == 1600
    assert np.abs(pcm).max() == pytest.approx(8000 / 32768, abs=0.001)
    assert client.asked == [
        {
            "Text": "Hello.",
            "TextType": "text",
            "VoiceId": "Joanna",
            "Engine": "neural",
            "OutputFormat": "pcm",
            "SampleRate": "16000",
        }
    ]


def test_ssml_is_announced_as_such():
    client = FakePolly()
    polly(client).synthesise("<speak>Hello.</speak>", ssml=True)
    assert client.asked[0]["TextType"] == "ssml"


@pytest.mark.parametrize(
    ("voice", "spoken_with"),
    [("Joanna", "neural"), ("Carla", "standard"), ("Danielle", "neural"), ("Ruth", "generative")],
)
def test_a_voice_speaks_with_the_best_engine_that_has_it(voice: str, spoken_with: str):
    client = FakePolly()
    polly(client).synthesise("Hello.", voice=voice)
    assert (client.asked[0]["VoiceId"], client.asked[0]["Engine"]) == (voice, spoken_with)


def test_a_deployment_can_prefer_standard_voices_for_their_quota():
    client = FakePolly()
    polly(client, preference=("standard", "neural")).synthesise("Hello.")
    assert client.asked[0]["Engine"] == "standard"


def test_an_unknown_voice_is_refused_with_those_that_there_are_before_anything_is_said():
    client = FakePolly()
    with pytest.raises(Malformed, match=r"no voice 'Hal'; Polly has Carla, Danielle, Joanna, Ruth$"):
        polly(client).check_voice("Hal")
    with pytest.raises(Malformed, match="no voice 'Hal'"):
        polly(client).synthesise("Hello.", voice="Hal")
    assert not client.asked


def test_the_voices_are_asked_for_once():
    client = FakePolly()
    engine = polly(client)
    for voice in ("Joanna", "Ruth", None):
        engine.check_voice(voice)
    engine.synthesise("Hello.")
    assert client.described == 2  # pages


@pytest.mark.parametrize(
    "failure",
    [
        refusal("ThrottlingException"),
        refusal("TooManyRequestsException", 429),
        refusal("ServiceFailureException", 500),
        refusal("ServiceUnavailable", 503),
        EndpointConnectionError(endpoint_url="https://polly.example"),
    ],
    ids=lambda failure: type(failure).__name__ + getattr(failure, "response", {}).get("Error", {}).get("Code", ""),
)
def test_what_may_pass_is_tried_again_after_growing_waits(failure: Exception):
    client, waiting = FakePolly(failure, failure, failure), Waiting()
    pcm, _ = polly(client, waiting).synthesise("Hello.")
    assert pcm.any()
    assert len(client.asked) == 4
    assert waiting.waits == pytest.approx([0.1, 0.2, 0.4])


def test_the_waits_are_jittered_over_all_of_their_length():
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return 0.0

    busy = FakePolly(*[refusal("ThrottlingException")] * 8)
    PollyEngine(busy, attempts=9, uniform=uniform, sleep=lambda _: None, clock=lambda: 0.0).synthesise("Hello.")
    assert {low for low, _ in bounds} == {0}
    assert [high for _, high in bounds] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2])
    assert LONGEST_WAIT_S == 2


def test_patience_ends_after_some_attempts_and_says_why():
    client = FakePolly(*[refusal("ThrottlingException")] * 20)
    with pytest.raises(Unavailable, match="Polly cannot be had: ThrottlingException, 5 times"):
        polly(client).synthesise("Hello.")
    assert len(client.asked) == ATTEMPTS == 5


def test_patience_ends_with_the_time_that_a_request_has():
    client, waiting = FakePolly(*[refusal("ThrottlingException")] * 100), Waiting()
    with pytest.raises(Unavailable):
        polly(client, waiting, attempts=100).synthesise("Hello.")
    assert PATIENCE_S < waiting.clock() <= PATIENCE_S + LONGEST_WAIT_S


@pytest.mark.parametrize(
    ("failure", "becomes", "saying"),
    [
        (refusal("InvalidSsmlException", message="Unsupported tag"), Malformed, "refuses the SSML: Unsupported tag"),
        (refusal("TextLengthExceededException"), Unspeakable, "takes 3000 characters"),
        (refusal("AccessDeniedException", 403), Unavailable, "refuses this deployment: AccessDeniedException"),
    ],
    ids=["ssml", "length", "permission"],
)
def test_what_will_not_pass_is_not_tried_again(failure: ClientError, becomes: type[Exception], saying: str):
    client, waiting = FakePolly(failure), Waiting()
    with pytest.raises(becomes, match=saying):
        polly(client, waiting).synthesise("<speak>Hello.</speak>", ssml=True)
    assert len(client.asked) == 1 and not waiting.waits


@pytest.mark.parametrize("sound", [b"", b"\0", bytes(8), bytes(16000)])
def test_an_answer_without_sound_is_an_error_and_not_a_silent_speech(sound: bytes):
    with pytest.raises(Unspeakable, match=rf"Polly made no sound of 'Hello.': {len(sound)} bytes of silence as Joanna"):
        polly(FakePolly(sound=sound)).synthesise("Hello.")


def test_half_a_sample_at_the_end_is_left_out():
    pcm, _ = polly(FakePolly(sound=SOUND + b"\1")).synthesise("Hello.")
    assert len(pcm) == 1600


@mock_aws
def test_motos_polly_with_its_eight_zero_bytes_is_told_apart_from_speech():
    client = boto3.client("polly", "us-east-1", aws_access_key_id="made-up", aws_secret_access_key="made-up")
    engine = choose("polly", polly_client=client)
    assert engine.check_voice("Joanna") == "Joanna"
    with pytest.raises(Unspeakable, match="8 bytes of silence"):
        engine.synthesise("Hello.")


# -- eSpeak NG ------------------------------------------------------------------------------------


def test_espeak_speaks():
    pcm, rate_hz = EspeakEngine().synthesise("Your order has been shipped and will arrive on Thursday.")
    assert rate_hz == 22050
    assert 2 < len(pcm) / rate_hz < 4
    assert pcm.dtype == np.float32 and 0.2 < np.abs(pcm).max() <= 1


def test_espeak_says_more_when_there_is_more_to_say():
    engine = EspeakEngine()
    lengths = [len(engine.synthesise(text)[0]) for text in ("One.", "One, two, three.", "One, two, three. " * 20)]
    assert lengths[0] < lengths[1] < lengths[2] / 10


def test_one_text_sounds_different_from_voice_to_voice():
    engine = EspeakEngine()
    german, english = (
        engine.synthesise("Die Lieferung kommt am 3. Mai.", voice=v)[0][:40_000] for v in ("de", "en-gb")
    )
    assert abs(np.corrcoef(german, english)[0, 1]) < 0.5


def test_a_language_beyond_ascii_is_spoken():
    assert len(EspeakEngine().synthesise("Καλημέρα, ευχαριστώ.", voice="el")[0]) > 11025


def test_an_unknown_language_is_refused_with_those_that_there_are():
    with pytest.raises(
        Malformed, match=r"no voice 'en-uk'; eSpeak NG has (en-\S+, )+.*and others: https://\S+$"
    ) as error:
        EspeakEngine().check_voice("en-uk")
    assert len(str(error.value)) < 250
    with pytest.raises(Malformed, match=r"no voice 'x+'; eSpeak NG has \S+, \S+, "):
        EspeakEngine().check_voice("x" * 50_000)
    with pytest.raises(Malformed):
        EspeakEngine().synthesise("Hello.", voice="xx")


@pytest.mark.parametrize("voice", ["en-us", "en-gb", "de", "fr-fr", "es", "it", "nb", "pl", "pt-br", "ru", "tr", "cmn"])
def test_the_languages_of_many_callers_are_spoken(voice: str):
    assert len(EspeakEngine().synthesise("1 2 3", voice=voice)[0]) > 11025


def test_ssml_is_obeyed():
    engine = EspeakEngine()
    plain, slow, paused = (
        len(engine.synthesise(f"<speak>{inside}</speak>", ssml=True)[0]) / 22050
        for inside in (
            "one two three",
            '<prosody rate="50%">one two three</prosody>',
            'one <break time="2s"/> two three',
        )
    )
    assert slow > 1.5 * plain
    assert paused - plain == pytest.approx(2, abs=0.3)


def test_tags_are_words_where_the_text_is_plain():
    engine = EspeakEngine()
    as_text, as_ssml = (engine.synthesise("<speak>one</speak>", ssml=ssml)[0] for ssml in (False, True))
    assert len(as_text) > 1.5 * len(as_ssml)


def test_the_rate_that_one_request_sets_is_not_the_next_ones():
    engine = EspeakEngine()
    before = len(engine.synthesise("one two three")[0])
    engine.synthesise('<speak><prosody rate="20%" pitch="high">one <s>two', ssml=True)
    assert len(engine.synthesise("one two three")[0]) == pytest.approx(before, rel=0.02)


@pytest.mark.parametrize("text", ["...", "\u200d"])
def test_what_makes_no_sound_is_refused(text: str):
    with pytest.raises(Unspeakable, match="eSpeak NG made no sound of"):
        EspeakEngine().synthesise(text)


def test_a_pause_without_end_does_not_fill_the_memory():
    engine = EspeakEngine()
    engine.check_voice(None)
    tracemalloc.start()
    with pytest.raises(Unspeakable, match=f"takes longer than {LONGEST_S} s to say"):
        engine.synthesise("<speak>" + 'a<break time="2000s"/>' * 5 + "</speak>", ssml=True)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 120e6  # all of it would take 220 MB
    assert len(EspeakEngine().synthesise("Hello.")[0]) < 22050 * 2


def test_many_can_speak_at_the_same_time():
    texts = ["one", "one, two, three, four, five, six", "twenty one thousand two hundred and seven"] * 4
    engines = [EspeakEngine(), EspeakEngine()]
    alone = [len(engines[0].synthesise(text)[0]) for text in texts[:3]] * 4
    start = threading.Barrier(len(texts))

    def speak(number: int) -> int:
        start.wait(10)
        return len(engines[number % 2].synthesise(texts[number])[0])

    with ThreadPoolExecutor(len(texts)) as pool:
        together = list(pool.map(speak, range(len(texts))))
    assert together == pytest.approx(alone, rel=0.03)


def test_data_in_a_deep_folder_are_found(tmp_path, monkeypatch: pytest.MonkeyPatch):
    deep = tmp_path.joinpath(*["a-folder-with-quite-a-long-name"] * 8)
    deep.mkdir(parents=True)
    (deep / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(deep / "espeak-ng-data"))
    assert EspeakEngine().synthesise("Hello.")[0].any()


def test_data_that_are_not_there_make_the_engine_unavailable(tmp_path, monkeypatch: pytest.MonkeyPatch):
    missing = tmp_path / "espeak-ng-data"
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(missing))
    with pytest.raises(Unavailable, match=r"eSpeak NG's data are not in .*espeak-ng-data"):
        EspeakEngine().check_voice(None)
