"""The project's own hold music, by its properties: what a caller would hear, and what a musician would check."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import pairwise

import imageio_ffmpeg
import numpy as np
import pytest

from duckline.sound import mulaw
from duckline.sound.bedmaking import make_bed
from local.music import MOODS, SAMPLE_RATE_HZ, compose, with_encore, write_encoded
from local.music.__main__ import main
from local.music.encoding import encode
from local.music.harmony import HIGHEST, LOWEST, chord, frequency_hz, lead_voices, pitch
from local.music.instruments import BASS, BRUSH, ELECTRIC_PIANO, KALIMBA, MARIMBA, NYLON, PAD, VIBRAPHONE
from local.music.moods import SCORES
from local.music.players import comp, hold, walk
from local.music.room import Track, mix
from local.music.sheet import PHONE_RATE_HZ, draw, level_db, through_telephone

pytestmark = pytest.mark.xdist_group("music")  # one worker composes, for all of them

every_mood = pytest.mark.parametrize("mood", MOODS)


@cache
def composed(mood):
    return compose(mood)


@cache
def telephoned(mood):
    return through_telephone(composed(mood))


@pytest.fixture
def bed(mood):
    return composed(mood)


@pytest.fixture
def phone(mood):
    return telephoned(mood)


def power_db(numerator, denominator):
    return 10.0 * np.log10(np.mean(np.square(numerator)) / np.mean(np.square(denominator)))


def spectrum(signal):
    """Power and frequencies of 44.1 kHz samples."""
    return np.square(np.abs(np.fft.rfft(signal))), np.fft.rfftfreq(len(signal), 1.0 / SAMPLE_RATE_HZ)


def tones_heard(phone, start_s, end_s):
    """How the power between 250 and 1400 Hz is shared among the twelve pitch classes."""
    heard = phone[round((start_s + 0.05) * PHONE_RATE_HZ) : round((end_s - 0.03) * PHONE_RATE_HZ)]
    power = np.square(np.abs(np.fft.rfft(heard * np.hanning(heard.size), 1 << 16)))
    hz = np.fft.rfftfreq(1 << 16, 1.0 / PHONE_RATE_HZ)
    mid = (hz > 250) & (hz < 1400)
    classes = np.round(69 + 12 * np.log2(hz[mid] / 440)).astype(int) % 12
    shares = np.bincount(classes, power[mid], minlength=12)
    return shares / shares.sum()


# -- what a caller hears -----------------------------------------------------------------------------------------------


@every_mood
def test_a_mood_lasts_over_a_minute_and_a_whole_number_of_seconds(bed):
    assert bed.dtype == np.float32
    assert bed.shape[1] == 2
    assert 64 <= bed.shape[0] / SAMPLE_RATE_HZ <= 96
    assert bed.shape[0] % SAMPLE_RATE_HZ == 0


@every_mood
def test_the_level_is_steady_enough_to_hold_a_call(phone):
    level = level_db(phone, window_ms=400)
    assert level.min() > -4.2
    assert level.max() < 4.2


@every_mood
def test_no_tenth_of_a_second_could_be_taken_for_silence(phone):
    assert level_db(phone, window_ms=100, hop_ms=10).min() > -15.0


@every_mood
def test_the_telephone_carries_nearly_all_of_it_overtones_included(bed):
    power, hz = spectrum(bed.mean(axis=1))
    assert power[(hz >= 300) & (hz <= 3400)].sum() / power.sum() > 0.85
    assert 0.05 < power[(hz > 1200) & (hz <= 3400)].sum() / power.sum() < 0.3  # bright, but no hiss


@every_mood
def test_mono_loses_next_to_nothing_in_any_third_of_an_octave(bed):
    excerpt = bed[: 30 * SAMPLE_RATE_HZ]
    left, right, mono = (spectrum(signal)[0] for signal in (*excerpt.T, excerpt.mean(axis=1)))
    hz = np.fft.rfftfreq(len(excerpt), 1.0 / SAMPLE_RATE_HZ)
    for centre in np.geomspace(330, 3100, 11):
        third = (hz > centre * 2 ** (-1 / 6)) & (hz < centre * 2 ** (1 / 6))
        assert mono[third].sum() > 0.6 * (left[third].sum() + right[third].sum()) / 2


@every_mood
def test_stereo_is_wide_and_balanced(bed):
    left, right = bed.T
    assert np.corrcoef(left, right)[0, 1] < 0.95
    assert abs(power_db(left, right)) < 1.5


@every_mood
def test_peaks_leave_room_and_there_is_no_dc(bed):
    assert np.abs(bed).max() < 10 ** (-1 / 20)
    assert np.abs(bed.mean(axis=0, dtype=float)).max() < 1e-5


@every_mood
def test_the_end_joins_the_beginning_like_any_two_samples(bed):
    mono = bed.mean(axis=1)
    steps = np.abs(np.diff(mono))
    assert abs(mono[0] - mono[-1]) < np.percentile(steps, 99.9)
    turns = np.abs(np.diff(np.concatenate([mono[-3:], mono[:3]]), 2))  # no kink either
    assert turns.max() < np.percentile(np.abs(np.diff(mono, 2)), 99.9)


@every_mood
def test_nothing_clicks(bed):
    """A click is a bend of the waveform far beyond what the music's own sharpest thousandth does."""
    bends = np.abs(np.diff(bed.mean(axis=1), 2))
    assert bends.max() < 5 * np.percentile(bends, 99.9)


