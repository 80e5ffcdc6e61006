from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.twilio.line import Line
from local.twilio.playback import PlayOut

ANSWERED = 500.0
FRAME = 160


def frames(count: int, first: int = 0) -> bytes:
    """`count` frames, each of its own byte, none of them silence."""
    return b"".join(bytes([(first + n) % 250]) * FRAME for n in range(count))


def player(**more) -> tuple[Line, PlayOut]:
    line = Line(ANSWERED)
    return line, PlayOut(line, **({"start_bytes": 1600} | more))


def heard(line: Line, until: float) -> list[int]:
    """The byte of each tick's frame, None for silence; every frame must be of one byte."""
    sound = line.recording(ANSWERED + until).mulaw
    ticks = [sound[start : start + FRAME] for start in range(0, len(sound), FRAME)]
    assert all(len(set(tick)) == 1 for tick in ticks)
    return [None if tick[0] == 0xFF else tick[0] for tick in ticks]


def test_it_starts_at_the_tick_at_which_the_start_buffer_is_full():
    line, play = player()
    play.arrive(ANSWERED + 0.005, frames(9))
    play.arrive(ANSWERED + 0.101, frames(5, 9))
    play.play_to(ANSWERED + 0.2)
    assert heard(line, 0.2) == [None] * 6 + [0, 1, 2, 3]


def test_with_no_start_buffer_it_starts_at_the_tick_after_the_first_frame():
    line, play = player(start_bytes=0)
    play.arrive(ANSWERED + 0.001, frames(1)[:100])
    play.arrive(ANSWERED + 0.021, frames(1)[100:])
    play.play_to(ANSWERED + 0.06)
    assert heard(line, 0.06) == [None, None, 0]


def test_a_body_shorter_than_the_start_buffer_is_played_when_it_ends():
    line, play = player()
    play.arrive(ANSWERED + 0.01, frames(2))
    play.end(ANSWERED + 0.055)
    play.play_to(ANSWERED + 1)
    assert heard(line, 0.12) == [None, None, None, 0, 1, None]
    assert play.end_tick == 5


def test_downloading_first_nothing_is_heard_before_the_end():
    line, play = player(start_bytes=None)
    play.arrive(ANSWERED, frames(200))
    play.play_to(ANSWERED + 3)
    assert set(heard(line, 3)) == {None}
    play.end(ANSWERED + 3)
    play.play_to(ANSWERED + 3.06)
    assert heard(line, 3.06)[-3:] == [0, 1, 2]


def test_bytes_that_came_in_time_make_no_gap_however_late_they_are_looked_at():
    line, play = player(start_bytes=160)
    play.arrive(ANSWERED, frames(5))
    # Nobody looks for three seconds; the chunks had come in time all along.
    play.arrive(ANSWERED + 0.099, frames(5, 5))
    play.arrive(ANSWERED + 0.199, frames(5, 10))
    play.end(ANSWERED + 0.25)
    play.play_to(ANSWERED + 3)
    assert heard(line, 0.3) == list(range(15))
    assert not play.underrun_ticks
    assert not play.late_chunks


def test_a_look_at_an_empty_buffer_is_no_underrun_until_later_bytes_prove_it():
    _, play = player(start_bytes=160)
    play.arrive(ANSWERED, frames(2))
    play.play_to(ANSWERED + 1)
    assert not play.underrun_ticks
    play.arrive(ANSWERED + 0.04, frames(2))
    assert not play.underrun_ticks
    play.arrive(ANSWERED + 0.121, frames(1))
    assert play.underrun_ticks == [4, 5, 6]


def test_a_late_chunk_makes_a_gap_as_long_as_it_is_late_and_no_frame_is_lost():
    line, play = player(start_bytes=160)
    play.arrive(ANSWERED, frames(3))
    play.arrive(ANSWERED + 0.105, frames(3, 3))
    play.end(ANSWERED + 0.11)
    play.play_to(ANSWERED + 1)
    assert heard(line, 0.18) == [0, 1, 2, None, None, None, 3, 4, 5]
    assert play.underrun_ticks == [3, 4, 5]
    (late,) = play.late_chunks
    assert late.late_s == pytest.approx(0.045)
    assert late.size_bytes == 3 * FRAME


def test_a_chunk_that_comes_exactly_when_its_frame_is_due_is_in_time():
    line, play = player(start_bytes=160)
    play.arrive(ANSWERED, frames(1))
    play.arrive(ANSWERED + 0.02, frames(1, 1))
    play.end(ANSWERED + 0.03)
    play.play_to(ANSWERED + 1)
    assert heard(line, 0.04) == [0, 1]
    assert not play.late_chunks


