import io
import struct

import numpy as np
import pytest
from matplotlib.image import imread

from local.ear import Heard, HeardSpeech
from local.ear.findings import MusicGain
from local.ear.gaps import Gap, Jump
from local.ear.report import build_report
from local.picture import companded, draw_call

SECONDS = 12
BLUE, RED = (0.0, 0.447, 0.698), (0.8, 0.0, 0.267)


@pytest.fixture
def recording():
    rng = np.random.default_rng(1)
    return (rng.normal(scale=0.04, size=SECONDS * 8000) * 32767).astype(np.int16)


def heard_call(**changes):
    times_s = np.arange(0.0025, SECONDS, 0.005)
    speech = {"ended_at_s": 6.5, "heard": 1.0, "whole": True, "speech_to_bed_db": 20.0, "duck_db": 14.0}
    fields = {
        "duration_s": float(SECONDS),
        "starts_at_s": 0.0,
        "ends_at_s": float(SECONDS),
        "gaps": (),
        "seconds_without_sound": 0.0,
        "clicks": (),
        "speeches": (HeardSpeech("a", heard_at_s=4.5, begins_at_s=4.5, **speech),),
        "in_order": True,
        "repeats": (),
        "skips": (),
        "music_gain": MusicGain(times_s, np.where((times_s > 4.5) & (times_s < 6.5), -14.0, 0.0)),
    }
    return Heard(**fields | changes)


def drawn(tmp_path, recording, heard, requested_at_s=None, **changes):
    seen = {"underruns": 0, "late_chunks": 0, "hung_up_at_s": float(SECONDS), "stopped_at_s": SECONDS + 0.5}
    report = build_report(heard, requested_at_s=requested_at_s or {"a": 3.0}, **seen)
    path = tmp_path / "call.png"
    draw_call(path, recording, heard, report, **changes)
    return path.read_bytes()


def pixels(picture, colour):
    """How many pixels have that colour, near enough."""
    image = imread(io.BytesIO(picture))[:, :, :3]
    return int((np.abs(image - np.array(colour)).max(axis=2) < 0.03).sum())


def test_the_picture_is_1600_by_900(tmp_path, recording):
    picture = drawn(tmp_path, recording, heard_call())
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (1600, 900)


def test_speech_is_blue_where_it_is_heard(tmp_path, recording):
    spoken = pixels(drawn(tmp_path, recording, heard_call()), BLUE)
    silent = pixels(drawn(tmp_path, recording, heard_call(speeches=(HeardSpeech("a"),), in_order=False)), BLUE)
    assert spoken > silent + 10_000


def test_faults_are_red_and_a_good_call_has_no_red(tmp_path, recording):
    gap = {"gaps": (Gap(8.0, 0.1),), "repeats": (Jump(9.0, 0.04),), "seconds_without_sound": 0.1}
    assert pixels(drawn(tmp_path, recording, heard_call()), RED) == 0
    assert pixels(drawn(tmp_path, recording, heard_call(**gap)), RED) > 120


def test_a_speech_that_was_never_heard_is_named_in_red(tmp_path, recording):
    missed = heard_call(speeches=(HeardSpeech("a"),), in_order=False)
    assert pixels(drawn(tmp_path, recording, missed), RED) > 100


def test_the_planned_gain_is_drawn_beside_the_measured_one(tmp_path, recording):
    planned = np.full(SECONDS * 50, 0.5)
    orange = (0.761, 0.353, 0.0)
    alone = pixels(drawn(tmp_path, recording, heard_call()), orange)
    assert pixels(drawn(tmp_path, recording, heard_call(), planned_gain=planned), orange) > alone + 300


def test_a_call_without_a_known_bed_is_drawn_too(tmp_path, recording):
    assert drawn(tmp_path, recording, heard_call(music_gain=None, repeats=None, skips=None)).startswith(b"\x89PNG")


def test_many_speeches_waiting_at_once_are_drawn(tmp_path, recording):
    speeches = tuple(
        HeardSpeech(f"s{n}", heard_at_s=4.0 + n, begins_at_s=4.0 + n, ended_at_s=4.9 + n, whole=True) for n in range(7)
    )
    asked = {speech.speech_id: 3.0 for speech in speeches}
    picture = drawn(tmp_path, recording.astype(np.float32) / 32768, heard_call(speeches=speeches), asked)
    assert struct.unpack(">II", picture[16:24]) == (1600, 900)


def test_an_empty_call_is_drawn(tmp_path):
    silent = heard_call(starts_at_s=None, ends_at_s=None, speeches=(), in_order=None, music_gain=None)
    assert drawn(tmp_path, np.zeros(8000, np.int16), silent).startswith(b"\x89PNG")


def test_the_curve_shows_soft_sound_beside_loud():
    assert companded(1.0) == pytest.approx(1)
    assert companded(-0.008) == pytest.approx(-0.2, abs=0.01)
