import numpy as np
import pytest

from local.ear import listen


def louder(sound, at_s, change_db):
    changed = sound.copy()
    changed[round(at_s * 8000) :] *= 10 ** (change_db / 20)
    return changed


def test_music_that_was_not_ducked_is_told(make_call, line):
    call = make_call(depth_db=0.0)
    heard = listen(line(call.sound()), bed=call.bed, speeches=call.speeches)
    assert [speech.duck_db for speech in heard.speeches] == pytest.approx([0] * 3, abs=0.5)
    assert max(speech.speech_to_bed_db for speech in heard.speeches) < 10
    assert [speech.ramp_down_ms for speech in heard.speeches] == [None] * 3
    assert all(speech.whole for speech in heard.speeches)


@pytest.mark.parametrize("depth_db", [-6.0, -28.0])
def test_the_depth_of_the_duck_is_measured(make_call, phone_line, depth_db):
    call = make_call("rushing", depth_db=depth_db)
    heard = listen(phone_line(call.sound()), bed=call.bed, speeches=call.speeches)
    assert [speech.duck_db for speech in heard.speeches] == pytest.approx([-depth_db] * 3, abs=1.5)


@pytest.mark.parametrize(("down_s", "up_s"), [(0.12, 0.6), (0.3, 1.0), (0.06, 0.3)])
def test_ramps_are_measured_and_the_first_is_over_when_the_speech_starts(make_call, phone_line, down_s, up_s):
    call = make_call(starts_s={"greeting": 2.0, "offer": 8.0}, down_s=down_s, up_s=up_s)
    heard = listen(phone_line(call.sound()), bed=call.bed, speeches=call.speeches)
    for speech in (heard.speeches[0], heard.speeches[2]):
        assert speech.ramp_down_ms == pytest.approx(down_s * 1000, abs=25)
        assert speech.ramp_up_ms == pytest.approx(up_s * 1000, abs=60)
        lead_in_ms = (speech.heard_at_s - speech.begins_at_s) * 1000
        assert speech.ramp_down_ahead_ms - lead_in_ms == pytest.approx(0, abs=12)


def test_a_duck_without_a_ramp_is_told_by_its_length(make_call):
    call = make_call("rushing", starts_s={"greeting": 2.0}, down_s=0.001, up_s=0.001)
    speech = listen(call.sound(), bed=call.bed, speeches=call.speeches).speeches[0]
    assert speech.ramp_down_ms < 20
    assert speech.ramp_up_ms < 20


def test_music_held_down_between_two_speeches_has_no_ramp_there(make_call, speeches):
    call = make_call(starts_s={"greeting": 2.0, "place": 2.1 + len(speeches["greeting"]) / 8000})
    heard = listen(call.sound(), bed=call.bed, speeches=call.speeches)
    assert heard.speeches[0].ramp_up_ms is None
    assert heard.speeches[1].ramp_down_ms is None


@pytest.mark.parametrize(("kind", "change_db"), [("tonal", 6.0), ("tonal", -3.0), ("rushing", -6.0)])
def test_a_jump_of_the_musics_level_is_told(make_call, phone_line, kind, change_db):
    call = make_call(kind, starts_s={"greeting": 1.5, "place": 9.0})
    heard = listen(phone_line(louder(call.sound(), 6.911, change_db)), bed=call.bed, speeches=call.speeches)
    assert [jump.change_db for jump in heard.level_jumps] == [pytest.approx(change_db, abs=0.5)]
    assert heard.level_jumps[0].at_s == pytest.approx(6.911 + 0.7135, abs=0.02)


def test_the_curve_of_the_gain_follows_the_mix(make_call):
    call = make_call("rushing")
    curve = listen(call.sound(), bed=call.bed, speeches=call.speeches).music_gain
    planned_db = 20 * np.log10(np.interp(curve.times_s, np.arange(14 * 8000) / 8000, call.gain()))
    assert np.percentile(np.abs(curve.gain_db - planned_db)[10:-10], 95) < 1.0
