"""Speeches are taken back: before they are heard or while they are, one or all; those behind them move up."""

import contextlib

import pytest

from duckline.berth import Manner
from duckline.errors import Conflict, NotFound
from duckline.stores import NotReached
from local.simulation.cloud import Faults
from local.simulation.sound import DEPTH
from render.speaking import GUARD_FRAMES

MANNER = Manner()
FADE_FRAMES = 7  # 140 ms


def three(desk):
    """Three speeches are placed, the first of them soon."""
    for speech_id, text in (("sp_1", "150"), ("sp_2", "80"), ("sp_3", "90")):
        desk.answered(desk.speak(speech_id, text))


def until(desk, frame):
    """Lets time pass until the caller hears that frame."""
    desk.run((frame - desk.now_frame) * 20)


# -- one ------------------------------------------------------------------------------------------


def test_a_speech_that_waits_is_taken_out_and_what_stands_behind_it_moves_up(desk):
    three(desk)
    before = desk.voice("sp_2")[0]
    status = desk.answered(desk.cancel("sp_2"))
    assert (status.speech_id, status.state, status.reason) == ("sp_2", "cancelled", "cancelled")
    assert desk.voice("sp_3")[0] == before
    assert desk.status("sp_2").starts_at_ms is None
    assert [desk.status(s).state for s in ("sp_1", "sp_3")] == ["scheduled", "scheduled"]
    assert desk.told("speech.cancelled") == ["sp_2"]


def test_the_first_is_taken_out_before_it_begins(desk):
    desk.run(3000)
    desk.takes_ms |= dict.fromkeys(("150", "80", "90"), 10)
    three(desk)
    assert desk.answered(desk.cancel("sp_1")).state == "cancelled"
    assert desk.voice("sp_2")[0] <= desk.call.sealed + GUARD_FRAMES + MANNER.down_frames + 3
    assert desk.voice("sp_3")[0] == desk.voice("sp_2")[1] + MANNER.pause_frames


def test_a_speech_that_is_playing_fades_out_and_the_music_comes_back(desk):
    desk.answered(desk.speak("sp_1", "300"))
    until(desk, desk.voice("sp_1")[0] + 50)
    assert desk.answered(desk.cancel("sp_1")).state == "cancelled"
    spoken, fade = desk.speech("sp_1").parts
    silenced_at = desk.speech("sp_1").silenced_at
    assert desk.call.sealed <= silenced_at == fade.start <= desk.call.sealed + GUARD_FRAMES + 3
    frames = desk.clip(fade)
    assert [frame.voice for frame in frames] == [65535] * FADE_FRAMES + [0] * MANNER.up_frames
    assert frames[0].gain_first == pytest.approx(DEPTH, abs=1e-3)
    assert frames[-1].gain_last == 1
    assert FADE_FRAMES * 20 <= 150
    before = desk.clip(spoken)[silenced_at - spoken.start - 1]
    assert (before.gain_last, before.bed_frame + 1) == (pytest.approx(DEPTH, abs=1e-3), frames[0].bed_frame)


def test_what_stands_behind_a_speech_that_is_playing_comes_at_once(desk):
    three(desk)
    until(desk, desk.voice("sp_1")[0] + 20)
    desk.answered(desk.cancel("sp_1"))
    silenced_at = desk.speech("sp_1").silenced_at
    assert desk.voice("sp_2")[0] == silenced_at + FADE_FRAMES + MANNER.pause_frames
    assert desk.voice("sp_3")[0] == desk.voice("sp_2")[1] + MANNER.pause_frames


def test_the_last_is_cancelled_without_touching_those_before(desk):
    three(desk)
    before = desk.voice("sp_1"), desk.voice("sp_2")
    desk.answered(desk.cancel("sp_3"))
    assert (desk.voice("sp_1"), desk.voice("sp_2")) == before
    assert desk.made == [made for made in desk.made if made[0] != "sp_3"] + [desk.made[2]]  # nothing made anew


def test_a_speech_that_is_still_being_made_is_cancelled_and_never_placed(desk):
    desk.takes_ms["100"] = 4000
    making = desk.speak("sp_1", "100")
    desk.run(500)
    behind = desk.speak("sp_2", "60")
    desk.run(500)
    assert desk.answered(desk.cancel("sp_1"), within_ms=500).state == "cancelled"
    desk.answered(behind, within_ms=1000)  # it need not wait any longer
    assert desk.answered(making).state == "cancelled"
    assert "sp_1" not in desk.parts


