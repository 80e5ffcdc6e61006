from hypothesis import given
from hypothesis import strategies as st

from duckline.bed import Playlist, Segment

frames_of_beds = st.integers(1, 50).map(lambda seconds: 50 * seconds)
segment_lengths = st.sampled_from([50, 100, 150, 200])


def playlist_of(frames: int, segment_frames: int = 200) -> Playlist:
    lengths = [min(segment_frames, frames - first) for first in range(0, frames, segment_frames)]
    segments = tuple(Segment(f"beds/calm/{n:05d}.ulaw", length, f"{n:064x}") for n, length in enumerate(lengths))
    return Playlist("calm", frames, -28.04, segment_frames, segments)


@given(frames_of_beds, segment_lengths, st.integers(-10_000, 1_000_000), st.integers(0, 3000))
def test_the_slices_are_the_bed_frame_by_frame_round_the_loop(frames, segment_frames, first, count):
    playlist = playlist_of(frames, segment_frames)
    heard = [
        piece.segment * segment_frames + piece.first + offset
        for piece in playlist.slices(first, count)
        for offset in range(piece.frames)
    ]
    assert heard == [(first + offset) % frames for offset in range(count)]


@given(frames_of_beds, segment_lengths, st.integers(0, 10_000), st.integers(1, 3000))
def test_no_slice_is_empty_or_leaves_its_segment(frames, segment_frames, first, count):
    playlist = playlist_of(frames, segment_frames)
    for piece in playlist.slices(first, count):
        assert 0 < piece.frames <= playlist.segments[piece.segment].frames - piece.first


def test_nothing_asked_for_is_no_slice():
    assert list(playlist_of(450).slices(17, 0)) == []


def test_a_playlist_lasts_as_long_as_its_frames():
    assert playlist_of(450).seconds == 9.0


@given(frames_of_beds)
def test_a_playlist_comes_back_from_json_as_it_was(frames):
    playlist = playlist_of(frames)
    assert Playlist.from_json(playlist.to_json()) == playlist
    assert Playlist.from_json(playlist.to_json().encode()) == playlist
