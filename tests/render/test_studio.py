"""The sound that render makes: speech made once, clips that continue the music, voices that fade and never break."""

from dataclasses import replace

import numpy as np
import pytest

from duckline import shipped
from duckline.berth import Berth, Manner
from duckline.call import BedSpan, music_gain
from duckline.envelope import Duck
from duckline.errors import Unavailable, Unspeakable
from duckline.records import SpeechRecord
from duckline.sound import mulaw
from duckline.sound.loudness import active_level_dbov, rms_dbov
from duckline.sound.speech import from_bytes, make_ready
from duckline.timeline import FRAME_BYTES, FRAME_SAMPLES
from render.beds import FADE_FRAMES, BedChange
from render.engines.espeak import EspeakEngine
from render.studio import KEPT_BYTES, Studio

SID = "CA" + "0123456789abcdef" * 2
MANNER = Manner()
FADE_OUT_FRAMES = 7


def linear(sound: bytes) -> np.ndarray:
    return mulaw.decode(sound)


def of(frames: np.ndarray) -> np.ndarray:
    """Samples as rows of one frame each."""
    return frames.reshape(-1, FRAME_SAMPLES)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def voices_in(bench, start: int, end: int) -> np.ndarray:
    """What is heard beyond the music, which lies beneath it under its gain."""
    at = start + np.arange((end - start) * FRAME_SAMPLES) / FRAME_SAMPLES
    gain = np.array([music_gain(bench.call, frame) for frame in at])
    return linear(bench.heard(start, end)) - gain * linear(bench.bed("calm", start, end - start))


def ready(bench, text: str) -> np.ndarray:
    return make_ready(*bench.engine.synthesise(text)).pcm


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """1 for the same sound at whatever level, 0 for two that have nothing in common."""
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


# -- speech ---------------------------------------------------------------------------------------


def test_the_same_words_are_synthesised_once_whichever_environment_speaks_them(bench):
    bench.speak("sp_1", "1 s of words")
    bench.speak("sp_2", "1 s of words")
    bench.speaking = bench.rendering()
    bench.speak("sp_3", "1 s of words")
    assert bench.engine.asked == ["1 s of words"]
    assert len([key for key in bench.sounds.objects if key.startswith("voices/")]) == 1


def test_other_words_another_voice_or_ssml_are_something_else(bench):
    bench.speak("sp_1", "1 s of words")
    bench.speak("sp_2", "1 s of other words")
    bench.speak("sp_3", "1 s of words", voice="bass")
    bench.speak("sp_4", "", ssml="1 s of words")
    assert len(bench.engine.asked) == 4


def test_the_engines_own_voice_is_the_same_whether_it_is_named_or_not(bench):
    bench.speak("sp_1", "1 s of words")
    bench.speak("sp_2", "1 s of words", voice="alto")
    assert len(bench.engine.asked) == 1


def test_what_was_made_is_kept_as_it_is_heard(bench):
    bench.speak("sp_1", "1.5 s of words")
    [kept] = [body for key, body in bench.sounds.objects.items() if key.startswith("voices/")]
    assert np.array_equal(from_bytes(kept).pcm, ready(bench, "1.5 s of words"))


def test_silence_cannot_be_spoken(bench):
    bench.sounds.put("audio/x", b"RIFF")
    bench.engine.synthesise = lambda text, **how: (np.zeros(8000, np.float32), 8000)
    with pytest.raises(Unspeakable, match=r"the speech is silent: 1\.00 s"):
        bench.speak("sp_1", "1 s of nothing")


def test_audio_that_is_gone_from_the_bucket_is_unavailable(bench):
    with pytest.raises(Unavailable, match="the audio of speech sp_1 is not in the bucket"):
        bench.speak("sp_1", "", audio_key="audio/gone")


def test_a_long_sound_is_cut_to_what_fits(bench):
    record = SpeechRecord(SID, "sp_1", text="20 s of words")
    voice = bench.studio.voice(record, "20 s of words")
    first = bench.studio.fitting(voice, longest_frames=300)
    rest = replace(voice, first=first.frames, frames=voice.frames - first.frames)
    second = bench.studio.fitting(rest, longest_frames=300)
    assert voice.frames == 1000
    assert (first.key, first.first) == (second.key, 0) and second.first == first.frames
    assert all(150 <= piece.frames <= 300 for piece in (first, second))
    assert bench.studio.fitting(voice, longest_frames=1000) == voice


# -- clips ----------------------------------------------------------------------------------------


