import numpy as np
import pytest

from local.ear import listen
from local.ear.alignment import align
from local.ear.reference import Reference

BETWEEN_S, BENEATH_S = 5.911, 10.377


def repeated(sound, at_s, ms):
    at = round(at_s * 8000)
    return np.concatenate((sound[:at], sound[at - ms * 8 :]))


def skipped(sound, at_s, ms):
    at = round(at_s * 8000)
    return np.concatenate((sound[:at], sound[at + ms * 8 :]))


def concealed(sound, at_s, ms):
    """As a line hides a lost packet: with what came before it."""
    at, hidden = round(at_s * 8000), sound.copy()
    hidden[at : at + ms * 8] = sound[at - ms * 8 : at]
    return hidden


def run_at(sound, speed):
    return Reference(sound).read(0, int(len(sound) / speed) - 40, speed)


def durations_ms(jumps):
    return [round(jump.duration_s * 1000) for jump in jumps]


@pytest.mark.parametrize(
    ("kind", "at_s"),
    [("tonal", BETWEEN_S), ("tonal", BENEATH_S), ("percussive", BETWEEN_S), ("rushing", BENEATH_S)],
)
def test_40_ms_heard_twice_are_told(make_call, line, kind, at_s):
    call = make_call(kind, 2)
    heard = listen(line(repeated(call.sound(), at_s, 40)), bed=call.bed, speeches=call.speeches)
    assert (durations_ms(heard.repeats), heard.skips) == ([40], ())
    later_s = 0 if heard.duration_s < 14.5 else 0.7135
    assert heard.repeats[0].at_s == pytest.approx(at_s + later_s, abs=0.1 if kind == "percussive" else 0.02)


@pytest.mark.parametrize("kind", ["barred", "sustained"])
def test_40_ms_heard_twice_of_music_that_repeats_itself_are_told(make_call, phone_line, kind):
    call = make_call(kind, 2)
    heard = listen(phone_line(repeated(call.sound(), BETWEEN_S, 40)), bed=call.bed, speeches=call.speeches)
    assert (durations_ms(heard.repeats), heard.skips) == ([40], ())
    assert heard.repeats[0].at_s == pytest.approx(BETWEEN_S + 0.7135, abs=0.02)


@pytest.mark.parametrize(("kind", "at_s"), [("tonal", BETWEEN_S), ("tonal", BENEATH_S), ("barred", BETWEEN_S)])
def test_40_ms_left_out_are_told(make_call, phone_line, kind, at_s):
    call = make_call(kind, 2)
    heard = listen(phone_line(skipped(call.sound(), at_s, 40)), bed=call.bed, speeches=call.speeches)
    assert (heard.repeats, durations_ms(heard.skips)) == ((), [40])


@pytest.mark.parametrize("moved", [repeated, skipped])
def test_a_whole_bar_of_music_that_never_changes_is_not_missed(make_call, phone_line, moved):
    call = make_call(starts_s={"greeting": 2.0})
    call.bed = np.resize(call.bed[:16_000], len(call.bed))
    heard = listen(phone_line(moved(call.sound(), 8.3, 2000)), bed=call.bed, speeches=call.speeches)
    assert (heard.repeats, heard.skips, heard.gaps, heard.unexplained) == ((), (), (), ())


def test_a_bar_lost_between_two_places_that_are_not_alike_is_told(make_call):
    call = make_call("barred", starts_s={"greeting": 2.0})
    call.bed = call.bed[:48_000]  # which begins anew at 3.1 and 9.1 s
    heard = listen(skipped(call.sound(), BETWEEN_S, 1700), bed=call.bed, speeches=call.speeches)
    assert (heard.repeats, durations_ms(heard.skips)) == ((), [1700])


def test_a_speech_goes_on_where_the_music_does(make_call, speeches):
    call = make_call("rushing")
    almost_over_s = call.starts_s["greeting"] + len(speeches["greeting"]) / 8000 - 0.4
    heard = listen(repeated(call.sound(), almost_over_s, 40), bed=call.bed, speeches=call.speeches)
    assert durations_ms(heard.repeats) == [40]
    assert all(speech.whole for speech in heard.speeches)


def test_a_packet_hidden_behind_the_one_before_is_heard_twice_and_one_is_lost(make_call, line):
    call = make_call("rushing")
    heard = listen(line(concealed(call.sound(), BETWEEN_S, 40)), bed=call.bed, speeches=call.speeches)
    assert (durations_ms(heard.repeats), durations_ms(heard.skips)) == ([40], [40])


@pytest.mark.parametrize(("kind", "ppm"), [("tonal", 1000), ("rushing", -1000), ("rushing", 150)])
def test_a_clock_that_is_off_is_told_and_hides_nothing(make_call, phone_line, kind, ppm):
    call = make_call(kind)
    at = round(BETWEEN_S * 8000)
    sound = call.sound()
    sound[at : at + 160] = 0
    heard = listen(phone_line(run_at(sound, 1 + ppm * 1e-6)), bed=call.bed, speeches=call.speeches)
    assert heard.drift_ppm == pytest.approx(ppm, abs=5)
    assert len(heard.gaps) == 1
    assert (heard.repeats, heard.skips, heard.clicks) == ((), (), ())
    assert all(speech.whole for speech in heard.speeches)


@pytest.mark.parametrize(("take", "ppm"), [(1, 1000), (1, -2500)])
def test_the_speeches_alone_tell_that_the_clock_is_off(make_call, takes, phone_line, take, ppm):
    call = make_call(speeches=takes[take])
    heard = listen(phone_line(run_at(call.sound(), 1 + ppm * 1e-6)), speeches=call.speeches)
    assert heard.drift_ppm == pytest.approx(ppm, abs=50)
    assert all(speech.whole for speech in heard.speeches)


def test_a_place_between_two_samples_is_found():
    bed = Reference(np.convolve(np.random.default_rng(3).normal(size=80_000), np.hanning(5), "same"), looping=True)
    sound = bed.read(70_000.37, 40_000)
    alignment = align(sound, bed)
    assert alignment.speed == 1.0
    assert [candidate.offset % 80_000 for candidate in alignment.candidates] == [pytest.approx(70_000.37, abs=0.02)]


def test_what_is_not_in_the_recording_is_not_found():
    rng = np.random.default_rng(4)
    assert align(rng.normal(size=40_000), Reference(rng.normal(size=80_000), looping=True)) is None
