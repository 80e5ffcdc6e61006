"""A window is played: what is sent and when, and what the caller hears when something cannot be had in time."""

from dataclasses import replace

import numpy as np
import pytest

from duckline import schedule
from duckline.berth import EDGE_FRAMES
from duckline.delivery import PROBE_HEAD_FRAMES, Delivery
from duckline.records import BedRecord
from duckline.sound import mulaw
from duckline.timeline import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES
from local.simulation.cloud import Faults
from local.simulation.world import START_MS
from render.beds import FADE_FRAMES
from stream.companding import blended
from stream.pace import SHORT_FOR_MS, SHORT_STEP_FRAMES, STEP_FRAMES
from stream.playing import CHUNK_FRAMES, SPLICE_FRAMES, NotHeld

STEP_MS = STEP_FRAMES * FRAME_MS


def is_heard(stage, fetch, speech_id):
    """Whether a speech was sent as it was mixed, from its first clip's beginning to its last word.

    A voice keeps clear of the fades with which a window begins and ends; its music may lie in them.
    """
    for part in stage.placed[speech_id]:
        start = max(part.start, fetch.first + EDGE_FRAMES)
        mixed = stage.clip(part)[(start - part.start) * FRAME_BYTES : (part.voice_end - part.start) * FRAME_BYTES]
        if start > part.voice_at or fetch.frames(start, part.voice_end) != mixed:
            return False
    return bool(stage.placed[speech_id])


def jumps(sound):
    """How far each sample lies from the one before, as a part of full scale."""
    return np.abs(np.diff(mulaw.decode(sound)))


def seals(stage):
    """By how many frames each of the stream's seals moved the promise."""
    return [after.sealed - before.sealed for who, before, after in stage.changes if who == "stream" and before.holder]


# -- music ----------------------------------------------------------------------------------------


def test_music_is_the_bed_byte_for_byte_across_steps_segments_and_the_loops_end(stage_with):
    stage = stage_with(window_s=100, bed="calm")  # twice round the loop of 43 s, of which the last segment is short
    fetch = stage.fetch()
    stage.run(110_000)
    assert len(fetch.body) == 5000 * FRAME_BYTES
    assert fetch.unlike_the_bed() == []


def test_the_bed_that_is_shipped_plays_without_a_bucket(stage_with):
    stage = stage_with(window_s=20, bed="shipped", faults=Faults(bucket_down=[(0, 1e9)]))
    fetch = stage.fetch()
    stage.run(30_000)
    assert len(fetch.body) == 1000 * FRAME_BYTES
    assert fetch.unlike_the_bed("shipped") == []
    assert fetch.playing.account()["substituted_frames"] == 0


def test_windows_follow_one_another_to_the_frame(stage_with):
    stage = stage_with(window_s=15)
    fetches = []
    for epoch in range(1, 5):
        fetches.append(stage.fetch(epoch))
        stage.run(epoch * 16_000)
        stage.open_next_window()
    assert [(fetch.first, fetch.end) for fetch in fetches] == [(0, 750), (750, 1500), (1500, 2250), (2250, 3000)]
    assert [fetch.unlike_the_bed() for fetch in fetches] == [[], [], [], []]


def test_a_window_fades_in_and_out_over_200_ms(stage):
    fetch = stage.fetch()
    stage.run(70_000)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(EDGE_FRAMES * FRAME_SAMPLES) / (EDGE_FRAMES * FRAME_SAMPLES))
    for first, gain in ((0, rise), (3000 - EDGE_FRAMES, rise[::-1])):
        heard = mulaw.decode(fetch.frames(first, first + EDGE_FRAMES))
        music = mulaw.decode(stage.bed("calm", first, EDGE_FRAMES))
        # A gain in steps of 2.5 ms and whole per cents, and the nearest µ-law value: 3 % of the sample, and 1/16.
        assert np.all(np.abs(heard - gain * music) <= 0.035 * np.abs(music) + gain * np.abs(music) / 16 + 2e-4)
    assert fetch.body[:1] == fetch.body[-1:] == mulaw.SILENCE


# -- the clock ------------------------------------------------------------------------------------


