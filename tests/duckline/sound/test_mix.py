import hashlib
import itertools
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duckline.envelope import MINIMUM_RAMP_FRAMES, Duck, Ducking, gain_after, gain_at
from duckline.sound import mulaw
from duckline.sound.loudness import active_level_dbov, band_rms_dbov, rms_dbov
from duckline.sound.mix import Scratch, Voice, crossfade, depth_over, gain_curve, mix_clip
from duckline.sound.speech import Ready, make_ready
from duckline.timeline import FRAME_SAMPLES, SAMPLE_RATE_HZ
from render.engines.espeak import EspeakEngine

SENTENCES = (
    "Your order has been shipped and will arrive on Thursday.",
    "You are number three in the queue; an agent will be with you in about four minutes.",
    "If you would rather be called back, press one.",
    "Six of our seven sisters said so.",
    "No.",
)


@cache
def spoken(text: str) -> Ready:
    return make_ready(*EspeakEngine().synthesise(text))


# -- music, hard and easy, as a bed comes: in the telephone's band, at −28 dBov, through µ-law ------


def chords(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    sound = np.zeros_like(seconds)
    for bar, root_hz in enumerate(itertools.islice(itertools.cycle((220, 262, 175, 196)), math.ceil(seconds[-1] / 2))):
        since = np.maximum(seconds - 2 * bar, 0)
        swell = np.minimum(since / 0.3, 1) * np.exp(-since / 1.5)
        for interval, harmonic in itertools.product((1, 1.25, 1.5, 2, 3), range(1, 5)):
            pitch_hz = root_hz * interval * harmonic
            sound += swell * np.sin(2 * np.pi * pitch_hz * seconds + rng.uniform(0, 6)) / harmonic
    return sound


def beats(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=len(seconds)) * np.exp(-8 * (seconds % 0.5)) + chords(seconds, rng) / 4


def crescendo(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return chords(seconds, rng) * 10 ** (10 * (seconds / seconds[-1] - 0.5) / 20)


@cache
def bed(compose: Callable) -> np.ndarray:
    seconds = np.arange(20 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    sound = compose(seconds, np.random.default_rng(1))
    spectrum, pitch_hz = np.fft.rfft(sound), np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE_HZ)
    sound = np.fft.irfft(spectrum * ((pitch_hz > 200) & (pitch_hz < 3400)), len(sound)).astype(np.float32)
    return mulaw.decode(mulaw.encode(sound * np.float32(10 ** ((-28 - band_rms_dbov(sound)) / 20))))


def stretch(music: np.ndarray, first: int, frames: int) -> np.ndarray:
    return music[first * FRAME_SAMPLES : (first + frames) * FRAME_SAMPLES]


def of(music: np.ndarray, duck: Duck) -> np.ndarray:
    return stretch(music, duck.start, duck.end - duck.start)


def ducked_for(ready: Ready, music: np.ndarray, start: int) -> Duck:
    beneath = stretch(music, start + 6, ready.frames)
    depth = depth_over(beneath, ready.level_dbov, band_rms_dbov(music), Ducking())
    return Duck(start=start, down=6, up_at=start + 6 + ready.frames, up=30, depth=depth)


def steps(pcm: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(pcm))


DUCK = Duck(start=100, down=6, up_at=206, up=30, depth=0.2)


# -- the curve ------------------------------------------------------------------------------------


@st.composite
def ducks(draw: st.DrawFn) -> Duck:
    down = draw(st.integers(MINIMUM_RAMP_FRAMES, 10))
    gains = st.floats(0.01, 1.0)
    up_at = 100 + draw(st.integers(0, 40))
    return Duck(100, down, up_at, draw(st.integers(MINIMUM_RAMP_FRAMES, 40)), draw(gains), draw(gains))


@settings(deadline=None)  # the machine may be busy
@given(ducks(), st.integers(80, 150), st.integers(1, 40))
def test_the_curve_by_the_sample_is_the_curve_by_the_frame(duck: Duck, first: int, frames: int):
    curve = gain_curve(duck, first, frames)
    assert curve.dtype == np.float32 and len(curve) == frames * FRAME_SAMPLES
    for sample in range(0, len(curve), 53):
        assert curve[sample] == pytest.approx(gain_at(duck, first + sample / FRAME_SAMPLES), abs=1e-6)


@settings(deadline=None)
@given(ducks(), st.integers(1, 60), st.floats(0.01, 1.0))
def test_no_sample_jumps_where_one_clip_cuts_into_another(first: Duck, later: int, depth: float):
    start = first.start + later
    second = Duck(start, 4, start + 10, 5, depth, gain_after([first], start))
    curve = np.concatenate((gain_curve(first, first.start, later), gain_curve(second, start, 20)))
    steepest = math.pi / 2 / (MINIMUM_RAMP_FRAMES * FRAME_SAMPLES)
    assert steps(curve).max() <= steepest + 1e-6
    assert curve[-1] == 1


def test_the_ramps_do_not_splatter():
    tone = np.sin(2 * np.pi * 1000 * np.arange(300 * FRAME_SAMPLES) / SAMPLE_RATE_HZ)
    ducked = tone * gain_curve(DUCK, 0, 300)
    spectrum = np.abs(np.fft.rfft(ducked * np.blackman(len(ducked))))
    above = spectrum[np.fft.rfftfreq(len(ducked), 1 / SAMPLE_RATE_HZ) > 1200]
    assert 20 * np.log10(above.max() / spectrum.max()) < -90


# -- music in a clip ------------------------------------------------------------------------------


def test_a_clip_is_as_long_as_its_duck_says():
    assert len(mix_clip(of(bed(chords), DUCK), DUCK, [])) == (DUCK.end - DUCK.start) * 160


def test_a_clip_can_be_over_before_its_ramp_down_would_have_been():
    short = Duck(start=100, down=10, up_at=101, up=3, depth=0.2)
    music = of(bed(chords), short)
    assert mix_clip(music, short, []) == mulaw.encode(music * gain_curve(short, 100, 4))


@pytest.mark.parametrize("compose", [chords, beats])
def test_no_join_and_no_ramp_jumps_further_than_the_music_itself(compose: Callable):
    music = bed(compose)
    usual = np.percentile(steps(music), 99.9)
    for start in range(40, 400, 24):
        duck = Duck(start, down=6, up_at=start + 106, up=30, depth=0.2)
        heard = music.copy()
        of(heard, duck)[:] = mulaw.decode(mix_clip(of(music, duck), duck, []))
        for edge in (duck.start, duck.start + duck.down, duck.up_at, duck.end):
            around = edge * FRAME_SAMPLES
            assert steps(heard[around - 2 : around + 2]).max() <= usual


def test_where_the_gain_is_one_and_no_voice_sounds_the_bytes_are_the_musics_own():
    music = bed(beats)
    ready = spoken(SENTENCES[4])
    untouched = Duck(start=100, down=6, up_at=106 + ready.frames, up=30, depth=1.0)
    clip, own = mix_clip(of(music, untouched), untouched, [Voice(ready.pcm, 106)]), mulaw.encode(of(music, untouched))
    assert clip[: 6 * 160] == own[: 6 * 160]
    assert clip[(6 + ready.frames) * 160 :] == own[(6 + ready.frames) * 160 :]
    assert clip != own


def test_every_byte_of_music_survives_a_gain_of_one():
    every = bytes(code for code in range(256) if code != 0x7F) * 160
    untouched = Duck(start=0, down=5, up_at=200, up=55, depth=1.0)
    assert mix_clip(mulaw.decode(every), untouched, []) == every


def test_a_later_clip_takes_over_inside_an_earlier_ones_release_without_a_seam():
    music = bed(chords)
    second = Duck(start=215, down=6, up_at=300, up=30, depth=0.3, gain_in=gain_at(DUCK, 215))
    assert 0.2 < second.gain_in < 0.6
    heard = music.copy()
    for duck in (DUCK, second):
        of(heard, duck)[:] = mulaw.decode(mix_clip(of(music, duck), duck, []))
    frames = np.arange(len(music)) / FRAME_SAMPLES
    gains = np.array([gain_after([DUCK, second], frame) for frame in frames[::7]])
    wanted = mulaw.decode(mulaw.encode((music[::7] * gains).astype(np.float32)))
    assert np.mean(heard[::7] != wanted) < 0.001  # a float32's last bit decides some roundings otherwise


# -- voices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("compose", [chords, beats, crescendo])
def test_speech_stands_twenty_decibels_over_the_music_beneath_it(compose: Callable):
    music = bed(compose)
    ratios = []
    for text, start in itertools.product(SENTENCES, range(20, 600, 95)):
        ready = spoken(text)
        duck = ducked_for(ready, music, start)
        heard = mulaw.decode(mix_clip(of(music, duck), duck, [Voice(ready.pcm, start + duck.down)]))
        beneath = of(music, duck) * gain_curve(duck, start, duck.end - start)
        speaking = slice(duck.down * FRAME_SAMPLES, (duck.down + ready.frames) * FRAME_SAMPLES)
        speech = active_level_dbov((heard - beneath)[speaking]).level_dbov
        ratios.append(speech - band_rms_dbov(beneath[speaking]))
    assert np.median(ratios) >= 20
    assert min(ratios) >= 19.5


def test_the_words_arrive_as_they_were_but_for_mulaws_own_noise():
    music = bed(chords)
    for text in SENTENCES:
        ready = spoken(text)
        duck = ducked_for(ready, music, 50)
        heard = mulaw.decode(mix_clip(of(music, duck), duck, [Voice(ready.pcm, 56)]))
        beneath = of(music, duck) * gain_curve(duck, 50, duck.end - 50)
        speech = (heard - beneath)[6 * FRAME_SAMPLES :][: len(ready.pcm)]
        assert rms_dbov(speech - ready.pcm) < rms_dbov(ready.pcm) - 34


@pytest.mark.parametrize(
    ("stretch_dbov", "depth_db"), [(-28, -14), (-40, -14), (-24, -18), (-6, -30), (-math.inf, -14)]
)
def test_the_usual_outcome_is_fourteen_decibels_and_a_loud_stretch_gets_more(stretch_dbov: float, depth_db: float):
    noise = np.random.default_rng(4).normal(size=8000)
    music = (noise * 10 ** ((stretch_dbov - rms_dbov(noise)) / 20)).astype(np.float32)
    assert 20 * math.log10(depth_over(music, -22, -28, Ducking())) == pytest.approx(depth_db, abs=0.01)


def test_a_voice_comes_in_at_its_frame_to_the_sample():
    click = np.zeros(FRAME_SAMPLES, np.float32)
    click[0] = 0.5
    silence = np.zeros((DUCK.end - DUCK.start) * FRAME_SAMPLES, np.float32)
    heard = mulaw.decode(mix_clip(silence, DUCK, [Voice(click, 106)]))
    assert np.flatnonzero(heard).tolist() == [6 * FRAME_SAMPLES]


def test_nothing_reaches_minus_three_dbov_however_loud_a_voice_is():
    music = bed(beats)
    square = np.where(np.arange(100 * FRAME_SAMPLES) % 40 < 20, 1, -1).astype(np.float32)
    shouting = [Voice(square, 106), Voice(square[: 50 * FRAME_SAMPLES], 120)]
    heard = mulaw.decode(mix_clip(of(music, DUCK), DUCK, shouting))
    assert 20 * math.log10(np.abs(heard).max()) < -3
    assert 20 * math.log10(np.abs(heard).max()) > -4


def test_a_voice_that_is_cut_off_goes_on_without_a_seam_and_is_gone_after_its_fade():
    music, ready = bed(chords), spoken(SENTENCES[1])
    whole = ducked_for(ready, music, 100)
    clip = mix_clip(of(music, whole), whole, [Voice(ready.pcm, 106)])
    for cut in (101, 106, 107, 150, 171, whole.up_at - 1, whole.up_at + 5):
        gain = gain_at(whole, cut)
        fade_out = Duck(cut, 0, cut + 7, 30, gain, gain)
        rest = mix_clip(of(music, fade_out), fade_out, [Voice(ready.pcm, 106, fade_at=cut)])
        assert rest[0] == clip[(cut - whole.start) * 160]
        silent = mix_clip(of(music, fade_out), fade_out, [])
        assert rest[7 * 160 :] == silent[7 * 160 :]
        voice = mulaw.decode(rest) - mulaw.decode(silent)
        assert steps(voice[6 * FRAME_SAMPLES :]).max() < 0.05


def test_a_fade_that_an_earlier_clip_began_is_carried_on():
    voice = np.full(100 * FRAME_SAMPLES, 0.25, np.float32)
    silence = np.zeros(300 * FRAME_SAMPLES, np.float32)
    first = Duck(150, 0, 157, 30, 0.2, 0.2)
    second = Duck(153, 0, 157, 30, 0.2, 0.2)
    cut = Voice(voice, 100, fade_at=150)
    earlier, later = (mix_clip(of(silence, duck), duck, [cut]) for duck in (first, second))
    assert later[: 10 * 160] == earlier[3 * 160 :][: 10 * 160]
    levels = mulaw.decode(earlier)
    assert levels[0] == pytest.approx(0.25, abs=0.005)
    assert np.all(np.diff(levels) <= 0)
    assert not levels[7 * FRAME_SAMPLES :].any()


def test_an_old_voice_can_fade_beneath_a_new_one():
    music, old, new = bed(chords), spoken(SENTENCES[1]), spoken(SENTENCES[2])
    both = Duck(start=150, down=6, up_at=157 + new.frames, up=30, depth=0.2, gain_in=0.2)
    clip = mix_clip(of(music, both), both, [Voice(old.pcm, 106, fade_at=150), Voice(new.pcm, 157)])
    alone = mix_clip(of(music, both), both, [Voice(new.pcm, 157)])
    assert clip[: 7 * 160] != alone[: 7 * 160]
    assert clip[7 * 160 :] == alone[7 * 160 :]


def test_a_voice_that_would_be_torn_off_by_the_clips_end_is_refused():
    voice = np.zeros(200 * FRAME_SAMPLES, np.float32)
    with pytest.raises(ValueError, match="sounds until frame 306, but the clip ends at 236"):
        mix_clip(of(bed(chords), DUCK), DUCK, [Voice(voice, 106)])


def test_music_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="the clip has 136 frames, 21760 samples; the music has 21759"):
        mix_clip(of(bed(chords), DUCK)[1:], DUCK, [])


# -- buffers and bytes ----------------------------------------------------------------------------


def test_used_buffers_change_nothing_and_the_music_is_left_as_it_was():
    music, ready = of(bed(beats), DUCK), spoken(SENTENCES[2])
    voices = [Voice(ready.pcm[: 90 * FRAME_SAMPLES], 106)]
    before, fresh = music.copy(), mix_clip(music, DUCK, voices)
    scratch = Scratch()
    mix_clip(stretch(bed(chords), 0, 400), Duck(0, 6, 370, 30, 0.5), [], scratch)
    assert mix_clip(music, DUCK, voices, scratch) == fresh
    assert mix_clip(music, DUCK, voices, scratch) == fresh
    assert np.array_equal(music, before)


def test_the_same_inputs_make_the_same_bytes_on_every_machine():
    ramp = np.arange(136 * FRAME_SAMPLES, dtype=np.int64)
    music = ((ramp * 7919 % 4096 - 2048) / 32768).astype(np.float32)
    voice = ((ramp[: 100 * FRAME_SAMPLES] * 104729 % 49152 - 24576) / 32768).astype(np.float32)
    clip = mix_clip(music, DUCK, [Voice(voice, 106, fade_at=180)])
    assert hashlib.sha256(clip).hexdigest()[:16] == "a979847a5d81e828"


# -- from bed to bed ------------------------------------------------------------------------------


def test_one_bed_gives_way_to_another_at_one_level():
    rng = np.random.default_rng(3)
    old, new = (rng.normal(0, 0.04, 100 * FRAME_SAMPLES).astype(np.float32) for _ in range(2))
    faded = crossfade(old, new)
    assert faded.dtype == np.float32 and len(faded) == len(old)
    assert faded[0] == old[0]
    assert np.allclose(faded[-20:], new[-20:], atol=0.001)
    levels = [rms_dbov(tenth) for tenth in np.split(faded, 10)]
    assert max(levels) - min(levels) < 1


def test_beds_of_different_lengths_cannot_be_faded():
    with pytest.raises(ValueError, match="320 samples cannot give way to 160"):
        crossfade(np.zeros(320, np.float32), np.zeros(160, np.float32))
    with pytest.raises(ValueError, match="the same whole frames"):
        crossfade(np.zeros(100, np.float32), np.zeros(100, np.float32))
