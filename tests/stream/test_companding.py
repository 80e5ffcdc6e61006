"""µ-law without numpy: the same values as the mixer's, fades that do not step, blends that join."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckline.sound import mulaw
from duckline.timeline import FRAME_BYTES
from stream.companding import LINEAR, RAMP_SAMPLES, SILENCE, blended, faded, nearest, pcm16

ALL_CODES = bytes(range(256))
LOUDEST = LINEAR[0x80]
TONE = mulaw.encode((0.25 * np.sin(2 * np.pi * 440 * np.arange(20 * FRAME_BYTES) / 8000)).astype(np.float32))
OTHER = mulaw.encode((0.25 * np.sin(2 * np.pi * 313 * np.arange(20 * FRAME_BYTES) / 8000 + 2)).astype(np.float32))


def linear(sound: bytes) -> np.ndarray:
    return np.array([LINEAR[code] for code in sound])


def test_every_code_has_the_value_that_the_mixer_gives_it():
    assert np.array_equal(linear(ALL_CODES), mulaw.decode(ALL_CODES) * mulaw.FULL_SCALE)


def test_every_code_comes_back_but_the_other_zero():
    assert bytes(nearest(LINEAR[code]) for code in range(256)) == ALL_CODES.replace(b"\x7f", b"\xff")


def test_every_16_bit_value_is_as_near_as_the_mixer_comes():
    values = np.arange(-32768, 32768)
    ours = linear(bytes(nearest(int(value)) for value in values))
    theirs = mulaw.decode(mulaw.encode((values / mulaw.FULL_SCALE).astype(np.float32))) * mulaw.FULL_SCALE
    assert np.array_equal(np.abs(ours - values), np.abs(theirs - values))


@given(st.floats(-1e6, 1e6))
def test_no_value_lies_nearer_than_the_nearest(value: float):
    assert abs(LINEAR[nearest(value)] - value) == min(abs(level - value) for level in LINEAR)


def test_silence_is_zero():
    assert LINEAR[SILENCE] == 0
    assert nearest(0) == SILENCE == mulaw.SILENCE[0]
    assert faded(mulaw.SILENCE * 800, 0, 5, rising=True) == mulaw.SILENCE * 800


def test_pcm16_is_the_same_sound_in_two_bytes_a_sample_little_endian():
    assert np.array_equal(np.frombuffer(pcm16(ALL_CODES), "<i2"), linear(ALL_CODES))
    assert pcm16(b"") == b""


@pytest.mark.parametrize("rising", [True, False])
def test_a_fade_is_a_raised_cosine(rising: bool):
    level = bytes([nearest(8000)]) * (10 * FRAME_BYTES)
    curve = 0.5 - 0.5 * np.cos(np.pi * np.arange(len(level)) / len(level))
    heard = linear(faded(level, 0, 10, rising=rising)) / LINEAR[level[0]]
    assert heard == pytest.approx(curve if rising else 1 - curve, abs=0.04)  # 2.5 ms, a per cent, and µ-law's own step


@pytest.mark.parametrize("rising", [True, False])
def test_a_fade_takes_no_step_that_a_click_would_be_made_of(rising: bool):
    level = bytes([nearest(8000)]) * (10 * FRAME_BYTES)
    steps = np.abs(np.diff(linear(faded(level, 0, 10, rising=rising))))
    assert steps.max() <= 0.04 * LINEAR[level[0]]


def test_a_fade_begins_or_ends_in_silence_and_leaves_what_lies_beyond_as_it_is():
    sound = TONE[: 12 * FRAME_BYTES]
    rise, fall = faded(sound, 0, 10, rising=True), faded(sound, 0, 10, rising=False)
    assert rise[:RAMP_SAMPLES] == mulaw.SILENCE * RAMP_SAMPLES
    assert rise[10 * FRAME_BYTES :] == sound[10 * FRAME_BYTES :]
    assert fall[:RAMP_SAMPLES] == sound[:RAMP_SAMPLES]
    assert fall[10 * FRAME_BYTES :] == mulaw.SILENCE * (2 * FRAME_BYTES)


@given(st.integers(1, 15), st.booleans())
def test_a_fade_in_two_pieces_is_the_fade_as_a_whole(split: int, rising: bool):
    sound = TONE[: 16 * FRAME_BYTES]
    head, tail = sound[: split * FRAME_BYTES], sound[split * FRAME_BYTES :]
    pieces = faded(head, 0, 10, rising=rising) + faded(tail, split, 10, rising=rising)
    assert pieces == faded(sound, 0, 10, rising=rising)


def test_a_blend_leads_from_one_sound_to_the_other():
    length = 8 * FRAME_BYTES
    old, new = TONE[:length], OTHER[:length]
    sound = linear(blended(old, new))
    part = 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)
    expected = (1 - part) * linear(old) + part * linear(new)
    assert np.all(np.abs(sound - expected) <= np.abs(expected) / 16 + 8)
    assert blended(old, new)[0] == old[0]


def test_a_blend_jumps_no_further_than_the_sounds_themselves():
    length = 8 * FRAME_BYTES
    joined = TONE[: 4 * FRAME_BYTES] + blended(TONE[4 * FRAME_BYTES :][:length], OTHER[:length]) + OTHER[length:]
    own = max(np.abs(np.diff(linear(sound))).max() for sound in (TONE, OTHER))
    assert np.abs(np.diff(linear(joined))).max() <= 1.05 * own


@given(st.binary(max_size=400))
def test_a_sound_blended_with_itself_is_itself(sound: bytes):
    assert blended(sound, sound) == sound.replace(b"\x7f", b"\xff")


def test_sounds_of_different_length_cannot_be_blended():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        blended(TONE[:160], OTHER[:320])


def test_the_loudest_sound_survives_its_way_through_gain_and_blend():
    loud = bytes([0x80, 0x00]) * FRAME_BYTES
    assert blended(loud, loud) == loud
    assert np.abs(linear(faded(loud, 5, 5, rising=True))).max() == LOUDEST