def test_a_frame_of_which_a_part_is_missing_waits_for_the_rest():
    line, play = player(start_bytes=160)
    play.arrive(ANSWERED, frames(2)[:250])
    play.arrive(ANSWERED + 0.05, frames(2)[250:])
    play.end(ANSWERED + 0.05)
    play.play_to(ANSWERED + 1)
    assert heard(line, 0.08) == [0, None, None, 1]
    assert len(play.late_chunks) == 1


def test_a_last_frame_that_is_not_whole_is_filled_with_silence():
    line, play = player(start_bytes=0)
    play.arrive(ANSWERED, b"\x01" * 200)
    play.end(ANSWERED)
    play.play_to(ANSWERED + 1)
    assert line.recording(ANSWERED + 0.04).mulaw == b"\x01" * 200 + b"\xff" * 120


def test_waiting_for_a_body_to_end_when_all_was_played_is_silence_that_is_counted():
    _, play = player(start_bytes=0)
    play.arrive(ANSWERED, frames(2))
    play.end(ANSWERED + 0.1)
    assert play.underrun_ticks == [2, 3, 4]
    assert play.end_tick == 5


def test_stopped_nothing_is_heard_from_that_tick_on():
    line, play = player(start_bytes=0)
    play.arrive(ANSWERED, frames(50))
    play.play_to(ANSWERED + 0.5)
    play.stop(ANSWERED + 0.095)
    assert heard(line, 0.2) == [0, 1, 2, 3, 4] + [None] * 5
    play.arrive(ANSWERED + 0.15, frames(1))
    play.end(ANSWERED + 0.16)
    assert heard(line, 0.2) == [0, 1, 2, 3, 4] + [None] * 5
    assert play.end_tick == 5


def test_stopped_while_dry_only_ticks_before_the_stop_are_underruns():
    _, play = player(start_bytes=0)
    play.arrive(ANSWERED, frames(2))
    play.stop(ANSWERED + 0.095)
    assert play.underrun_ticks == [2, 3, 4]


def test_stopped_by_a_hang_up_that_is_learnt_of_late_what_came_after_it_is_not_heard_nor_counted():
    line, play = player(start_bytes=0)
    play.arrive(ANSWERED, frames(2))
    play.arrive(ANSWERED + 0.2, frames(5, 2))
    play.stop(ANSWERED + 0.095)
    assert play.underrun_ticks == [2, 3, 4]
    assert play.end_tick == 5
    assert heard(line, 0.3) == [0, 1] + [None] * 13


def test_it_does_not_start_before_its_first_tick():
    line, play = player(start_bytes=0, first_tick=4)
    play.arrive(ANSWERED, frames(2))
    play.end(ANSWERED)
    play.play_to(ANSWERED + 1)
    assert heard(line, 0.12) == [None] * 4 + [0, 1]


def test_held_it_plays_only_once_it_is_released():
    line, play = player(held=True)
    play.arrive(ANSWERED, frames(20))
    play.end(ANSWERED + 0.1)
    play.play_to(ANSWERED + 0.2)
    assert set(heard(line, 0.2)) == {None}
    play.release(ANSWERED + 0.2, 11)
    play.play_to(ANSWERED + 1)
    assert heard(line, 0.26)[10:] == [None, 0, 1]
    assert play.end_tick == 31


def test_four_hours_do_not_drift():
    line = Line(ANSWERED)
    assert line.tick_at(line.time_of(4 * 3600 * 50)) == 4 * 3600 * 50
    assert all(line.tick_at(line.time_of(tick)) == tick for tick in range(0, 720_000, 977))


@given(
    chunks=st.lists(st.tuples(st.floats(0.0, 0.4), st.integers(1, 4000)), min_size=1, max_size=30),
    start_bytes=st.integers(0, 8000),
)
def test_whatever_the_timing_every_byte_is_heard_once_and_in_order(chunks, start_bytes):
    line, play = player(start_bytes=start_bytes)
    body = frames(sum(size for _, size in chunks) // FRAME + 1)
    position = 0
    for at, (_, size) in zip(accumulate(gap for gap, _ in chunks), chunks, strict=True):
        play.arrive(ANSWERED + at, body[position : position + size])
        position += size
    play.end(ANSWERED + sum(gap for gap, _ in chunks))
    play.play_to(line.time_of(play.end_tick))
    sound = line.recording(line.time_of(play.end_tick)).mulaw
    ticks = [sound[start : start + FRAME] for start in range(0, len(sound), FRAME)]
    played = b"".join(tick for number, tick in enumerate(ticks) if number >= play.start_tick and tick[0] != 0xFF)
    assert played.rstrip(b"\xff") == body[:position]
    gaps = [number for number, tick in enumerate(ticks) if number >= play.start_tick and tick[0] == 0xFF]
    assert gaps == play.underrun_ticks
