"""The properties of the sound that were promised, each with its bound, on real music and a real voice."""

import hashlib
import io
import wave

import numpy as np
import pytest
import soxr
from pystoi import stoi

from duckline.berth import EDGE_FRAMES
from duckline.sound import mulaw
from duckline.sound.band import band_pass
from duckline.sound.container import recognise
from duckline.sound.decode import blocks
from duckline.sound.loop import fade_samples
from duckline.sound.loudness import active_level_dbov, band_rms_dbov
from duckline.sound.speech import LEVEL_DBOV
from duckline.timeline import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ, SEGMENT_FRAMES
from local import music
from stream.companding import faded
from tests.sound.material import BEDS, SENTENCES, make
from tests.sound.recogniser import words_heard, wrong_words

every_bed = pytest.mark.parametrize("name", BEDS)


def ratios_db(call) -> list[float]:
    """Each speech's active level, as heard, over the level of the music beneath it."""
    return [active_level_dbov(heard.speech).level_dbov - band_rms_dbov(heard.beneath) for heard in call.speeches]


# -- speech over music ----------------------------------------------------------------------------


@every_bed
def test_speech_stands_20_db_over_the_music(call, measured, name):
    ratios = ratios_db(call(name))
    measured("speech over bed, dB: median, worst", f"{name} {np.median(ratios):.1f}, {min(ratios):.1f}")
    assert np.median(ratios) >= 20
    assert min(ratios) >= 18


@every_bed
def test_every_voice_is_at_its_level(call, name):
    for heard in call(name).speeches:
        assert active_level_dbov(heard.speech).level_dbov == pytest.approx(LEVEL_DBOV, abs=1.5)


def test_the_words_are_as_intelligible_as_the_clean_speech(call, measured):
    """STOI against the speech before it was mixed and made µ-law: 0.97 in the mean, 0.95 at the worst.

    The mean is that of all beds: noise alone lies so near to it that a voice that is never the same decides.
    """
    scores = {}
    for name in BEDS:
        scores[name] = [stoi(heard.ready.pcm, heard.mixed, SAMPLE_RATE_HZ) for heard in call(name).speeches]
        measured("STOI: mean, worst", f"{name} {np.mean(scores[name]):.3f}, {min(scores[name]):.3f}")
    assert np.mean(list(scores.values())) >= 0.97
    assert min(map(min, scores.values())) >= 0.95


@every_bed
def test_no_sample_of_the_mixture_reaches_minus_3_dbov(call, name):
    assert 20 * np.log10(np.abs(call(name).pcm).max()) < -3


# -- the music ------------------------------------------------------------------------------------


@every_bed
def test_between_the_speeches_the_music_is_at_its_level(call, measured, name):
    level_dbov = band_rms_dbov(call(name).between())
    measured("music between the speeches, dBov", f"{name} {level_dbov:.1f}")
    assert level_dbov == pytest.approx(-28, abs=2)


