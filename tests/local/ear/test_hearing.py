import numpy as np
import pytest
import soxr

from duckline.sound.loudness import active_level_dbov, band_rms_dbov
from local.ear import listen

LATER_S = 0.7137 - 7 / 44_100  # what the line of the fixtures delays


def faults(heard):
    return {
        name: getattr(heard, name)
        for name in ("gaps", "clicks", "repeats", "skips", "level_jumps", "unexplained")
        if getattr(heard, name)
    }


@pytest.mark.parametrize(
    ("kind", "seed"),
    [("tonal", 1), ("tonal", 2), ("percussive", 1), ("rushing", 1), ("barred", 1), ("sustained", 1)],
)
def test_nothing_is_told_of_a_call_without_a_fault(make_call, line, kind, seed):
    call = make_call(kind, seed)
    heard = listen(line(call.sound()), bed=call.bed, speeches=call.speeches)
    assert faults(heard) == {}
    assert heard.seconds_without_sound == 0
    assert heard.drift_ppm == pytest.approx(0, abs=5)
    assert heard.in_order
    assert all(speech.whole for speech in heard.speeches)
    assert [speech.duck_db for speech in heard.speeches] == pytest.approx([14] * 3, abs=0.7)


def test_nothing_is_told_of_a_call_that_was_recorded_louder_with_its_phase_turned_over(make_call, phone_line):
    call = make_call("tonal", 2)
    heard = listen(-phone_line(call.sound(), gain_db=3.0), bed=call.bed, speeches=call.speeches)
    assert faults(heard) == {}
    assert heard.bed_gain_db == pytest.approx(3.0, abs=0.2)


def test_times_are_told_to_the_sample(make_call):
    call = make_call()
    heard = listen(call.sound(), bed=call.bed, speeches=call.speeches)
    for speech in heard.speeches:
        assert speech.begins_at_s == pytest.approx(call.starts_s[speech.speech_id], abs=1 / 8000)
        loudness = np.abs(call.speeches[speech.speech_id])
        audible_s = np.flatnonzero(loudness > loudness.max() / 100)[0] / 8000
        assert speech.heard_at_s == pytest.approx(speech.begins_at_s + audible_s, abs=0.01)


def test_times_are_told_to_the_sample_at_the_end_of_a_line(make_call, phone_line):
    call = make_call()
    heard = listen(phone_line(call.sound()), bed=call.bed, speeches=call.speeches)
    assert heard.starts_at_s == pytest.approx(LATER_S, abs=0.005)
    for speech in heard.speeches:
        assert speech.begins_at_s == pytest.approx(call.starts_s[speech.speech_id] + LATER_S, abs=1 / 8000)


def test_the_ratio_is_active_speech_over_the_music_beneath_it_in_the_telephone_band(make_call, line):
    call = make_call()
    music = call.music()
    heard = listen(line(call.sound()), bed=call.bed, speeches=call.speeches)
    for speech in heard.speeches:
        voice = call.speeches[speech.speech_id]
        at = round(call.starts_s[speech.speech_id] * 8000)
        beneath = band_rms_dbov(music[at : at + len(voice)])
        assert speech.speech_to_bed_db == pytest.approx(active_level_dbov(voice).level_dbov - beneath, abs=1.2)


def test_the_bed_between_the_speeches_is_measured(make_call):
    call = make_call("rushing")
    assert listen(call.sound(), bed=call.bed, speeches=call.speeches).bed_level_dbov == pytest.approx(-28, abs=0.3)


def test_a_stereo_recording_at_another_rate_is_heard_alike(make_call):
    call = make_call()
    fast = soxr.resample(call.sound(), 8000, 44_100)
    stereo = np.round(np.stack((fast, fast), axis=1) * 32767).astype(np.int16)
    heard = listen(stereo, bed=call.bed, speeches=call.speeches, rate_hz=44_100)
    assert faults(heard) == {}
    assert heard.duration_s == pytest.approx(14, abs=0.001)
    assert [speech.whole for speech in heard.speeches] == [True] * 3


def test_without_the_bed_the_speeches_are_heard_and_the_rest_is_unknown(make_call, takes, line):
    call = make_call(speeches=takes[1])
    heard = listen(line(call.sound()), speeches=call.speeches)
    assert (heard.repeats, heard.skips, heard.level_jumps, heard.bed_gain_db) == (None, None, None, None)
    assert (heard.gaps, heard.clicks) == ((), ())
    assert heard.in_order
    assert all(speech.whole for speech in heard.speeches)
    assert min(speech.speech_to_bed_db for speech in heard.speeches) > 15
    assert [speech.duck_db for speech in heard.speeches] == [None] * 3


@pytest.mark.parametrize("take", [0, 1])
def test_a_voice_of_which_nothing_is_known_has_no_clicks(make_call, takes, line, take):
    assert listen(line(make_call(speeches=takes[take]).sound())).clicks == ()


def test_a_bed_that_does_not_play_is_unknown_too(make_call, beds):
    call = make_call("rushing")
    heard = listen(call.sound(), bed=beds("rushing", 9), speeches=call.speeches)
    assert heard.repeats is None
    assert heard.in_order


def test_with_nothing_known_it_tells_when_sound_starts_and_ends(make_call):
    sound = np.concatenate((np.zeros(4000), make_call(starts_s={}).sound(), np.zeros(8000)))
    heard = listen(sound)
    assert (heard.starts_at_s, heard.ends_at_s) == (pytest.approx(0.5, abs=0.01), pytest.approx(14.5, abs=0.02))
    assert (heard.speeches, heard.in_order, heard.drift_ppm) == ((), None, None)


def test_nothing_is_heard_in_comfort_noise():
    noise = np.random.default_rng(1).normal(scale=10**-3.5, size=40_000)
    heard = listen(noise, bed=np.random.default_rng(2).normal(scale=0.05, size=80_000), speeches={"a": noise})
    assert heard.starts_at_s is None
    assert heard.speeches[0].heard_at_s is None
    assert heard.in_order is False


def test_a_voice_that_nobody_asked_for_is_unexplained(make_call, phone_line):
    call = make_call()
    known = {name: call.speeches[name] for name in ("greeting", "place")}
    heard = listen(phone_line(call.sound()), bed=call.bed, speeches=known)
    assert heard.unexplained
    assert all(9.9 < span.at_s < 14 for span in heard.unexplained)


def test_what_was_heard_is_plain_data(make_call):
    import json

    call = make_call()
    told = json.loads(json.dumps(listen(call.sound(), bed=call.bed, speeches=call.speeches).to_json()))
    assert told["speeches"][1]["speech_id"] == "place"
    assert "music_gain" not in told
