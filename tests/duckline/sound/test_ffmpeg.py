import sys
from pathlib import Path

import pytest

from duckline.sound.ffmpeg import reading, running

ENDLESS = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"]


def test_a_process_that_hangs_is_killed_in_time():
    with running(ENDLESS, timeout_s=0.5) as process:
        process.stdout.read()
        assert process.wait() == -9


def test_a_listener_who_has_had_enough_leaves_no_process_behind():
    with pytest.raises(ZeroDivisionError), running(ENDLESS, timeout_s=60) as process:
        assert process.stdout.readline() == b"begun\n"
        _ = 1 / 0
    assert process.returncode == -9


def test_a_process_that_ends_by_itself_keeps_its_exit_code():
    with running([sys.executable, "-c", "raise SystemExit(3)"], timeout_s=60) as process:
        assert process.stdout.read() == b""
        assert process.wait() == 3


def test_a_path_is_never_taken_for_an_option_or_another_protocol():
    command = reading(Path("-y"), "mp3")
    assert command[command.index("-i") + 1] == "file:-y"


def test_the_format_and_the_protocols_are_named_before_the_file():
    command = reading(Path("/tmp/song"), "mp3")
    for option, value in (("-f", "mp3"), ("-format_whitelist", "mp3"), ("-protocol_whitelist", "file,pipe")):
        assert command[command.index(option) + 1] == value
        assert command.index(option) < command.index("-i")


def test_a_playlist_that_calls_itself_music_opens_nothing(tmp_path, encode, music, run_ffmpeg):
    """Handed to ffmpeg as MP3, a playlist with the address of a real file must not bring that file's sound."""
    song = encode("song.mp3", music[:44_100])
    playlist = tmp_path / "list"
    playlist.write_text(f"ffconcat version 1.0\nfile '{song}'\n")
    with running([*reading(playlist, "mp3"), "-f", "s16le", "-"], timeout_s=10) as process:
        assert process.stdout.read() == b""
        assert process.wait() != 0
