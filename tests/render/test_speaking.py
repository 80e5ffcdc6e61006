"""A request to speak gets its place, in order, once, whatever else happens at the same time."""

import itertools

import pytest

from duckline.berth import Manner
from duckline.call import Speech
from duckline.errors import Conflict, KeyReused, NotFound, TooManyPending, Unspeakable
from duckline.records import SpeechRecord
from duckline.schedule import PENDING_LIMIT
from duckline.stores import NotReached
from local.simulation.cloud import Faults
from local.simulation.sound import DEPTH
from local.simulation.world import START_MS, Process
from render.speaking import GUARD_FRAMES, LEASE_MS, starts_in_ms

SID = "CA" + "0123456789abcdef" * 2
MANNER = Manner()
FADE_MOST_FRAMES = 7  # within 150 ms


# -- one speech -----------------------------------------------------------------------------------


def test_an_accepted_speech_is_scheduled_and_says_when(desk):
    desk.run(3000)
    status = desk.answered(desk.speak("sp_1", "100"))
    assert (status.state, status.duration_ms) == ("scheduled", 2000)
    assert starts_in_ms(desk.call, status, START_MS + desk.world.time_ms) == status.starts_at_ms - desk.now_frame * 20
    assert desk.voice("sp_1") == (status.starts_at_ms // 20, status.starts_at_ms // 20 + 100)
    assert desk.told("speech.scheduled") == ["sp_1"]


def test_it_comes_as_soon_as_the_seal_allows(desk):
    desk.run(3000)
    sealed = desk.call.sealed
    desk.answered(desk.speak("sp_1"))
    earliest = sealed + GUARD_FRAMES + MANNER.down_frames
    assert earliest <= desk.voice("sp_1")[0] <= earliest + 2 * 13  # the two steps that are sealed while it is made


def test_it_is_playing_while_it_is_heard_and_finished_after(desk):
    desk.answered(desk.speak("sp_1", "100"))
    first, last = desk.voice("sp_1")
    seen = []
    while desk.now_frame < last + 150:
        desk.run(100)
        seen.append((desk.now_frame, desk.status("sp_1").state))
    for frame, state in seen:
        assert state == ("scheduled" if frame < first else "playing" if frame < last else "finished")
    assert desk.call.speeches == ()
    assert desk.cloud.speeches.get(SID, "sp_1").state == "finished"


def test_the_clip_has_the_words_where_they_belong_and_the_music_beneath(desk):
    desk.answered(desk.speak("sp_1", "100"))
    [part] = desk.speech("sp_1").parts
    frames = desk.clip(part)
    number = desk.voices.number("sp_1/0")
    assert [(f.voice, f.word) for f in frames if f.voice] == [(number, word) for word in range(100)]
    assert [f.gain_first for f in frames if f.voice] == [pytest.approx(DEPTH)] * 100
    assert (frames[0].gain_first, frames[-1].gain_last) == (1, 1)
    assert [f.bed_frame for f in frames] == [at % 600 for at in range(part.start, part.end)]


def test_the_sound_is_in_the_bucket_before_the_speech_is_in_the_schedule(desk):
    placed_without_sound = []

    def watch(who, before, after):
        parts = [part for speech in after.speeches for part in speech.parts]
        placed_without_sound.extend(p for p in parts if f"clips/{SID}/{p.clip}.ulaw" not in desk.cloud.sounds.objects)

    desk.cloud.watchers.append(watch)
    asked = [desk.speak("sp_1", "50,100"), desk.speak("sp_2", "30", when="now")]
    desk.run(1000)
    desk.answered(*asked, *desk.work())
    assert placed_without_sound == []


# -- the same request again -----------------------------------------------------------------------


def test_a_retry_of_the_same_request_speaks_once(desk):
    first = desk.answered(desk.speak("sp_1"))
    again = desk.answered(desk.speak("sp_1"))
    assert again == first
    assert [s.speech_id for s in desk.call.speeches] == ["sp_1"]
    assert len(desk.speech("sp_1").parts) == 1


def test_a_retry_while_the_first_is_still_being_made_speaks_once(desk):
    desk.takes_ms["100"] = 3000
    first = desk.speak("sp_1")
    desk.run(500)
    again = desk.answered(desk.speak("sp_1"))
    assert (again.state, again.starts_at_ms) == ("scheduled", None)
    assert desk.answered(first).starts_at_ms is not None
    assert len(desk.made) == 1


def test_two_retries_at_once_speak_once(desk):
    asked = [desk.speak("sp_1") for _ in range(3)]
    desk.answered(*asked)
    desk.run(1000)
    assert len(desk.speech("sp_1").parts) == 1
    assert len(desk.call.speeches) == 1


def test_a_retry_after_the_speech_is_over_tells_what_became_of_it(desk):
    desk.answered(desk.speak("sp_1"))
    desk.run(10_000)
    assert desk.call.speeches == ()
    again = desk.answered(desk.speak("sp_1"))
    assert (again.state, again.duration_ms) == ("finished", 2000)
    assert desk.call.speeches == ()


def test_the_same_key_with_another_body_is_refused(desk):
    desk.answered(desk.speak("sp_1", "100"))
    other = desk.speak("sp_1", "120")
    with pytest.raises(KeyReused, match="another body"):
        desk.answered(other)
    assert desk.voice("sp_1")[1] - desk.voice("sp_1")[0] == 100


# -- several --------------------------------------------------------------------------------------


def test_speeches_are_heard_in_the_order_of_their_requests_though_the_first_is_slow(desk):
    desk.takes_ms |= {"100": 4000, "60": 100, "70": 50}
    asked = []
    for speech_id, text in (("sp_1", "100"), ("sp_2", "60"), ("sp_3", "70")):
        asked.append(desk.speak(speech_id, text))
        desk.run(100)
    desk.answered(*asked)
    (_, first_end), (second, second_end), (third, _) = map(desk.voice, ("sp_1", "sp_2", "sp_3"))
    assert second == first_end + MANNER.pause_frames
    assert third == second_end + MANNER.pause_frames


def test_the_music_stays_down_between_speeches_that_are_close(desk):
    desk.answered(desk.speak("sp_1"), desk.speak("sp_2"))
    [one], [two] = (desk.speech(s).parts for s in ("sp_1", "sp_2"))
    assert two.start == one.voice_end
    between = desk.clip(two)[: MANNER.pause_frames]
    assert {round(f.gain_first, 3) for f in between} == {DEPTH}
    assert {f.voice for f in between} == {0}


def test_two_renders_that_race_both_find_a_place(desk):
    asked = [desk.speak(f"sp_{number}", str(50 + number)) for number in range(8)]
    desk.answered(*asked)
    in_order = [desk.voice(speech.speech_id) for speech in desk.call.speeches]
    assert len(in_order) == 8
    for (_, before_end), (after, _) in itertools.pairwise(in_order):
        assert after == before_end + MANNER.pause_frames


@pytest.mark.parametrize("mixing_ms", [300, 1500, 4000])
def test_a_speech_that_takes_long_to_mix_finds_its_place_beyond_what_is_sealed_meanwhile(desk, mixing_ms):
    desk.mixing_ms = mixing_ms
    asked = desk.speak("sp_1", "100")
    desk.answered(asked)
    assert len(desk.speech("sp_1").parts) == 1
    assert asked.answered_at_ms - asked.asked_at_ms < 4 * mixing_ms + 1000


def test_a_race_that_is_lost_is_run_again_further_on(desk):
    desk.takes_ms["100"] = 200
    asked = desk.speak("sp_1")
    for _ in range(40):  # somebody changes the call all the time
        desk.run(10)
        desk.change(next_order=desk.call.next_order)
    desk.answered(asked)
    assert desk.speech("sp_1").parts[0].start >= GUARD_FRAMES


def test_the_33rd_pending_speech_is_refused_and_the_others_are_heard(desk):
    for number in range(PENDING_LIMIT):
        desk.answered(desk.speak(f"sp_{number}", "400"))
    late = desk.speak("late", "60")
    with pytest.raises(TooManyPending, match="32 speeches are pending; at most 32 may be"):
        desk.answered(late)
    assert len(desk.call.pending) == PENDING_LIMIT
    desk.run(5000)  # one has been heard
    assert desk.answered(desk.speak("later", "60")).state == "scheduled"


# -- interrupting ---------------------------------------------------------------------------------


def interrupted(desk):
    """Two speeches and one more wait, the first is heard, and another comes with when=now."""
    asked = [desk.speak("sp_1", "300"), desk.speak("sp_2", "80"), desk.speak("sp_3", "90")]
    desk.answered(*asked)
    desk.run((desk.voice("sp_1")[0] - desk.now_frame + 60) * 20)
    assert desk.status("sp_1").state == "playing"
    return desk.answered(desk.speak("sp_now", "50", when="now"))


def test_a_speech_that_cannot_wait_comes_at_the_seal(desk):
    status = interrupted(desk)
    begins = desk.voice("sp_now")[0]
    races_lost = 1  # a step may be sealed while the clip is mixed
    assert desk.call.sealed < begins <= desk.call.sealed + GUARD_FRAMES + 3 * races_lost + FADE_MOST_FRAMES
    assert (status.state, status.duration_ms) == ("scheduled", 1000)


def test_what_plays_fades_out_within_150_ms(desk):
    interrupted(desk)
    silenced_at = desk.speech("sp_1").silenced_at
    [part] = desk.speech("sp_now").parts
    frames = desk.clip(part)
    assert part.start == silenced_at
    old = [part.start + at for at, frame in enumerate(frames) if frame.voice == 65535]
    assert old == list(range(silenced_at, silenced_at + FADE_MOST_FRAMES))
    assert FADE_MOST_FRAMES * 20 <= 150
    assert desk.voice("sp_now")[0] == silenced_at + FADE_MOST_FRAMES  # the new voice waits for the old one's end


def test_what_plays_and_what_waits_is_reported_as_cancelled(desk):
    interrupted(desk)
    for speech_id in ("sp_1", "sp_2", "sp_3"):
        status = desk.status(speech_id)
        assert (status.state, status.reason) == ("cancelled", "interrupted by sp_now")
    assert desk.speech("sp_2").parts == desk.speech("sp_3").parts == ()
    assert desk.status("sp_now").state == "scheduled"


def test_what_an_interruption_drops_is_told_as_an_event(desk):
    interrupted(desk)
    assert sorted(desk.told("speech.cancelled")) == ["sp_1", "sp_2", "sp_3"]


def test_the_music_does_not_step_where_one_speech_cuts_into_another(desk):
    interrupted(desk)
    [old], [new] = desk.speech("sp_1").parts, desk.speech("sp_now").parts
    before, after = desk.clip(old)[new.start - old.start - 1], desk.clip(new)[0]
    assert after.gain_first == pytest.approx(before.gain_last, abs=1e-3)
    assert after.bed_frame == before.bed_frame + 1


def test_an_interruption_of_nothing_is_a_speech_like_any_other(desk):
    desk.run(3000)
    sealed = desk.call.sealed
    desk.answered(desk.speak("sp_1", "50", when="now"))
    assert desk.voice("sp_1")[0] <= sealed + 2 * 13 + GUARD_FRAMES + MANNER.down_frames
    assert [s.outcome for s in desk.call.speeches] == [None]


def test_the_second_of_two_interruptions_wins(desk):
    desk.answered(desk.speak("sp_1", "200", when="now"))
    desk.answered(desk.speak("sp_2", "200", when="now"))
    assert desk.status("sp_1").reason == "interrupted by sp_2"
    assert desk.status("sp_2").state == "scheduled"


def test_an_interruption_does_not_wait_for_what_is_slow_to_be_made(desk):
    desk.takes_ms["100"] = 9000
    slow = desk.speak("sp_1", "100")
    desk.run(500)
    fast = desk.speak("sp_2", "50", when="now")
    desk.answered(fast, within_ms=1000)
    assert desk.voice("sp_2")[0] < desk.call.sealed + 30
    desk.answered(slow)
    assert desk.status("sp_1").state == "cancelled"
    assert "sp_1" not in desk.parts


def test_what_was_asked_for_after_an_interruption_is_not_dropped_by_it(desk):
    desk.takes_ms["50"] = 2000
    now, after = desk.speak("sp_now", "50", when="now"), None
    desk.run(300)
    after = desk.speak("sp_after", "60")
    desk.answered(now, after)
    assert desk.voice("sp_after")[0] == desk.voice("sp_now")[1] + MANNER.pause_frames


def test_an_interruption_just_before_a_windows_end_still_lets_the_music_return(desk_with):
    desk = desk_with(window_frames=500)
    desk.answered(desk.speak("sp_1", "390"))
    while desk.call.sealed < 400:
        desk.run(20)
    desk.answered(desk.speak("sp_now", "200", when="now"))
    assert desk.voice("sp_now")[0] == 500 + 10
    spoken, fade = desk.speech("sp_1").parts
    assert fade.voice_at == fade.voice_end  # a clip of its own, without a voice
    assert fade.end <= desk.speech("sp_now").parts[0].start
    assert desk.clip(fade)[-1].gain_last == 1
    assert desk.clip(fade)[0].gain_first == pytest.approx(
        desk.clip(spoken)[fade.start - spoken.start].gain_first, abs=1e-3
    )


# -- long text ------------------------------------------------------------------------------------


def test_the_first_part_of_a_long_text_is_placed_before_the_later_ones_are_made(desk):
    desk.takes_ms |= {"50,120,300:1": 3000, "50,120,300:2": 3000}
    asked = desk.speak("sp_1", "50,120,300")
    status = desk.answered(asked, within_ms=1000)
    assert [(speech_id, part) for speech_id, part, _ in desk.made] == [("sp_1", 0)]
    assert status.starts_at_ms is not None
    assert status.duration_ms is None
    assert desk.speech("sp_1").more


def test_the_later_parts_follow_without_a_gap_that_is_longer_than_a_breath(desk):
    desk.answered(desk.speak("sp_1", "120,200,300"))
    desk.answered(*desk.work())
    parts = desk.speech("sp_1").parts
    pauses = [after.voice_at - before.voice_end for before, after in itertools.pairwise(parts)]
    assert pauses == [MANNER.part_pause_frames] * 2
    assert desk.status("sp_1").duration_ms == (120 + 200 + 300 + 2 * MANNER.part_pause_frames) * 20


def test_nothing_comes_between_the_parts_of_a_text(desk):
    desk.takes_ms |= {"50,120,300:1": 2000, "50,120,300:2": 2000}
    desk.answered(desk.speak("sp_1", "50,120,300"))
    behind = desk.speak("sp_2", "60")
    desk.run(200)
    desk.answered(*desk.work(), behind)
    assert desk.voice("sp_2")[0] == desk.voice("sp_1")[1] + MANNER.pause_frames
    assert len(desk.speech("sp_1").parts) == 3


def test_an_interruption_with_a_long_text_goes_on_behind_itself(desk):
    desk.answered(desk.speak("sp_1", "300"))
    desk.answered(desk.speak("sp_2", "60,100", when="now"))
    desk.answered(*desk.work())
    first, second = desk.speech("sp_2").parts
    assert second.voice_at == first.voice_end + MANNER.part_pause_frames
    assert desk.status("sp_1").reason == "interrupted by sp_2"


def test_a_message_that_comes_twice_makes_each_part_once(desk):
    desk.answered(desk.speak("sp_1", "50,60,70"))
    desk.cloud.queue *= 2
    desk.answered(*desk.work())
    desk.run(2000)
    assert len(desk.speech("sp_1").parts) == 3


def test_a_speech_longer_than_a_window_is_cut_and_heard_whole(desk_with):
    desk = desk_with(window_frames=300)
    desk.answered(desk.speak("sp_1", "700"))
    desk.answered(*desk.work())
    parts = desk.speech("sp_1").parts
    assert sum(part.voice_end - part.voice_at for part in parts) == 700
    for part in parts:
        window = part.voice_at // 300
        assert window * 300 + 10 <= part.voice_at < part.voice_end <= (window + 1) * 300 - 10


@pytest.mark.parametrize("grids", [(400, 42_000), (42_000, 400)])
def test_a_text_whose_parts_are_made_under_different_windows_is_said_once_and_whole(desk_with, grids):
    desk = desk_with(window_frames=grids[0])
    desk.answered(desk.speak("sp_1", "900,700"))
    desk.change(grid_frames=grids[1], window_until=grids[1])  # as `auto` does, once it knows what Play does
    desk.answered(*desk.work())
    said = [(f.voice, f.word) for part in desk.speech("sp_1").parts for f in desk.clip(part) if f.voice]
    first, second = desk.voices.number("sp_1/0"), desk.voices.number("sp_1/1")
    assert said == [*((first, word) for word in range(900)), *((second, word) for word in range(700))]


def test_no_speech_lies_across_a_windows_end(desk_with):
    desk = desk_with(window_frames=400)
    desk.answered(*[desk.speak(f"sp_{number}", "150") for number in range(4)])
    for speech in desk.call.speeches:
        first, last = desk.voice(speech.speech_id)
        assert first // 400 == last // 400
        assert first % 400 >= 10 and last % 400 <= 390


# -- what cannot be spoken ------------------------------------------------------------------------


def test_a_speech_that_is_refused_for_its_words_leaves_nothing_behind(desk):
    bad, good = desk.speak("sp_1", "0"), desk.speak("sp_2", "60")
    desk.answered(good)
    with pytest.raises(Unspeakable, match="no sound came of it"):
        desk.answered(bad)
    assert desk.call.speech("sp_1") is None
    assert desk.voice("sp_2")[0] < 13 * 2 + 63 + 30
    assert (desk.told("speech.failed"), desk.told("speech.scheduled")) == ([], ["sp_2"])
    assert [s.speech_id for s in desk.call.pending] == ["sp_2"]


def test_a_key_is_not_used_up_by_a_request_that_was_refused(desk):
    with pytest.raises(Unspeakable):
        desk.answered(desk.speak("sp_1", "0"))
    desk.answered(desk.speak("sp_1", "60"))
    assert desk.voice("sp_1")[1] - desk.voice("sp_1")[0] == 60


def test_work_of_which_nothing_is_kept_is_failed_and_frees_its_place(desk):
    desk.change(speeches=(Speech("sp_lost", order=1),), next_order=2)
    behind = desk.speak("sp_2", "50")
    with pytest.raises(NotFound, match="nothing is kept"):
        desk.answered(desk.request(lambda speaking: speaking.take_up(SID)))
    desk.answered(behind)
    assert desk.told("speech.failed") == ["sp_lost"]


def test_a_part_that_cannot_be_made_fails_the_speech_and_frees_its_place(desk):
    desk.answered(desk.speak("sp_1", "60,0,70"))
    behind = desk.speak("sp_2", "50")
    desk.run(100)
    [rest] = desk.work()
    desk.answered(behind)
    assert isinstance(rest.error, Unspeakable)
    assert (desk.status("sp_1").state, desk.status("sp_1").reason) == ("failed", "no sound came of it")
    assert desk.voice("sp_2")[0] == desk.voice("sp_1")[1] + MANNER.pause_frames


# -- the call -------------------------------------------------------------------------------------


def test_a_call_that_nobody_knows_cannot_be_spoken_into(desk):
    record = SpeechRecord("CA" + "9" * 32, "sp_1", "f", text="100")
    asked = desk.request(lambda speaking: speaking.accept(record))
    with pytest.raises(NotFound, match="there is no call CA9"):
        desk.answered(asked)


def test_a_call_that_is_over_cannot_be_spoken_into(desk):
    desk.end()
    with pytest.raises(Conflict, match="is over: completed"):
        desk.answered(desk.speak("sp_1"))


def test_a_call_that_ends_while_the_words_are_made_is_said_to_be_over(desk):
    desk.takes_ms["100"] = 2000
    asked = desk.speak("sp_1")
    desk.run(1000)
    desk.end()
    with pytest.raises(Conflict, match="is over: completed"):
        desk.answered(asked)
    status = desk.status("sp_1")
    assert (status.state, status.reason) == ("cancelled", "the call is over: completed")


# -- trouble --------------------------------------------------------------------------------------


def test_a_maker_that_dies_is_followed_by_the_work_queue(desk):
    dying = desk.speak("sp_1", "100")
    desk.run(100)
    dying.process.kill()
    behind = desk.speak("sp_2", "60")
    desk.run(LEASE_MS - 2000)
    assert desk.parts == {}  # nobody takes it up while its lease runs
    desk.cloud.queue.append({"kind": "speak", "call_sid": SID})
    desk.run(2500)
    desk.answered(*desk.work(), behind)
    assert desk.voice("sp_2")[0] == desk.voice("sp_1")[1] + MANNER.pause_frames
    assert desk.speech("sp_1").maker == 2


def test_a_maker_that_dies_between_storing_and_publishing_leaves_nothing_to_be_heard_twice(desk):
    dying = desk.speak("sp_1", "100")
    while not any(key.startswith("clips/") for key in desk.cloud.sounds.objects):
        desk.run(1)
    dying.process.kill()
    desk.run(LEASE_MS + 500)
    desk.cloud.queue.append({"kind": "speak", "call_sid": SID})
    desk.answered(*desk.work())
    assert len(desk.speech("sp_1").parts) == 1


def test_a_maker_that_dies_between_two_parts_is_followed_from_there(desk):
    desk.takes_ms |= {"50,120,300:2": 60_000}
    desk.answered(desk.speak("sp_1", "50,120,300"))
    [rest] = desk.work()
    desk.run(1000)
    assert len(desk.speech("sp_1").parts) == 2
    rest.process.kill()
    desk.takes_ms.clear()
    desk.run(LEASE_MS)
    desk.cloud.queue.append({"kind": "speak", "call_sid": SID})
    desk.answered(*desk.work())
    assert [part.voice_end - part.voice_at for part in desk.speech("sp_1").parts] == [50, 120, 300]


def test_a_maker_that_was_taken_over_from_places_nothing_more(desk):
    desk.takes_ms["100"] = LEASE_MS + 3000
    slow = desk.speak("sp_1", "100")
    desk.run(LEASE_MS + 500)
    desk.takes_ms.clear()
    desk.cloud.queue.append({"kind": "speak", "call_sid": SID})
    desk.answered(*desk.work(), slow)
    assert len(desk.speech("sp_1").parts) == 1
    assert desk.speech("sp_1").maker == 2


def test_whoever_waits_for_a_turn_keeps_the_lease(desk):
    desk.takes_ms["100"] = 14_000
    slow, waiting = desk.speak("sp_1", "100"), None
    desk.run(1000)
    waiting = desk.speak("sp_2", "60")
    desk.run(12_500)
    assert desk.speech("sp_2").lease_until_ms > START_MS + desk.world.time_ms + LEASE_MS / 4
    desk.answered(slow, waiting)
    assert desk.speech("sp_2").maker == 1


def test_an_answer_that_is_lost_is_no_reason_to_place_a_part_twice(desk_with):
    desk = desk_with(faults=Faults(unanswered=0.3))
    asked = [desk.speak(f"sp_{number}", "60,70") for number in range(4)]
    for _ in range(60):
        desk.run(500)
        desk.work()
    assert all(each.task.done() for each in asked)
    for number, each in enumerate(asked):
        if each.error is None:
            assert len(desk.parts[f"sp_{number}"]) == 2
        else:
            assert isinstance(each.error, NotReached)


def test_a_table_that_is_down_is_told_as_not_reached_and_nothing_is_pending(desk_with):
    desk = desk_with(faults=Faults(table_down=[(0, 5000)]))
    asked = desk.speak("sp_1")
    with pytest.raises(NotReached):
        desk.answered(asked)
    desk.run(6000)
    assert desk.call.pending == ()


def test_what_was_accepted_is_gone_on_with_by_the_queue_if_the_table_fails_meanwhile(desk_with):
    desk = desk_with(faults=Faults(table_down=[(150, 4000)]))
    status = desk.answered(desk.speak("sp_1"))
    assert status.state == "scheduled"
    desk.run(5000)
    desk.answered(*desk.work())
    assert len(desk.parts["sp_1"]) == 1


def test_clocks_that_differ_by_200_ms_change_nothing(desk):
    asked = []
    for number, skew_ms in enumerate((-100, 100, 0)):
        process = Process(desk.world, f"render {number}", skew_ms)
        record = SpeechRecord(SID, f"sp_{number}", "f", text="60")
        asked.append(process.start(desk.speaking(process).accept, record))
        desk.run(20)
    desk.run(3000)
    assert all(task.done() for task in asked)
    voices = [desk.voice(f"sp_{number}") for number in range(3)]
    assert [after[0] - before[1] for before, after in itertools.pairwise(voices)] == [20, 20]