def test_chunks_are_20_to_250_ms_and_the_last_of_a_step_is_one_frame(stage):
    fetch = stage.fetch()
    stage.at(5000, stage.speak, "4 s of words")
    stage.run(70_000)
    for step in fetch.steps():
        *head, tail = [len(chunk) for chunk in step]
        assert tail == FRAME_BYTES
        assert all(FRAME_BYTES <= size <= CHUNK_FRAMES * FRAME_BYTES and size % FRAME_BYTES == 0 for size in head)
    assert CHUNK_FRAMES * FRAME_MS <= 250


@pytest.mark.parametrize("lead_ms", [1000, 450])
def test_the_caller_always_has_the_lead_in_hand_and_never_much_more(stage_with, lead_ms):
    stage = stage_with(lead_ms=lead_ms)
    fetch = stage.fetch()
    stage.at(9000, stage.speak, "3 s of words")
    stage.run(70_000)
    began_ms, sent = fetch.arrivals[0][0], 0
    in_hand_ms = []
    for at_ms, chunk in fetch.arrivals:
        in_hand_ms.append(sent * FRAME_MS - (at_ms - began_ms))
        sent += len(chunk) // FRAME_BYTES
    after_the_first_step = in_hand_ms[len(fetch.steps()[0]) :]
    assert min(after_the_first_step) >= lead_ms - FRAME_MS - 10  # a frame's rounding, and the seal's way there and back
    assert max(after_the_first_step) <= lead_ms + STEP_MS + 2 * FRAME_MS


def test_a_slow_table_costs_the_caller_nothing(stage):
    ask = stage.cloud.call

    def slowly(*arguments, **named):
        stage.world.sleep(190)
        return ask(*arguments, **named)

    stage.cloud.call = slowly
    fetch = stage.fetch()
    stage.run(70_000)
    assert fetch.playing.tally.late_ms == 0
    assert fetch.unlike_the_bed() == []
    assert fetch.over_ms - fetch.arrivals[0][0] < 60_000


def test_a_minute_of_music_costs_at_most_four_writes_a_second(stage):
    stage.fetch()
    stage.run(70_000)
    assert 200 < len(stage.changes) <= 4 * 60


def test_a_speech_that_is_being_made_has_the_seal_move_in_short_steps_for_a_while(stage):
    def reserve(call):
        return schedule.reserve(call, "sp_1", now_ms=int(START_MS + stage.world.time_ms), lease_ms=15_000)

    stage.fetch()
    stage.at(5000, lambda: stage.change(reserve))
    stage.run(10_000)
    steps = seals(stage)
    short = steps.count(SHORT_STEP_FRAMES)
    assert SHORT_FOR_MS - 2 * STEP_MS <= short * SHORT_STEP_FRAMES * FRAME_MS <= SHORT_FOR_MS
    begun = steps.index(SHORT_STEP_FRAMES)
    assert steps[begun : begun + short] == [SHORT_STEP_FRAMES] * short
    assert set(steps[1:begun]) | set(steps[begun + short :]) == {STEP_FRAMES}


def test_a_window_that_is_not_paced_is_sent_at_once(stage_with):
    stage = stage_with(window_s=10, delivery=Delivery("burst", 10))
    fetch = stage.fetch()
    stage.run(1000)
    assert len(fetch.body) == 500 * FRAME_BYTES
    assert fetch.unlike_the_bed() == []
    assert stage.call.done == 1


def test_half_of_a_probe_is_sent_at_once_and_the_rest_is_paced(stage_with):
    stage = stage_with(window_s=8, delivery=Delivery("auto"))
    fetch = stage.fetch()
    stage.run(10_000)
    assert sum(map(len, fetch.steps()[0])) == (PROBE_HEAD_FRAMES + STEP_FRAMES) * FRAME_BYTES
    assert fetch.over_ms - fetch.arrivals[0][0] == pytest.approx(4000, abs=STEP_MS)


# -- speech ---------------------------------------------------------------------------------------