def test_a_clip_that_ducks_nothing_is_the_bed_byte_for_byte(bench):
    for start in (68, 391, 4000):  # within the bed, across its end, some loops later
        place = Berth(Duck(start, 6, start + 56, 30, depth=1.0), voice_at=start + 56)
        clip = bench.studio.clip(bench.call, place, None)
        assert bench.sounds.get(f"clips/{SID}/{clip}.ulaw") == bench.bed("calm", start, 86)


def test_a_clip_is_the_ducked_music_and_the_voice(bench):
    bench.speak("sp_1", "3 s of words")
    [part] = bench.call.speech("sp_1").parts
    beyond = voices_in(bench, part.start, part.end)
    voice = ready(bench, "3 s of words")
    first = (part.voice_at - part.start) * FRAME_SAMPLES
    assert likeness(beyond[first : first + len(voice)], voice) > 0.999
    assert rms(beyond[first : first + len(voice)] - voice) < 0.03 * rms(voice)  # µ-law's own noise
    quiet = np.concatenate([beyond[:first], beyond[first + len(voice) :]])
    assert rms(quiet) < 0.03 * rms(linear(bench.bed("calm", part.start, 50)))


def test_a_clip_joins_the_bed_at_both_ends(bench):
    bench.speak("sp_1", "3 s of words")
    [part] = bench.call.speech("sp_1").parts
    clip, bed = bench.clip(part), bench.bed("calm", part.start, part.end - part.start)
    assert clip[:60] == bed[:60]  # the ramps leave and reach 1 so gently
    assert clip[-200:] == bed[-200:]


def test_outside_its_clip_the_call_is_the_bed_byte_for_byte(bench):
    bench.speak("sp_1", "3 s of words")
    [part] = bench.call.speech("sp_1").parts
    heard, bed = bench.heard(0, 500), bench.bed("calm", 0, 500)
    assert heard[: part.start * FRAME_BYTES] == bed[: part.start * FRAME_BYTES]
    assert heard[part.end * FRAME_BYTES :] == bed[part.end * FRAME_BYTES :]
    assert heard != bed


def test_speech_of_a_real_voice_stands_20_db_over_the_music(bench):
    bench.engine = EspeakEngine()
    bench.speaking = bench.rendering()
    bench.speak("sp_1", "Your order has left the warehouse and will be with you tomorrow.")
    [part] = bench.call.speech("sp_1").parts
    beyond = voices_in(bench, part.voice_at, part.voice_end)
    frames = part.voice_end - part.voice_at
    beneath = part.duck.depth * linear(bench.bed("calm", part.voice_at, frames))
    assert active_level_dbov(beyond).level_dbov - rms_dbov(beneath.astype(np.float32)) > 18
    assert len(bench.call.speech("sp_1").parts) == 1


def test_the_same_clip_is_stored_once(bench):
    voice = bench.studio.voice(SpeechRecord(SID, "sp_1", text="1 s"), "1 s")
    place = Berth(Duck(100, 6, 156, 30, depth=0.2), voice_at=106)
    first = bench.studio.clip(bench.call, place, voice)
    before = dict(bench.sounds.objects)
    assert bench.studio.clip(bench.call, place, voice) == first
    assert bench.rendering().studio.clip(bench.call, place, voice) == first
    assert bench.sounds.objects == before


def test_a_clip_over_a_bed_that_is_gone_is_unavailable(bench):
    del bench.sounds.objects[bench.playlists["calm"].segments[0].key]
    with pytest.raises(Unavailable, match=r"beds/.*/00000.ulaw is not in the bucket"):
        bench.speak("sp_1", "1 s of words")


def test_a_clip_over_the_shipped_bed_needs_no_bucket(bench):
    call = replace(bench.call, beds=(shipped.SPAN,))
    place = Berth(Duck(68, 6, 124, 30, depth=1.0), voice_at=124)
    clip = bench.studio.clip(call, place, None)
    assert bench.sounds.get(f"clips/{SID}/{clip}.ulaw") == shipped.frames(68, 86)


