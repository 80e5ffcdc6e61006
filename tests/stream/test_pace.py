"""When to send and how far: bytes run ahead of the ear by the lead."""

from hypothesis import given
from hypothesis import strategies as st

from duckline.timeline import FRAME_MS
from stream.pace import SHORT_STEP_FRAMES, STEP_FRAMES, Pace

paces = st.builds(
    Pace,
    first=st.integers(0, 720_000),
    began_ms=st.floats(0, 1e9),
    lead_frames=st.integers(12, 250),
)


def test_a_step_is_under_four_writes_a_second_and_within_a_chunk_and_a_frame():
    assert STEP_FRAMES * FRAME_MS * 4 > 1000
    assert SHORT_STEP_FRAMES < STEP_FRAMES


def test_frames_are_due_when_the_caller_has_but_the_lead_in_hand():
    pace = Pace(first=1000, began_ms=5000, lead_frames=50)
    assert pace.due_ms(1050) == 5000
    assert pace.due_ms(1063) == 5260


def test_what_must_have_been_sent_grows_with_real_time():
    pace = Pace(first=1000, began_ms=5000, lead_frames=50)
    assert pace.target(5000) == 1050
    assert pace.target(5001) == 1051
    assert pace.target(6000) == 1100


@given(paces, st.integers(0, 50_000))
def test_when_frames_are_due_those_before_them_are_all_that_must_have_been_sent(pace: Pace, beyond: int):
    sent = pace.first + pace.lead_frames + beyond
    assert abs(pace.target(pace.due_ms(sent)) - sent) <= 1
    assert pace.target(pace.due_ms(sent) + 2 * FRAME_MS) > sent


@given(paces, st.integers(0, 50_000))
def test_nothing_is_late_while_the_lead_lasts(pace: Pace, beyond: int):
    sent = pace.first + pace.lead_frames + beyond
    lead_ms = pace.lead_frames * FRAME_MS
    assert pace.late_ms(sent, pace.due_ms(sent) + lead_ms - 1) == 0
    assert abs(pace.late_ms(sent, pace.due_ms(sent) + lead_ms + 300) - 300) < 0.01


@given(paces, st.integers(0, 50_000), st.floats(1, 60_000))
def test_after_a_stall_the_lead_is_what_it_was(pace: Pace, beyond: int, stalled_ms: float):
    sent = pace.first + pace.lead_frames + beyond
    now_ms = pace.due_ms(sent) + pace.lead_frames * FRAME_MS + stalled_ms
    following = pace.after_stall(pace.late_ms(sent, now_ms))
    assert following.late_ms(sent, now_ms) < 0.01
    # What must be sent at once is the lead, and not the lead and all that the stall took.
    assert following.target(now_ms) - sent in (pace.lead_frames, pace.lead_frames + 1)