def test_speeches_are_heard_as_they_were_mixed_and_around_them_the_bed(stage):
    fetch = stage.fetch()
    first, second, third = "2.5 s one", "1 s two", "3 s three"
    for at_ms, text in ((3000, first), (3100, second), (20_000, third)):
        stage.at(at_ms, stage.speak, text)
    stage.run(70_000)
    assert len(stage.placed) == 3
    assert all(is_heard(stage, fetch, speech_id) for speech_id in stage.placed)
    spoken = [(part.start, part.end) for parts in stage.placed.values() for part in parts]
    differ = fetch.unlike_the_bed()
    assert differ and all(any(start <= at < end for start, end in spoken) for at in differ)
    assert stage.call.speeches == ()  # their history is written, and the item is small again
    states = [stage.cloud.speeches.get(stage.call.call_sid, speech_id).state for speech_id in stage.placed]
    assert states == ["finished"] * 3


def test_a_change_of_bed_is_heard_as_it_was_mixed_and_then_the_new_bed(stage):
    stage.cloud.beds.keep(BedRecord("warm", "ready", version="warm"))
    fetch = stage.fetch()
    stage.at(5000, lambda: stage.change_bed("warm"))
    stage.run(70_000)
    _, new = next(after.beds for _, _, after in stage.changes if len(after.beds) == 2)
    assert new.fade_frames == FADE_FRAMES
    assert fetch.unlike_the_bed()[0] >= new.start
    fade = stage.cloud.sounds.get(f"clips/{stage.call.call_sid}/{new.fade}.ulaw")
    assert fetch.frames(new.start, new.start + FADE_FRAMES) == fade
    rest = range(new.start + FADE_FRAMES, 3000 - EDGE_FRAMES)
    assert fetch.frames(rest.start, rest.stop) == stage.bed("warm", rest.start - new.origin, len(rest))
    around = fetch.frames(new.start - 10, new.start + FADE_FRAMES + 10)
    own = max(jumps(stage.bed(version, 0, 550)).max() for version in ("calm", "warm"))
    assert jumps(around).max() <= 1.1 * own


# -- trouble --------------------------------------------------------------------------------------


def test_while_the_table_is_down_for_longer_than_the_lead_the_music_goes_on(stage_with):
    stage = stage_with(faults=Faults(table_down=[(5000, 12_000)]))
    fetch = stage.fetch()
    stage.run(70_000)
    assert fetch.unlike_the_bed() == []
    assert fetch.playing.tally.late_ms == 0
    assert fetch.playing.tally.unsealed_steps >= 20
    assert fetch.playing.tally.ended_by == "sent"


def test_what_was_placed_while_the_stream_could_not_reach_the_table_is_spoken_again(stage):
    stage.table_lost.append((5000, 9000))
    fetch = stage.fetch()
    stage.at(5500, stage.speak, "2.5 s one")
    stage.run(70_000)
    placed = [after.speeches[0].parts[0] for _, _, after in stage.changes if after.speeches and after.speeches[0].parts]
    missed, heard = placed[0], placed[-1]
    assert missed.start < 9000 / FRAME_MS < heard.start
    assert is_heard(stage, fetch, "sp_2.5_s_one")
    assert set(fetch.unlike_the_bed()) <= set(range(heard.start, heard.end))  # and nothing of it before
    assert fetch.playing.tally.missed_speeches == 1
    assert [event["type"] for event in stage.cloud.events].count("speech.finished") == 1
    assert stage.cloud.speeches.get(stage.call.call_sid, "sp_2.5_s_one").state == "finished"


def test_what_stands_behind_a_speech_that_was_missed_is_still_heard_after_it(stage):
    stage.table_lost.append((5000, 9000))
    fetch = stage.fetch()
    for at_ms, text in ((5500, "1 s one"), (5600, "2 s two"), (9500, "1 s three")):
        stage.at(at_ms, stage.speak, text)
    stage.run(70_000)
    assert all(is_heard(stage, fetch, speech_id) for speech_id in stage.placed)
    starts = {speech_id: parts[0].voice_at for speech_id, parts in stage.placed.items()}
    assert starts["sp_1_s_one"] < starts["sp_2_s_two"] < starts["sp_1_s_three"]


def test_a_speech_that_is_placed_before_the_outage_is_heard_in_it(stage):
    stage.table_lost.append((4000, 9000))
    fetch = stage.fetch()
    stage.at(3000, stage.speak, "4 s one")
    stage.run(70_000)
    assert is_heard(stage, fetch, "sp_4_s_one")
    assert fetch.playing.tally.missed_speeches == 0