@every_bed
def test_outside_the_clips_every_byte_is_the_beds_own(call, name):
    heard = call(name)
    plain = np.frombuffer(heard.bed.frames(0, len(heard.mulaw) // FRAME_BYTES), np.uint8)
    own = np.ones(len(plain), bool)
    for speech in heard.speeches:
        own[speech.duck.start * FRAME_BYTES : speech.duck.end * FRAME_BYTES] = False
    assert own.mean() > 0.3
    assert (np.frombuffer(heard.mulaw, np.uint8) == plain)[own].all()


@every_bed
def test_no_join_of_segments_loops_clips_or_windows_jumps_further_than_the_music_itself(call, measured, name):
    heard = call(name)
    usual = np.percentile(np.abs(np.diff(mulaw.decode(heard.bed.mulaw))), 99.9)
    window_frames = 640
    sent = heard.mulaw[: window_frames * FRAME_BYTES], heard.mulaw[window_frames * FRAME_BYTES :]
    edge = EDGE_FRAMES * FRAME_BYTES
    windows = (
        sent[0][:-edge]
        + faded(sent[0][-edge:], 0, EDGE_FRAMES, rising=False)
        + faded(sent[1][:edge], 0, EDGE_FRAMES, rising=True)
        + sent[1][edge:]
    )
    frames = {window_frames, window_frames - EDGE_FRAMES, window_frames + EDGE_FRAMES, heard.bed.playlist.frames}
    frames.update(range(SEGMENT_FRAMES, len(windows) // FRAME_BYTES, SEGMENT_FRAMES))
    spoken = np.zeros(len(windows) // FRAME_BYTES + 1, bool)
    for speech in heard.speeches:
        duck = speech.duck
        frames.update((duck.start, duck.start + duck.down, duck.up_at, duck.end))
        spoken[duck.start + duck.down + 1 : duck.up_at] = True  # a segment's end there lies within the clip
    jumps = np.abs(np.diff(mulaw.decode(windows)))
    at = np.array([frame for frame in sorted(frames) if not spoken[frame]]) * FRAME_SAMPLES
    assert len(at) > 4 * len(heard.speeches)
    measured("largest jump at a join, of the 99.9th percentile", f"{name} {jumps[at - 1].max() / usual:.2f}")
    assert jumps[at - 1].max() <= usual


@pytest.mark.parametrize("mood", music.MOODS)
def test_the_segments_joined_are_one_continuous_rendering(song, bed, mood):
    """In every quarter second the song is as it would be in one piece, but for the noise of µ-law."""
    made = bed(mood)
    for number, segment in enumerate(made.playlist.segments):
        first = number * SEGMENT_FRAMES * FRAME_BYTES
        piece = made.mulaw[first : first + segment.frames * FRAME_BYTES]
        assert hashlib.sha256(piece).hexdigest() == segment.sha256
    sound = recognise(song(mood), 200)
    decoded = np.concatenate(list(blocks(sound, 200))).mean(axis=1)
    whole = np.convolve(soxr.resample(decoded, sound.rate_hz, SAMPLE_RATE_HZ), band_pass(200, 3400), mode="same")
    heard = mulaw.decode(made.mulaw)[: -fade_samples(len(whole))].astype(float)
    likeness = np.fft.irfft(np.fft.rfft(whole) * np.conj(np.fft.rfft(heard, len(whole))), len(whole))
    played = whole[int(likeness.argmax()) :][: len(heard)]
    windows = [slice(first, first + 2000) for first in range(0, len(heard) - 2000, 2000)]
    gains = np.array([(heard[window] @ played[window]) / (played[window] @ played[window]) for window in windows])
    untouched = gains > 0.99 * gains.max()  # the others were turned down by the limiter
    assert untouched.mean() > 0.6
    for window in np.array(windows)[untouched]:
        noise = heard[window] - played[window] * np.median(gains[untouched])
        assert noise @ noise < 10 ** (-33 / 10) * (heard[window] @ heard[window])


def test_several_songs_become_one_bed_at_one_level(song, bed):
    """Each lends its length but for what fades into the next, and none stands out."""
    medley = make("medley", *(song(mood) for mood in music.MOODS))
    alone_s = sum(bed(mood).playlist.seconds for mood in music.MOODS)
    assert medley.playlist.seconds == pytest.approx(alone_s, abs=4)
    pcm = mulaw.decode(medley.mulaw)
    tens = [band_rms_dbov(pcm[first : first + 80_000]) for first in range(0, len(pcm) - 80_000, 80_000)]
    assert max(tens) - min(tens) < 6
    jumps = np.abs(np.diff(pcm, append=pcm[:1]))
    segments = np.arange(SEGMENT_FRAMES * FRAME_SAMPLES, len(pcm) + 1, SEGMENT_FRAMES * FRAME_SAMPLES)
    assert jumps[segments - 1].max() <= np.percentile(jumps, 99.9)


@pytest.mark.parametrize("frequency_hz", [5000, 6000])
def test_a_tone_above_the_telephone_does_not_fold_into_what_is_heard(tmp_path, measured, frequency_hz):
    """It stands as loud as the music; what is left of it where it would fold to is 60 dB softer than it was."""
    calm = music.compose("calm")[: 30 * music.SAMPLE_RATE_HZ]
    at = np.arange(len(calm)) / music.SAMPLE_RATE_HZ
    peak = np.sqrt(2 * np.mean(np.square(calm)))
    tone = (peak * np.sin(2 * np.pi * frequency_hz * at)).astype(np.float32)
    heard = {}
    for name, sound in (("without", calm), ("with", calm + tone[:, None])):
        # Without loss: an encoder would put sound of its own beside such a tone.
        path = tmp_path / f"{name}.wav"
        path.write_bytes(wav(sound))
        heard[name] = mulaw.decode(make(name, path).mulaw).astype(float)
    raised_db = band_rms_dbov(heard["without"]) - band_rms_dbov(calm.mean(axis=1), rate_hz=music.SAMPLE_RATE_HZ)
    before_db = 20 * np.log10(peak / 2**0.5) + raised_db
    residue = heard["with"] - heard["without"]
    window = np.hanning(len(residue))
    turns = np.exp(-2j * np.pi * (SAMPLE_RATE_HZ - frequency_hz) * np.arange(len(residue)) / SAMPLE_RATE_HZ)
    left_db = 20 * np.log10(abs((residue * window) @ turns) / window.sum() * 2**0.5)
    measured("folding, dB", f"{frequency_hz} Hz {left_db - before_db:.0f}")
    assert left_db < before_db - 60


def wav(sound: np.ndarray) -> bytes:
    """16-bit stereo at 44.1 kHz."""
    body = io.BytesIO()
    with wave.open(body, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(music.SAMPLE_RATE_HZ)
        file.writeframes(np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return body.getvalue()


# -- what a recogniser makes of it ----------------------------------------------------------------


def test_a_recogniser_gets_at_most_two_words_in_a_hundred_more_wrong(call, voices, measured):
    said = " ".join(SENTENCES)
    pause = np.zeros(SAMPLE_RATE_HZ // 2, np.float32)

    def wrong_percent(sentences: list[np.ndarray]) -> float:
        heard = words_heard(np.concatenate([part for sentence in sentences for part in (sentence, pause)]))
        return 100 * wrong_words(said, heard)

    clean = wrong_percent([mulaw.decode(mulaw.encode(ready.pcm)) for ready in voices])
    mixed = {name: wrong_percent([heard.mixed for heard in call(name).speeches]) for name in BEDS}
    for name, percent in {"clean": clean, **mixed}.items():
        measured("words wrong, in a hundred", f"{name} {percent:.1f}")
    assert clean < 10  # the recogniser understands this voice at all
    assert np.mean(list(mixed.values())) <= clean + 2
