import numpy as np
import pytest

from local.ear import listen


def test_a_speech_cut_short_is_told(make_call, line, speeches):
    cut = speeches | {"offer": speeches["offer"][: int(0.6 * len(speeches["offer"]))]}
    call = make_call(speeches=cut)
    heard = listen(line(call.sound()), bed=call.bed, speeches=speeches)
    assert [speech.whole for speech in heard.speeches] == [True, True, False]
    assert heard.speeches[2].heard == pytest.approx(0.6, abs=0.06)
    loud = np.flatnonzero(np.abs(cut["offer"]) > 0.02)
    later_s = 0 if heard.duration_s == 14 else 0.7135
    assert heard.speeches[2].ended_at_s - later_s == pytest.approx(call.starts_s["offer"] + loud[-1] / 8000, abs=0.06)
    assert heard.gaps == ()


def test_a_speech_cut_short_in_its_softest_sound_ends_there(make_call, speeches):
    samples = round(1.914 * 8000)  # within the p of "press", after half a second of which little is loud
    call = make_call(speeches=speeches | {"offer": speeches["offer"][:samples]})
    heard = listen(call.sound(), bed=call.bed, speeches=speeches)
    assert heard.speeches[2].ended_at_s == pytest.approx(call.starts_s["offer"] + samples / 8000, abs=0.05)
    assert heard.clicks == ()


def test_a_speech_that_lacks_its_beginning_is_told(make_call, speeches):
    headless = speeches | {"offer": np.concatenate((np.zeros(8000), speeches["offer"][8000:]))}
    call = make_call(speeches=headless)
    found = listen(call.sound(), bed=call.bed, speeches=speeches).speeches[2]
    assert not found.whole
    assert found.begins_at_s == pytest.approx(call.starts_s["offer"], abs=1 / 8000)
    assert found.heard_at_s == pytest.approx(call.starts_s["offer"] + 1, abs=0.1)


def test_another_order_is_told(make_call, phone_line):
    call = make_call(starts_s={"greeting": 2.0, "place": 10.5, "offer": 6.5})
    heard = listen(phone_line(call.sound()), bed=call.bed, speeches=call.speeches)
    assert heard.in_order is False
    assert all(speech.whole for speech in heard.speeches)


@pytest.mark.parametrize("with_bed", [True, False])
def test_a_speech_that_never_came_is_not_heard(make_call, phone_line, with_bed):
    call = make_call(starts_s={"greeting": 2.0, "offer": 9.3})
    heard = listen(phone_line(call.sound()), bed=call.bed if with_bed else None, speeches=call.speeches)
    assert [speech.heard_at_s is None for speech in heard.speeches] == [False, True, False]
    assert heard.in_order is False


def test_the_same_words_twice_are_heard_at_two_places(make_call, speeches):
    twice = {"first": speeches["place"], "second": speeches["place"]}
    call = make_call(speeches=twice, starts_s={"first": 3.0, "second": 9.0})
    heard = listen(call.sound(), bed=call.bed, speeches=twice)
    assert [speech.begins_at_s for speech in heard.speeches] == pytest.approx([3.0, 9.0], abs=1 / 8000)


def test_the_same_words_said_once_only_are_missed_once(make_call, speeches):
    call = make_call(starts_s={"place": 3.0})
    heard = listen(call.sound(), bed=call.bed, speeches={"first": speeches["place"], "second": speeches["place"]})
    assert [speech.heard_at_s is None for speech in heard.speeches] == [False, True]


def test_a_single_short_word_is_found(make_call, speeches):
    word = speeches["place"][:3200]
    call = make_call(speeches={"word": word}, starts_s={"word": 5.0})
    heard = listen(call.sound(), bed=call.bed, speeches={"word": word})
    assert heard.speeches[0].begins_at_s == pytest.approx(5.0, abs=1 / 8000)
    assert heard.speeches[0].whole
