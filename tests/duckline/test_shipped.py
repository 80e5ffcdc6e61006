"""The bed in these tests is one of their own; the one that is shipped is looked at by its form alone."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckline import shipped
from duckline.bed import Playlist, Segment
from duckline.call import Call, bed_at
from duckline.timeline import FRAME_BYTES, FRAMES_PER_SECOND, SEGMENT_FRAMES

FRAMES = 450
SOUND = b"".join(number.to_bytes(2, "big") * (FRAME_BYTES // 2) for number in range(FRAMES))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A bed of nine seconds whose frames are numbered."""
    folder = tmp_path_factory.mktemp("shipped_bed")
    segments = []
    for number, first in enumerate(range(0, FRAMES, SEGMENT_FRAMES)):
        body = SOUND[first * FRAME_BYTES : (first + SEGMENT_FRAMES) * FRAME_BYTES]
        (folder / f"{number:05d}.ulaw").write_bytes(body)
        key = f"beds/shipped/{number:05d}.ulaw"
        segments.append(Segment(key, len(body) // FRAME_BYTES, hashlib.sha256(body).hexdigest()))
    playlist = Playlist("shipped", FRAMES, -28.0, SEGMENT_FRAMES, tuple(segments))
    (folder / "playlist.json").write_text(playlist.to_json())
    return folder


@given(first=st.integers(-2 * FRAMES, 3 * FRAMES), count=st.integers(0, 2 * FRAMES))
def test_any_stretch_is_had_round_the_loop(home, first, count):
    sound = shipped.frames(first, count, home)
    heard = [int.from_bytes(sound[at : at + 2], "big") for at in range(0, len(sound), FRAME_BYTES)]
    assert len(sound) == count * FRAME_BYTES
    assert heard == [(first + offset) % FRAMES for offset in range(count)]


def test_the_playlist_is_the_one_beside_the_sound(home):
    assert shipped.playlist(home).frames == FRAMES


def test_a_bed_that_was_not_made_is_told_by_the_file_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"playlist\.json"):
        shipped.playlist(tmp_path)


def test_a_call_can_begin_with_it():
    call = Call("CA1", (shipped.SPAN,))
    assert bed_at(call, 0) == bed_at(call, 10_000) == shipped.SPAN
    assert shipped.SPAN.name == shipped.SPAN.version == shipped.VERSION


def test_the_bed_that_ships_is_whole_and_loops_on_a_second():
    playlist = shipped.playlist()
    assert playlist.frames % FRAMES_PER_SECOND == 0
    assert sum(segment.frames for segment in playlist.segments) == playlist.frames
    for segment in playlist.segments:
        body = (shipped.HOME / segment.key.rpartition("/")[2]).read_bytes()
        assert len(body) == segment.frames * FRAME_BYTES
        assert hashlib.sha256(body).hexdigest() == segment.sha256