def test_a_long_text_is_cancelled_between_its_parts(desk):
    desk.takes_ms["100,200,300:2"] = 3000
    desk.answered(desk.speak("sp_1", "100,200,300"))
    rest = desk.work()
    until(desk, desk.voice("sp_1")[0] + 30)
    desk.answered(desk.cancel("sp_1"), *rest)
    assert desk.status("sp_1").state == "cancelled"
    spoken = desk.speech("sp_1").spoken_parts
    assert len(spoken) == 1 and spoken[0].start < desk.speech("sp_1").silenced_at


def test_again_is_the_same(desk):
    three(desk)
    first = desk.answered(desk.cancel("sp_2"))
    assert desk.answered(desk.cancel("sp_2")) == first
    desk.run(15_000)
    assert desk.call.speech("sp_2") is None  # it is history
    again = desk.answered(desk.cancel("sp_2"))
    assert (again.state, again.reason) == (first.state, first.reason)
    assert desk.told("speech.cancelled") == ["sp_2"]


def test_a_speech_that_was_heard_cannot_be_cancelled(desk):
    desk.answered(desk.speak("sp_1", "60"))
    until(desk, desk.voice("sp_1")[1] + 5)
    with pytest.raises(Conflict, match="speech sp_1 is finished; only one that is not over yet can be cancelled"):
        desk.answered(desk.cancel("sp_1"))
    desk.run(10_000)
    with pytest.raises(Conflict, match="sp_1 is finished"):
        desk.answered(desk.cancel("sp_1"))


def test_the_last_words_that_are_sent_already_cannot_be_taken_back(desk):
    desk.answered(desk.speak("sp_1", "60"))
    while desk.call.sealed < desk.voice("sp_1")[1]:
        desk.run(20)
    assert desk.status("sp_1").state in ("scheduled", "playing")  # the caller hears it a second from now
    with pytest.raises(Conflict):
        desk.answered(desk.cancel("sp_1"))
    assert desk.speech("sp_1").outcome is None


def test_a_speech_that_nobody_knows_is_not_found(desk):
    with pytest.raises(NotFound, match="has no speech sp_9"):
        desk.answered(desk.cancel("sp_9"))


# -- all ------------------------------------------------------------------------------------------


def test_all_are_silenced_and_the_music_is_back_up(desk):
    three(desk)
    until(desk, desk.voice("sp_1")[0] + 40)
    assert desk.answered(desk.cancel_all()) == 3
    assert [desk.status(s).state for s in ("sp_1", "sp_2", "sp_3")] == ["cancelled"] * 3
    [last] = [part for part in desk.call.parts if part.end == max(p.end for p in desk.call.parts)]
    assert last.start <= desk.call.sealed + GUARD_FRAMES + 3
    assert desk.clip(last)[-1].gain_last == 1
    assert sorted(desk.told("speech.cancelled")) == ["sp_1", "sp_2", "sp_3"]


def test_where_nothing_is_pending_none_is_cancelled(desk):
    assert desk.answered(desk.cancel_all()) == 0
    desk.answered(desk.speak("sp_1", "60"))
    until(desk, desk.voice("sp_1")[1] + 5)
    assert desk.answered(desk.cancel_all()) == 0


def test_again_none_is_left_to_cancel(desk):
    three(desk)
    assert desk.answered(desk.cancel_all()) == 3
    assert desk.answered(desk.cancel_all()) == 0


def test_what_is_asked_for_afterwards_is_heard(desk):
    three(desk)
    until(desk, desk.voice("sp_1")[0] + 40)
    desk.answered(desk.cancel_all())
    desk.answered(desk.speak("sp_4", "60"))
    assert desk.status("sp_4").state == "scheduled"
    assert desk.voice("sp_4")[0] < desk.call.sealed + 60


# -- races ----------------------------------------------------------------------------------------


def test_two_cancels_at_once_are_both_answered(desk):
    three(desk)
    asked = [desk.cancel("sp_2"), desk.cancel("sp_3"), desk.cancel("sp_2"), desk.cancel_all()]
    desk.answered(*asked)
    assert [each.answer.state for each in asked[:3]] == ["cancelled"] * 3
    assert desk.status("sp_1").state == "cancelled"


def test_a_cancel_whose_answer_was_lost_is_a_cancel(desk_with):
    desk = desk_with(faults=Faults(unanswered=0.3))
    for _ in range(5):  # whoever asks tries again, under the same key
        desk.speak("sp_1", "400")
        desk.run(1000)
        desk.work()
    until(desk, desk.voice("sp_1")[0] + 10)
    status = None
    while status is None:  # 503: whoever asked tries again
        with contextlib.suppress(NotReached):
            status = desk.answered(desk.cancel("sp_1"))
    assert status.state == "cancelled"
    assert len([part for part in desk.speech("sp_1").parts if part.voice_at == part.voice_end]) == 1