def test_a_clip_that_cannot_be_had_in_time_gives_way_to_the_bed_and_is_spoken_again(stage):
    stage.bucket_takes_ms = lambda key: 3000 if key.startswith("clips/") and stage.world.time_ms < 6000 else 0
    fetch = stage.fetch()
    stage.at(5500, stage.speak, "2.5 s one")
    stage.run(70_000)
    placed = {after.speeches[0].parts[0] for _, _, after in stage.changes if after.speeches and after.speeches[0].parts}
    assert len(placed) > 1
    heard = max(placed, key=lambda part: part.start)
    assert is_heard(stage, fetch, "sp_2.5_s_one")
    assert set(fetch.unlike_the_bed()) <= set(range(heard.start, heard.end))
    assert fetch.playing.tally.late_ms == 0
    assert fetch.playing.tally.missed_speeches == len(placed) - 1
    assert any(message == "clip left out" for message, _ in stage.logged)


def test_a_cancel_that_the_stream_learns_of_too_late_is_blended_in(stage):
    stage.table_lost.append((5000, 8000))
    fetch = stage.fetch()
    stage.at(2000, stage.speak, "10 s one")
    stage.at(5500, stage.cancel, "sp_10_s_one")
    stage.run(70_000)
    spoken, fade = stage.placed["sp_10_s_one"]
    differ = [at for at in fetch.unlike_the_bed() if at >= fade.end]
    splice = differ[-1] + 1 - SPLICE_FRAMES
    old = stage.clip(spoken)[(splice - spoken.start) * FRAME_BYTES :][: SPLICE_FRAMES * FRAME_BYTES]
    assert fetch.frames(spoken.start, splice) == stage.clip(spoken)[: (splice - spoken.start) * FRAME_BYTES]
    bed = stage.bed("calm", splice, SPLICE_FRAMES)
    assert fetch.frames(splice, splice + SPLICE_FRAMES) == blended(old, bed)


BUCKET_DOWN = Faults(bucket_down=[(5000, 40_000)])  # for longer than what is fetched ahead


def test_while_the_bucket_is_down_the_shipped_bed_takes_over_and_is_counted(stage_with):
    stage = stage_with(window_s=90, faults=BUCKET_DOWN)
    fetch = stage.fetch()
    stage.run(100_000)
    strange = fetch.unlike_the_bed()
    assert strange[0] > 1000 and strange[-1] < 40_000 / FRAME_MS + 100  # twelve seconds ahead; and soon back again
    inside = range(strange[0] + SPLICE_FRAMES, strange[-1] - SPLICE_FRAMES)
    assert fetch.frames(inside.start, inside.stop) == stage.bed("shipped", inside.start, len(inside))
    assert fetch.playing.account()["substituted_frames"] == pytest.approx(len(strange), abs=2 * SPLICE_FRAMES)
    assert fetch.playing.tally.late_ms == 0


@pytest.mark.parametrize("lead_ms", [1000, 900, 820])  # so that the last segment ends at different places in a step
def test_the_music_that_takes_over_is_blended_in_and_out(stage_with, lead_ms):
    stage = stage_with(window_s=90, lead_ms=lead_ms, faults=BUCKET_DOWN)
    standing = mulaw.encode(np.full(FRAME_SAMPLES, 0.25, np.float32))
    stage.shipped = lambda first, frames: standing * frames  # "music" that never moves and lies far from the other
    fetch = stage.fetch()
    stage.run(100_000)
    assert fetch.unlike_the_bed()
    largest, own = jumps(fetch.body).max(), jumps(stage.bed("calm", 0, 2150)).max()
    assert largest <= 1.5 * own


# -- the end --------------------------------------------------------------------------------------


def test_the_last_act_of_a_window_is_to_say_that_it_is_done(stage):
    fetch = stage.fetch()
    stage.at(5000, stage.speak, "2 s one")
    stage.run(70_000)
    assert stage.call.done == 1
    who, before, after = stage.changes[-1]
    assert (who, before.done, after.done, after.sealed) == ("stream", 0, 1, 3000)
    assert fetch.over_ms - fetch.arrivals[0][0] < 60_000  # the caller still hears the lead