@every_mood
def test_what_is_heard_are_the_chords_of_the_score(phone, mood):
    score = SCORES[mood]
    beat_s = 60.0 / score.beats_per_minute
    changes = score.changes()
    heard = [tones_heard(phone, c.start * beat_s, (c.start + c.beats) * beat_s) for c in changes]

    def fit(offset):
        """The share of chord tones, were the chords `offset` changes later."""
        chords = [changes[(i + offset) % len(changes)].chord for i in range(len(changes))]
        return np.mean([h[list({*c.tones, c.bass})].sum() for h, c in zip(heard, chords, strict=True)])

    assert fit(0) > 0.88
    assert fit(0) > max(fit(offset) for offset in range(1, 8)) + 0.1


@every_mood
def test_the_sound_moves_all_the_time(phone):
    """The spectrum of no second is that of the second before."""
    seconds = phone.reshape(-1, PHONE_RATE_HZ) * np.hanning(PHONE_RATE_HZ)
    shapes = np.abs(np.fft.rfft(seconds))
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    assert max(np.sum(before * after) for before, after in pairwise(shapes)) < 0.97


def test_the_three_moods_have_harmonies_of_their_own():
    harmonies = {mood: {change.chord.symbol for change in SCORES[mood].changes()} for mood in MOODS}
    for mood, symbols in harmonies.items():
        assert len(symbols) >= 8
        for other in set(MOODS) - {mood}:
            assert len(symbols & harmonies[other]) < len(symbols) / 2


def test_an_unknown_mood_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="no mood 'jolly'; there are calm, warm, bright"):
        compose("jolly")


# -- the score ---------------------------------------------------------------------------------------------------------


def test_a_chord_symbol_tells_tones_and_bass():
    assert chord("Fmaj9").tones == (5, 9, 0, 4, 7)
    assert chord("Fmaj9").bass == 5
    assert chord("Dadd9/F#").tones == (2, 4, 6, 9)
    assert chord("Dadd9/F#").bass == 6
    assert chord("D6/9").tones == (2, 6, 9, 11, 4)
    assert set(chord("Bbm6").tones) == {10, 1, 5, 7}


@pytest.mark.parametrize("symbol", ["H7", "Cjazz", "", "Fmaj9/X"])
def test_an_unknown_chord_is_refused(symbol):
    with pytest.raises(ValueError, match=f"no chord '{symbol}'"):
        chord(symbol)


def test_a_pitch_name_is_a_frequency():
    assert pitch("A4") == 69
    assert pitch("Bb4") == pitch("A#4") == 70
    assert frequency_hz(pitch("C5")) == pytest.approx(523.25, abs=0.01)
    with pytest.raises(ValueError, match="no pitch 'h5'"):
        pitch("h5")


@every_mood
def test_the_voices_stay_in_their_register_and_step_rather_than_leap(mood):
    voicings = lead_voices([change.chord for change in SCORES[mood].changes()])
    motions = [
        abs(b - a) for before, after in pairwise([*voicings, voicings[0]]) for a, b in zip(before, after, strict=True)
    ]
    assert all(LOWEST <= p <= HIGHEST for voicing in voicings for p in voicing)
    assert np.mean(motions) < 1.5
    assert max(motions) <= 7


@every_mood
def test_the_last_chord_wants_the_first(mood):
    """A turnaround: the piece ends on the dominant of what it begins with."""
    changes = SCORES[mood].changes()
    assert (changes[0].chord.tones[0] - changes[-1].chord.tones[0]) % 12 == 5


