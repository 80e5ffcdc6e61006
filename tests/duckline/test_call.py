from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from duckline.call import (
    BedSpan,
    Call,
    Clip,
    Part,
    Speech,
    Stretch,
    bed_at,
    is_past,
    playhead,
    standing_beds,
    stretches,
    surely_heard,
)
from duckline.envelope import Duck

CALM = BedSpan(0, "calm1", "calm")
OPENED_AT_MS = 1_800_000_000_000


def part(clip: str, start: int, voice_frames: int, up: int = 30) -> Part:
    """A clip from `start` on whose voice begins six frames later."""
    return Part(clip, Duck(start, 6, start + 6 + voice_frames, up, 0.2), start + 6)


def speech(order: int, *parts: Part, more: bool = False) -> Speech:
    return Speech(f"sp_{order}", order, parts, more=more)


def call(*speeches: Speech, beds: tuple[BedSpan, ...] = (CALM,), **fields) -> Call:
    return Call("CA1", beds, window_until=42_000, speeches=speeches, **fields)


def clip_of(part: Part) -> Clip:
    return Clip(part.clip, part.start, part.end, part.duck.end - part.start)


# -- what is heard --------------------------------------------------------------------------------


def test_where_nobody_speaks_the_bed_is_heard():
    assert list(stretches(call(), 100, 113)) == [Stretch(100, 113, None, CALM)]


def test_a_clip_takes_the_place_of_the_bed_over_its_own_frames():
    said = part("a", 100, 50)
    assert list(stretches(call(speech(1, said)), 0, 1000)) == [
        Stretch(0, 100, None, CALM),
        Stretch(100, 186, clip_of(said), CALM),
        Stretch(186, 1000, None, CALM),
    ]


def test_a_later_clip_wins_from_its_start():
    first, second = part("a", 100, 50), part("b", 160, 20)
    heard = list(stretches(call(speech(1, first), speech(2, second)), 100, 300))
    assert [(s.start, s.end, s.clip and s.clip.clip) for s in heard] == [
        (100, 160, "a"),
        (160, 186, "b"),  # where the first would have ended
        (186, 216, "b"),
        (216, 300, None),
    ]


def test_an_earlier_clip_never_resumes():
    long, short = part("long", 100, 500), part("short", 200, 10, up=10)
    heard = list(stretches(call(speech(1, long), speech(2, short)), 100, 700))
    assert [s.clip.clip for s in heard if s.clip is not None][-1] == "short"
    assert all(s.clip is None for s in heard if s.start >= short.end)


def test_of_two_clips_with_the_same_start_the_later_speech_wins():
    heard = list(stretches(call(speech(1, part("a", 100, 50)), speech(2, part("b", 100, 50))), 90, 300))
    assert {s.clip.clip for s in heard if s.clip is not None} == {"b"}


def test_the_next_bed_fades_in_and_then_plays():
    warm = BedSpan(300, "warm1", "warm", origin=300, fade="f", fade_frames=100)
    assert list(stretches(call(beds=(CALM, warm)), 250, 450)) == [
        Stretch(250, 300, None, CALM),
        Stretch(300, 400, Clip("f", 300, 400, 100), warm),
        Stretch(400, 450, None, warm),
    ]


def test_speech_is_heard_over_a_fade_from_bed_to_bed_which_then_goes_on():
    warm = BedSpan(300, "warm1", "warm", origin=300, fade="f", fade_frames=100)
    said = part("a", 320, 10, up=10)  # to frame 346
    heard = list(stretches(call(speech(1, said), beds=(CALM, warm)), 300, 400))
    assert [(s.start, s.end, s.clip.clip) for s in heard] == [(300, 320, "f"), (320, 346, "a"), (346, 400, "f")]


def test_no_frames_are_no_stretch():
    assert list(stretches(call(speech(1, part("a", 100, 50))), 120, 120)) == []


@st.composite
def busy_calls(draw: st.DrawFn) -> Call:
    """Calls with clips that overlap anyhow, and with beds that follow one another."""
    starts = draw(st.lists(st.integers(0, 200), max_size=6))
    speeches = [
        speech(order, part(f"c{order}", start, draw(st.integers(0, 60)), up=draw(st.integers(3, 40))))
        for order, start in enumerate(starts)
    ]
    beds, start = [CALM], 0
    for number in range(draw(st.integers(0, 3))):
        start += draw(st.integers(1, 90))
        fade_frames = draw(st.integers(1, 60))
        beds.append(BedSpan(start, f"b{number}", "warm", origin=start, fade=f"f{number}", fade_frames=fade_frames))
    return call(*speeches, beds=tuple(beds))