def test_what_is_kept_from_call_to_call_is_bounded(bench):
    studio = Studio(bench.sounds, bench.engine, bench.studio.ducking)
    for number in range(5):
        bench.sounds.put(f"x/{number}", bytes(KEPT_BYTES // 4))
        studio._object(f"x/{number}")
    assert sum(map(len, studio.kept.values())) <= KEPT_BYTES
    assert "x/0" not in studio.kept and "x/4" in studio.kept


# -- a voice that is cut off ----------------------------------------------------------------------


def interrupted(bench):
    """A long speech plays and another takes its place; answers with the frame where it did."""
    bench.speak("sp_1", "6 s one")
    bench.seal(200)
    bench.speak("sp_2", "2 s two", when="now")
    return bench.call.speech("sp_1").silenced_at


def fading(at: int, frames: int = FADE_OUT_FRAMES) -> np.ndarray:
    """The raised cosine from 1 to 0, from frame `at` of a fade on."""
    passed = (np.arange(frames * FRAME_SAMPLES) + at * FRAME_SAMPLES) / (FADE_OUT_FRAMES * FRAME_SAMPLES)
    return 0.5 + 0.5 * np.cos(np.pi * np.minimum(passed, 1))


def test_the_clip_that_interrupts_holds_the_old_voice_as_it_fades_out(bench):
    at = interrupted(bench)
    old = bench.call.speech("sp_1").parts[0]
    assert bench.call.speech("sp_2").parts[0].start == at
    voice = ready(bench, "6 s one")[(at - old.voice_at) * FRAME_SAMPLES :][: FADE_OUT_FRAMES * FRAME_SAMPLES]
    heard = voices_in(bench, at, at + FADE_OUT_FRAMES)
    assert likeness(heard, voice * fading(0)) > 0.995
    assert rms(heard - voice * fading(0)) < 0.1 * rms(voice * fading(0))


def test_after_the_fade_only_the_new_voice_is_heard(bench):
    at = interrupted(bench)
    voice = ready(bench, "2 s two")
    begins = bench.call.speech("sp_2").parts[0].voice_at
    assert begins == at + FADE_OUT_FRAMES
    heard = voices_in(bench, begins, begins + len(voice) // FRAME_SAMPLES)
    assert likeness(heard, voice) > 0.999


def test_a_voice_that_is_cancelled_fades_out_and_the_music_comes_back(bench):
    bench.speak("sp_1", "6 s one")
    bench.seal(200)
    bench.silencing.cancel(SID, "sp_1")
    at, old = bench.call.speech("sp_1").silenced_at, bench.call.speech("sp_1").parts[0]
    voice = ready(bench, "6 s one")[(at - old.voice_at) * FRAME_SAMPLES :][: FADE_OUT_FRAMES * FRAME_SAMPLES]
    assert likeness(voices_in(bench, at, at + FADE_OUT_FRAMES), voice * fading(0)) > 0.995
    gone = at + FADE_OUT_FRAMES
    assert rms(voices_in(bench, gone, gone + 60)) < 0.01 * rms(voice)
    back = gone + MANNER.up_frames
    assert bench.heard(back, back + 100) == bench.bed("calm", back, 100)


def level_kept(bench, at: int) -> float:
    """How much of the voice's level of the 10 ms before frame `at` is there in the 10 ms after it."""
    before, after = voices_in(bench, at - 1, at)[-80:], voices_in(bench, at, at + 1)[:80]
    return rms(after) / rms(before)


def test_no_voice_stops_short_where_it_is_interrupted(bench):
    assert level_kept(bench, interrupted(bench)) > 0.5


def test_no_voice_stops_short_where_the_new_one_is_interrupted(bench):
    at = interrupted(bench)
    bench.seal(at + FADE_OUT_FRAMES + 10)
    bench.speak("sp_3", "2 s three", when="now")
    assert level_kept(bench, bench.call.speech("sp_2").silenced_at) > 0.5


def test_no_voice_stops_short_where_the_interruption_is_itself_interrupted_at_once(bench):
    at = interrupted(bench)
    bench.speak("sp_3", "2 s three", when="now")
    assert bench.call.speech("sp_2").parts == ()
    assert level_kept(bench, at) > 0.5


def test_no_voice_stops_short_where_it_is_interrupted_in_its_fade(bench):
    at = interrupted(bench)
    bench.seal(at - 2)  # the second interruption comes three frames into the fade
    bench.speak("sp_3", "2 s three", when="now")
    assert bench.call.speech("sp_3").parts[0].start == at + 3
    assert level_kept(bench, at + 3) > 0.5


@pytest.mark.parametrize("cancel", ["one", "all"])
def test_an_interruption_that_is_cancelled_at_once_leaves_the_first_voice_interrupted(bench, cancel):
    at = interrupted(bench)
    if cancel == "one":
        bench.silencing.cancel(SID, "sp_2")
    else:
        bench.silencing.cancel_all(SID)
    assert level_kept(bench, at) > 0.5
    gone = at + FADE_OUT_FRAMES
    assert rms(voices_in(bench, gone, gone + 60)) < 0.01
    back = gone + MANNER.up_frames
    assert bench.heard(back, back + 100) == bench.bed("calm", back, 100)


# -- the change of bed ----------------------------------------------------------------------------


@pytest.fixture
def changed(bench):
    """The bench, its call's bed changed; and the span of the new one."""
    _, span = BedChange(bench.calls, bench.beds, bench.studio.fade).change(SID, "warm")
    return bench, span


def test_the_fade_begins_as_the_old_bed_and_ends_as_the_new(changed):
    bench, span = changed
    fade = bench.sounds.get(f"clips/{SID}/{span.fade}.ulaw")
    old, new = bench.bed("calm", span.start, FADE_FRAMES), bench.bed("warm", 0, FADE_FRAMES)
    assert len(fade) == FADE_FRAMES * FRAME_BYTES
    assert fade[:60] == old[:60]
    assert fade[-60:] == new[-60:]
    near = slice(0, 10 * FRAME_BYTES), slice(-10 * FRAME_BYTES, None)
    assert likeness(linear(fade[near[0]]), linear(old[near[0]])) > 0.97
    assert likeness(linear(fade[near[1]]), linear(new[near[1]])) > 0.97


def test_from_bed_to_bed_no_sample_jumps_and_the_level_stays(changed):
    bench, span = changed
    heard = linear(bench.heard(span.start - 100, span.start + FADE_FRAMES + 100))
    beds = [linear(bench.bed(name, 0, 300)) for name in ("calm", "warm")]
    own = max(np.abs(np.diff(bed)).max() for bed in beds)
    assert np.abs(np.diff(heard)).max() <= 1.1 * own
    levels = [rms_dbov(half_second) for half_second in heard.reshape(-1, 25 * FRAME_SAMPLES)]
    softest, loudest = (
        bound(rms_dbov(piece) for bed in beds for piece in bed.reshape(-1, 25 * FRAME_SAMPLES)) for bound in (min, max)
    )
    assert all(softest - 2 <= level <= loudest + 2 for level in levels)


def test_a_speech_over_the_fade_lies_on_the_very_same_music(changed):
    bench, span = changed
    fade = bench.sounds.get(f"clips/{SID}/{span.fade}.ulaw")
    start = span.start + 20
    place = Berth(Duck(start, 6, start + 26, 30, depth=1.0), voice_at=start + 26)
    clip = bench.studio.clip(bench.call, place, None)
    body = bench.sounds.get(f"clips/{SID}/{clip}.ulaw")
    assert np.abs(linear(body) - linear(fade[20 * FRAME_BYTES : 76 * FRAME_BYTES])).max() < 1e-6


def test_a_speech_after_the_change_lies_on_the_new_bed(changed):
    bench, span = changed
    bench.seal(span.start + FADE_FRAMES + 10)
    bench.speak("sp_1", "1 s of words")
    [part] = bench.call.speech("sp_1").parts
    bed = bench.bed("warm", part.start - span.origin, part.end - part.start)
    assert bench.clip(part)[:60] == bed[:60]
    assert bench.clip(part)[-200:] == bed[-200:]


def test_the_music_is_the_same_however_it_is_asked_for(changed):
    bench, span = changed
    whole = bench.studio.music(bench.call, span.start - 50, 300)
    pieces = [bench.studio.music(bench.call, span.start - 50 + at, 20) for at in range(0, 300, 20)]
    assert np.array_equal(whole, np.concatenate(pieces))


def test_how_deep_the_music_goes_is_a_matter_of_the_music_beneath(bench):
    voice = bench.studio.voice(SpeechRecord(SID, "sp_1", text="2 s"), "2 s")
    depth_at = bench.studio.depth(bench.call, voice)
    levels = {frame: rms_dbov(linear(bench.bed("calm", frame, voice.frames))) for frame in range(100, 500, 25)}
    loudest, softest = max(levels, key=levels.get), min(levels, key=levels.get)
    assert depth_at(loudest) <= depth_at(softest)
    for frame, level_dbov in levels.items():
        assert voice.level_dbov - (level_dbov + 20 * np.log10(depth_at(frame))) >= 19.9


def test_a_span_without_speech_is_the_bed_itself(bench):
    call = replace(bench.call, beds=(BedSpan(0, bench.playlists["warm"].version, "warm", origin=0),))
    assert mulaw.encode(bench.studio.music(call, 290, 30)) == bench.bed("warm", 290, 30)
