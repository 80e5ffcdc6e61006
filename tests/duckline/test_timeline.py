from hypothesis import given
from hypothesis import strategies as st

from duckline.timeline import (
    FRAME_BYTES,
    FRAME_MS,
    FRAME_SAMPLES,
    FRAMES_PER_SECOND,
    SAMPLE_RATE_HZ,
    SEGMENT_FRAMES,
    frames_from_ms,
    frames_from_samples,
    ms_from_frames,
)


def test_a_frame_is_what_a_telephone_packet_holds():
    assert (FRAME_MS, FRAME_SAMPLES, FRAME_BYTES) == (20, 160, 160)
    assert FRAMES_PER_SECOND * FRAME_SAMPLES == SAMPLE_RATE_HZ == 8000
    assert SEGMENT_FRAMES * FRAME_BYTES == 32_000


@given(st.one_of(st.integers(0, 10**9), st.floats(0, 1e9)))
def test_a_duration_fits_into_its_frames_and_into_no_fewer(duration_ms: float):
    frames = frames_from_ms(duration_ms)
    assert (frames - 1) * FRAME_MS < duration_ms <= frames * FRAME_MS


@given(st.integers(0, 10**9))
def test_samples_fit_into_their_frames_and_into_no_fewer(samples: int):
    frames = frames_from_samples(samples)
    assert (frames - 1) * FRAME_SAMPLES < samples <= frames * FRAME_SAMPLES


@given(st.integers(-(10**6), 10**6))
def test_frames_last_whole_milliseconds_and_come_back_from_them(frames: int):
    assert frames_from_ms(ms_from_frames(frames)) == frames


def test_frames_are_whole_numbers_whatever_they_come_from():
    assert frames_from_ms(20.5) == 2
    assert isinstance(frames_from_ms(20.5), int)
    assert isinstance(frames_from_samples(161), int)