def heard_at(busy: Call, frame: int) -> tuple[str | None, BedSpan]:
    """What is heard in one frame, by the rules as they are said."""
    parts = [p for s in busy.speeches for p in s.parts if p.start <= frame]
    begun = max(enumerate(parts), key=lambda entry: (entry[1].start, entry[0]), default=(0, None))[1]
    bed = [span for span in busy.beds if span.start <= frame][-1]
    if begun is not None and frame < begun.end:
        return begun.clip, bed
    return (bed.fade if bed.fade and frame < bed.start + bed.fade_frames else None), bed


@given(busy_calls(), st.integers(0, 250), st.integers(0, 150))
def test_every_frame_has_the_one_source_that_the_rules_name(busy: Call, start: int, length: int):
    heard = [
        (frame, stretch.clip and stretch.clip.clip, stretch.bed)
        for stretch in stretches(busy, start, start + length)
        for frame in range(stretch.start, stretch.end)
    ]
    assert heard == [(frame, *heard_at(busy, frame)) for frame in range(start, start + length)]


@given(busy_calls(), st.integers(0, 250), st.integers(0, 150), st.integers(0, 150))
def test_two_steps_are_heard_as_one(busy: Call, start: int, first: int, second: int):
    def frames(start: int, end: int) -> list[tuple]:
        return [(f, s.clip, s.bed) for s in stretches(busy, start, end) for f in range(s.start, s.end)]

    middle, end = start + first, start + first + second
    assert frames(start, middle) + frames(middle, end) == frames(start, end)


@given(busy_calls(), st.integers(0, 250), st.integers(1, 150))
def test_no_stretch_is_empty_or_leaves_its_clip(busy: Call, start: int, length: int):
    for stretch in stretches(busy, start, start + length):
        assert stretch.start < stretch.end
        if stretch.clip is not None:
            assert stretch.clip.start <= stretch.start and stretch.end <= stretch.clip.end


# -- the speeches of a call -----------------------------------------------------------------------


def test_a_speech_is_found_by_its_id():
    first, second = speech(1), speech(2)
    assert call(first, second).speech("sp_2") == second
    assert call(first, second).speech("sp_3") is None


def test_a_changed_speech_keeps_its_place_in_the_order():
    changed = replace(speech(1), reason="changed")
    assert call(speech(1), speech(2)).with_speech(changed).speeches == (changed, speech(2))
    assert call(speech(1)).with_speech(speech(2)).speeches == (speech(1), speech(2))


def test_a_speech_is_pending_until_its_voice_is_sealed():
    said = speech(1, part("a", 100, 50))  # to frame 156
    assert call(said, sealed=155).pending == (said,)
    assert call(said, sealed=156).pending == ()


def test_a_speech_that_is_owed_is_pending_and_one_that_will_not_be_heard_is_not():
    owed, gone = speech(1, more=True), replace(speech(2, part("a", 100, 50)), outcome="cancelled")
    assert call(owed, gone, sealed=1000).pending == (owed,)
    assert call(gone, sealed=0).pending == ()


def test_the_voice_of_a_silenced_speech_ends_where_it_was_silenced():
    said = speech(1, part("a", 100, 50), part("b", 156, 50))
    assert said.voice_end == 212
    silenced = speech(1, replace(part("a", 100, 50), cut_at=130))
    assert (silenced.voice_end, silenced.silenced_at) == (130, 130)
    assert speech(1, more=True).voice_end == 0


def test_a_fade_out_is_a_part_without_a_voice():
    fade = Part("f", Duck(130, 0, 137, 30, 0.2, 0.2), voice_at=137)
    silenced = speech(1, part("a", 100, 50), fade)
    assert silenced.spoken_parts == (silenced.parts[0],)


def test_a_speech_has_its_place_once_nothing_of_it_is_owed():
    assert not speech(1, more=True).is_placed
    assert not speech(1, part("a", 100, 50), more=True).is_placed
    assert speech(1, part("a", 100, 50)).is_placed
    assert replace(speech(1, more=True), outcome="cancelled").is_placed


def test_the_parts_of_a_call_come_in_order_of_their_start():
    late, early, middle = part("c", 300, 5), part("a", 100, 5), part("b", 200, 5)
    assert call(speech(1, late), speech(2, early, middle)).parts == (early, middle, late)


# -- the beds of a call ---------------------------------------------------------------------------

WARM = BedSpan(300, "warm1", "warm", origin=300, fade="f", fade_frames=100)
BRIGHT = BedSpan(500, "bright1", "bright", origin=500, fade="g", fade_frames=100)


def test_a_bed_plays_from_its_start_until_the_next():
    changing = call(beds=(CALM, WARM, BRIGHT))
    assert [bed_at(changing, frame).name for frame in (0, 299, 300, 499, 500, 9000)] == [
        "calm", "calm", "warm", "warm", "bright", "bright"
    ]  # fmt: skip


def test_before_every_bed_the_first_one_plays():
    assert bed_at(call(beds=(WARM, BRIGHT)), 10) == WARM