@every_mood
def test_the_tune_is_singable_and_leaves_rests(mood):
    score = SCORES[mood]
    tune = [note for note, _ in score.melody()]
    beats = score.seconds * score.beats_per_minute / 60
    assert all(pitch("A4") <= note.pitch <= pitch("D6") for note in tune)
    assert 0.5 < sum(note.beats for note in tune) / beats < 0.9
    assert max(abs(b.pitch - a.pitch) for a, b in pairwise(tune)) <= 12


def test_a_bar_that_does_not_add_up_is_named():
    score = SCORES["calm"]
    section = replace(score.sections[0], chords="Fmaj9", melody="A5:2")
    with pytest.raises(ValueError, match="calm: the bar 'A5:2' has 2 beats; 3 would be right"):
        replace(score, sections=(section,)).melody()


def test_a_piece_of_broken_seconds_is_refused():
    with pytest.raises(ValueError, match="40 bars at 121 a minute do not fill whole seconds"):
        _ = replace(SCORES["warm"], beats_per_minute=121).seconds


@every_mood
def test_every_chord_is_entered_on_its_own_bass(mood):
    score = SCORES[mood]
    bass_part = next(part for part in score.parts if part.play is walk)
    notes = walk(score, bass_part, np.random.default_rng(1))
    for change in score.changes():
        entries = [note for note in notes if change.start <= note.start < change.start + change.beats]
        assert not entries or entries[0].pitch % 12 == change.chord.bass


@every_mood
def test_a_voice_is_damped_before_it_is_struck_again(mood):
    score = SCORES[mood]
    for part in score.parts:
        if part.play is comp:
            notes = sorted(comp(score, part, np.random.default_rng(1)), key=lambda note: (note.pitch, note.start))
            for before, after in pairwise(notes):
                assert before.beats > 0
                assert before.pitch != after.pitch or before.start + before.beats <= after.start


def test_the_pad_ties_common_tones_over():
    score = SCORES["calm"]
    notes = hold(score, score.parts[0], np.random.default_rng(1))
    struck = sum(len(change.voicing) for change in score.changes())
    assert len(notes) < struck
    assert sum(note.beats for note in notes) == sum(4 * change.beats for change in score.changes())


# -- instruments and room ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("instrument", [BASS, ELECTRIC_PIANO, KALIMBA, MARIMBA, NYLON, PAD, VIBRAPHONE])
def test_an_instrument_is_in_tune_and_begins_and_ends_in_silence(instrument):
    note = instrument.sound(69, 0.8, 2.0, np.random.default_rng(5))
    power, hz = spectrum(np.pad(note * np.hanning(note.size), (0, 1 << 19)))
    near = (hz > 425) & (hz < 455)
    assert 1200 * abs(np.log2(hz[near][power[near].argmax()] / 440.0)) < 6  # cents
    assert max(abs(note[0]), abs(note[-1])) < 1e-3 * np.abs(note).max()


@pytest.mark.parametrize("instrument", [ELECTRIC_PIANO, KALIMBA, MARIMBA, NYLON, VIBRAPHONE])
def test_a_soft_touch_is_softer_and_darker(instrument):
    rng = np.random.default_rng(5)
    soft, hard = (instrument.sound(69, velocity, 0.5, rng) for velocity in (0.3, 0.9))

    def brightness(note):
        power, hz = spectrum(note)
        return power[hz > 660].sum() / power.sum()

    assert power_db(soft, hard) < -8
    assert brightness(soft) < 0.7 * brightness(hard)


def test_a_brush_breathes_where_a_telephone_hears_it():
    power, hz = spectrum(BRUSH.sound(0, 1.0, 0.0, np.random.default_rng(5)))
    assert power[(hz > 1000) & (hz < 3400)].sum() / power.sum() > 0.3