def test_a_window_that_cannot_say_that_it_is_done_gives_up_before_its_last_sound_is_heard(stage):
    stage.table_lost.append((55_000, 90_000))
    fetch = stage.fetch()
    stage.run(100_000)
    assert len(fetch.body) == 3000 * FRAME_BYTES
    assert fetch.over_ms < fetch.arrivals[0][0] + 60_000 + stage.lead_ms
    assert (stage.call.done, fetch.playing.tally.ended_by) == (0, "sent, not said")


@pytest.mark.parametrize("ended_at_ms", [2000, 5010, 5200, 17_777])
def test_a_call_that_is_ended_stops_within_a_step_and_a_second(stage, ended_at_ms):
    fetch = stage.fetch()
    stage.at(1000, stage.speak, "30 s of words")
    stage.at(ended_at_ms, stage.end)
    stage.run(70_000)
    assert ended_at_ms <= fetch.over_ms <= ended_at_ms + STEP_MS + 1000
    assert fetch.playing.tally.ended_by == "hang-up"
    assert [who for who, _, after in stage.changes if after.ended] == ["another function"]  # nothing is paid for after


def test_a_second_fetch_takes_the_hold_and_goes_on_where_the_first_had_come(stage):
    first = stage.fetch()
    stage.run(5000)
    second = stage.fetch()
    stage.run(5100)
    assert second.arrivals
    stage.run(70_000)
    assert first.over_ms <= second.arrivals[0][0] + STEP_MS
    assert first.playing.tally.ended_by == "another window"
    assert second.first >= first.end - STEP_FRAMES
    assert first.unlike_the_bed() == second.unlike_the_bed() == []
    assert (second.end, stage.call.done) == (3000, 1)
    assert second.playing.tally.ended_by == "sent"


def test_a_speech_that_a_second_fetch_broke_off_is_spoken_again_in_it(stage):
    stage.fetch()
    stage.at(3000, stage.speak, "5 s one")
    stage.run(6500)
    second = stage.fetch()
    stage.run(70_000)
    assert stage.placed["sp_5_s_one"][0].start >= second.first
    assert is_heard(stage, second, "sp_5_s_one")


def test_a_window_that_is_followed_by_the_next_stops(stage):
    fetch = stage.fetch()
    stage.at(5000, stage.open_next_window)
    stage.run(70_000)
    assert 5000 <= fetch.over_ms <= 5000 + STEP_MS + 20
    assert fetch.playing.tally.ended_by == "another window"


def test_a_deadline_that_comes_before_the_windows_end_shortens_it(stage):
    fetch = stage.fetch(longest_ms=12_000)
    stage.at(9000, stage.speak, "4 s one")  # too long for what is left
    stage.run(20_000)
    assert fetch.call.window_until == fetch.end == 600
    assert fetch.body[-1:] == mulaw.SILENCE  # faded out
    assert stage.call.done == 1
    stage.open_next_window()
    following = stage.fetch(2)
    stage.run(80_000)
    assert (following.first, following.end) == (600, 3000)
    assert is_heard(stage, following, "sp_4_s_one")


# -- the hold -------------------------------------------------------------------------------------


def test_a_window_of_a_call_that_is_over_cannot_be_held(stage):
    stage.end("completed")
    fetch = stage.fetch()
    stage.run(1000)
    assert isinstance(fetch.refusal, NotHeld)
    assert fetch.arrivals == []


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_window_that_is_not_the_calls_cannot_be_held(stage, epoch):
    fetch = stage.fetch(epoch)
    stage.run(1000)
    assert isinstance(fetch.refusal, NotHeld)
    assert stage.call.holder == ""


def test_a_window_of_a_call_that_nobody_knows_cannot_be_held(stage):
    stage.cloud.calls.calls.clear()
    fetch = stage.fetch()
    stage.run(1000)
    assert isinstance(fetch.refusal, NotHeld)


def test_a_hold_is_taken_though_the_call_changes_in_the_meantime(stage):
    for _ in range(3):
        stage.at(3, lambda: stage.change(lambda call: replace(call, next_order=call.next_order + 1)))
    fetch = stage.fetch()
    stage.run(2000)
    assert fetch.refusal is None
    assert stage.call.holder == fetch.playing.hold.holder
    assert stage.call.next_order == 4