def test_a_bed_is_past_once_the_fade_from_it_is_sealed():
    assert not is_past(CALM, call(beds=(CALM, WARM), sealed=399))
    assert is_past(CALM, call(beds=(CALM, WARM), sealed=400))
    assert not is_past(WARM, call(beds=(CALM, WARM), sealed=10_000))


def test_a_change_that_nothing_depends_on_does_not_stand():
    assert standing_beds(call(beds=(CALM, WARM), sealed=200)) == (CALM,)
    assert standing_beds(call(beds=(CALM, WARM), sealed=300)) == (CALM, WARM)
    assert standing_beds(call(beds=(CALM, WARM), sealed=400)) == (WARM,)


def test_a_change_that_speech_was_mixed_over_stands():
    assert standing_beds(call(speech(1, part("a", 250, 10)), beds=(CALM, WARM), sealed=200)) == (CALM,)
    assert standing_beds(call(speech(1, part("a", 290, 10)), beds=(CALM, WARM), sealed=200)) == (CALM, WARM)


# -- where the caller's ear is --------------------------------------------------------------------

open_calls = st.builds(
    lambda window_from, sealed, sealed_ms, paced: call(
        window_from=window_from,
        sealed=window_from + sealed,
        opened_at_ms=OPENED_AT_MS,
        sealed_at_ms=OPENED_AT_MS + sealed_ms,
        paced=paced,
    ),
    st.integers(0, 10_000),
    st.integers(0, 1000),
    st.integers(0, 20_000),
    st.booleans(),
)


def test_the_caller_hears_the_frame_that_the_time_since_the_windows_opening_says():
    playing = call(window_from=1000, sealed=1100, opened_at_ms=OPENED_AT_MS, sealed_at_ms=OPENED_AT_MS)
    assert playhead(playing, OPENED_AT_MS) == 1000
    assert playhead(playing, OPENED_AT_MS + 19) == 1000
    assert playhead(playing, OPENED_AT_MS + 20) == 1001
    assert playhead(playing, OPENED_AT_MS + 1000) == 1050


def test_before_its_window_opens_the_caller_hears_nothing_of_it():
    assert playhead(call(window_from=1000, sealed=1000), OPENED_AT_MS) == 1000


def test_time_stands_still_when_the_call_has_ended():
    over = call(sealed=500, opened_at_ms=OPENED_AT_MS, ended_at_ms=OPENED_AT_MS + 2000)
    assert playhead(over, OPENED_AT_MS + 100_000) == 100


@given(open_calls, st.integers(-5000, 60_000), st.integers(0, 5000))
def test_the_playhead_goes_forward_within_what_is_sealed_of_the_window(playing: Call, now_ms: int, passed_ms: int):
    now = playhead(playing, OPENED_AT_MS + now_ms)
    assert playing.window_from <= now <= playing.sealed
    assert playhead(playing, OPENED_AT_MS + now_ms + passed_ms) >= now


@given(open_calls, st.integers(-5000, 60_000), st.integers(0, 5000))
def test_what_is_surely_heard_is_behind_the_playhead_by_the_margin(playing: Call, now_ms: int, margin_ms: int):
    heard = surely_heard(playing, OPENED_AT_MS + now_ms, margin_ms)
    assert playing.window_from <= heard <= playhead(playing, OPENED_AT_MS + now_ms)
    assert heard <= playhead(playing, OPENED_AT_MS + now_ms - margin_ms)


def test_what_was_heard_counts_to_the_streams_last_sign_of_life():
    dead = call(sealed=500, opened_at_ms=OPENED_AT_MS, sealed_at_ms=OPENED_AT_MS + 4000)
    assert surely_heard(dead, OPENED_AT_MS + 5000, 2000) == 150
    assert surely_heard(dead, OPENED_AT_MS + 60_000, 2000) == 200


def test_of_a_window_that_was_sent_at_once_nothing_is_surely_heard_before_the_next():
    burst = call(window_from=500, sealed=1000, paced=False, opened_at_ms=OPENED_AT_MS, sealed_at_ms=OPENED_AT_MS)
    assert surely_heard(burst, OPENED_AT_MS + 60_000, 2000) == 500


def test_of_a_call_that_has_ended_the_margin_before_its_end_is_not_surely_heard():
    playing = call(sealed=600, opened_at_ms=OPENED_AT_MS, sealed_at_ms=OPENED_AT_MS + 11_000)
    over = replace(playing, ended_at_ms=OPENED_AT_MS + 11_000)
    assert surely_heard(over, over.ended_at_ms, 2000) == 450


def test_of_a_call_that_has_ended_no_more_is_surely_heard_as_time_goes_on():
    playing = call(sealed=600, opened_at_ms=OPENED_AT_MS, sealed_at_ms=OPENED_AT_MS + 11_000)
    over = replace(playing, ended_at_ms=OPENED_AT_MS + 11_000)
    assert surely_heard(over, over.ended_at_ms + 90_000, 2000) == 450