def test_reverberation_past_the_end_is_heard_at_the_beginning():
    knock = np.zeros(8 * SAMPLE_RATE_HZ, dtype=np.float32)
    knock[-SAMPLE_RATE_HZ // 4 :] = NYLON.sound(72, 1.0, 0.05, np.random.default_rng(5))[: SAMPLE_RATE_HZ // 4]
    room = mix([Track(knock, 0.0, 0.0, reverb_db=0.0)], np.random.default_rng(5))
    first, middle = room[: SAMPLE_RATE_HZ // 2], room[3 * SAMPLE_RATE_HZ : 4 * SAMPLE_RATE_HZ]
    assert power_db(first, middle) > 30


def test_turning_the_loop_turns_the_mix_with_it():
    """The room has no first sample: a piece that starts elsewhere sounds the same, from there."""
    hop = 441 * 500
    note = np.zeros(8 * SAMPLE_RATE_HZ, dtype=np.float32)
    note[: 2 * SAMPLE_RATE_HZ] = NYLON.sound(72, 1.0, 2.0, np.random.default_rng(5))[: 2 * SAMPLE_RATE_HZ]
    straight = mix([Track(note, 0.0, 0.3, reverb_db=-6.0)], np.random.default_rng(5))
    turned = mix([Track(np.roll(note, -hop), 0.0, 0.3, reverb_db=-6.0)], np.random.default_rng(5))
    assert power_db(np.roll(straight, -hop, axis=0) - turned, straight) < -60


def test_panning_is_left_for_minus_and_right_for_plus():
    note = NYLON.sound(72, 1.0, 2.0, np.random.default_rng(5))
    track = np.zeros(4 * SAMPLE_RATE_HZ, dtype=np.float32)
    track[: note.size] = note
    left, right = mix([Track(track, 0.0, -0.5, reverb_db=-60.0)], np.random.default_rng(5)).T
    assert power_db(left, right) == pytest.approx(20 * np.log10(3), abs=0.5)


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp3", ".ogg"])
def test_a_file_decodes_to_the_whole_sound_and_is_the_same_every_time(tmp_path, suffix):
    sound = composed("bright")[: 10 * SAMPLE_RATE_HZ + 17]
    first, second = (tmp_path / f"{name}{suffix}" for name in ("first", "second"))
    for path in (first, second):
        encode(sound, path)
    assert first.read_bytes() == second.read_bytes()
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(first), "-f", "f32le", "pipe:1"]
    decoded = subprocess.run(command, capture_output=True, check=True).stdout
    heard = np.frombuffer(decoded, dtype="<f4").reshape(-1, 2)
    assert heard.shape == sound.shape
    assert power_db(heard - sound, sound) < -20


def test_the_command_run_elsewhere_writes_the_same_file(tmp_path):
    here, there = tmp_path / "here.mp3", tmp_path / "there.mp3"
    encode(with_encore(composed("bright")), here)
    command = [sys.executable, "-m", "local.music", "bright", str(there)]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run(command, capture_output=True, check=True, text=True, env=os.environ | paths).stdout
    assert "there.mp3: bright, 80 s" in printed
    assert there.read_bytes() == here.read_bytes()


def test_the_bed_made_of_a_file_is_the_loop_as_composed(tmp_path):
    """Not a beat is lost where its end fades into its beginning: through the telephone it is the piece, turned."""
    written = tmp_path / "bright.mp3"
    encode(with_encore(composed("bright")), written)
    stored = {}
    playlist = make_bed([written], stored.__setitem__)
    bed = mulaw.decode(b"".join(stored[segment.key] for segment in playlist.segments)).astype(float)
    piece = telephoned("bright")
    assert bed.size == piece.size
    likeness = np.fft.irfft(np.fft.rfft(bed) * np.conj(np.fft.rfft(piece)), bed.size)
    turned = np.roll(piece, likeness.argmax())
    seam = np.r_[-4 * PHONE_RATE_HZ : 4 * PHONE_RATE_HZ]
    for stretch in (slice(None), seam):
        assert np.corrcoef(bed[stretch], turned[stretch])[0, 1] > 0.97


def test_a_name_without_an_encoder_is_refused_before_composing(tmp_path):
    with pytest.raises(ValueError, match=r"cannot encode 'calm.flac': its name must end in .mp3 or .ogg"):
        write_encoded("calm", tmp_path / "calm.flac")


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match=r"ffmpeg could not write .*No such file or directory"):
        encode(composed("bright")[:SAMPLE_RATE_HZ], tmp_path / "missing" / "calm.mp3")
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_in_one_line_what_is_wrong(tmp_path, capsys):
    assert main(["jolly", str(tmp_path / "jolly.mp3")]) == 1
    assert capsys.readouterr().err == "no mood 'jolly'; there are calm, warm, bright\n"


def test_the_sheet_is_a_small_picture(tmp_path):
    draw(tmp_path / "beds.png", {"bright": composed("bright")})
    picture = (tmp_path / "beds.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert 30_000 < len(picture) < 300_000
