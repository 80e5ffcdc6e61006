import numpy as np
import pytest

from duckline.sound import mulaw

EVERY_CODE = bytes(range(256))


def test_every_code_but_minus_zero_comes_back_as_it_was():
    assert mulaw.encode(mulaw.decode(EVERY_CODE)) == EVERY_CODE.replace(b"\x7f", b"\xff")


def test_the_codes_have_the_values_of_g711():
    # ITU-T G.711, table 2a, in 16 bits: the end points, both zeros and the first and last step of a segment
    values = {0x00: -32124, 0x0F: -16764, 0x10: -15996, 0x7E: -8, 0x7F: 0, 0x80: 32124, 0xEF: 132, 0xF0: 120, 0xFF: 0}
    decoded = mulaw.decode(bytes(values)) * 32768
    assert decoded.tolist() == list(values.values())


def test_every_16_bit_value_goes_to_the_nearest_code():
    values = np.arange(-32768, 32768)
    levels = mulaw.decode(EVERY_CODE).astype(np.float64) * 32768
    distances = np.abs(values[:, None] - levels).min(axis=1)
    encoded = np.frombuffer(mulaw.encode((values / 32768).astype(np.float32)), np.uint8)
    assert (np.abs(values - levels[encoded]) == distances).all()


def test_what_lies_between_two_16_bit_values_is_rounded():
    values = np.arange(-32000, 32000)
    exact = mulaw.encode((values / 32768).astype(np.float32))
    for off in (-0.4, 0.4):
        assert mulaw.encode(((values + off) / 32768).astype(np.float32)) == exact


def test_silence_is_plus_zero():
    faint = np.array([0.0, -0.0, 1e-9, -1e-9, -0.4 / 32768, -3 / 32768, 4 / 32768], np.float32)
    assert mulaw.encode(faint) == mulaw.SILENCE * len(faint)
    assert mulaw.decode(mulaw.SILENCE)[0] == 0


def test_what_is_too_loud_is_clipped():
    assert mulaw.encode(np.array([1.0, 7.5, -1.0, -40.0], np.float32)) == b"\x80\x80\x00\x00"


def test_buffers_can_be_used_again_for_shorter_sounds():
    pcm = np.random.default_rng(1).uniform(-1, 1, 1600).astype(np.float32)
    scratch, out = mulaw.Scratch(1600), np.empty(800, np.float32)
    assert mulaw.encode(pcm, scratch) == mulaw.encode(pcm)
    assert mulaw.encode(pcm[800:], scratch) == mulaw.encode(pcm)[800:]
    decoded = mulaw.decode(mulaw.encode(pcm[:800], scratch), out)
    assert decoded is out
    assert np.array_equal(out, mulaw.decode(mulaw.encode(pcm[:800])))


@pytest.mark.parametrize("level_db", [-20, -25, -30])
def test_speech_levels_keep_a_signal_to_noise_ratio_of_36_db(level_db):
    pcm = (np.random.default_rng(2).laplace(size=80_000) * 10 ** (level_db / 20) / 2**0.5).astype(np.float32)
    pcm = np.clip(pcm, -0.98, 0.98)
    noise = mulaw.decode(mulaw.encode(pcm)) - pcm
    assert 10 * np.log10(np.mean(pcm**2) / np.mean(noise**2)) > 36
