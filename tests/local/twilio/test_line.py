import wave

from local.twilio.line import Line

ANSWERED = 77.0
FRAME = 160


def frame(byte: int) -> bytes:
    return bytes([byte]) * FRAME


def test_a_tick_begins_every_20_ms():
    line = Line(ANSWERED)
    assert [line.tick_at(ANSWERED + at) for at in (0.0, 0.001, 0.02, 0.0201, 1.0)] == [0, 1, 1, 2, 50]
    assert line.time_of(50) == ANSWERED + 1


def test_what_is_not_written_is_silent_and_a_tick_counts_once_it_has_begun():
    line = Line(ANSWERED)
    line.write(2, frame(7) + frame(8))
    recording = line.recording(ANSWERED + 0.061)
    assert recording.mulaw == b"\xff" * 2 * FRAME + frame(7) + frame(8)
    assert not recording.pcm[: 2 * FRAME].any()
    assert recording.pcm[2 * FRAME :].all()
    assert line.recording(ANSWERED + 0.06).mulaw == b"\xff" * 2 * FRAME + frame(7)


def test_the_next_free_tick_is_after_all_sound_and_after_the_present():
    line = Line(ANSWERED)
    line.write(0, frame(1) * 5)
    assert line.next_free_tick(ANSWERED + 0.05) == 5
    assert line.next_free_tick(ANSWERED + 0.5) == 25


def test_what_is_cut_is_silent_and_free():
    line = Line(ANSWERED)
    line.write(0, frame(1) * 5)
    line.cut(2)
    assert line.recording(ANSWERED + 0.1).mulaw == frame(1) * 2 + b"\xff" * 3 * FRAME
    assert line.next_free_tick(ANSWERED) == 2
    line.cut(9)
    assert line.next_free_tick(ANSWERED) == 2


def test_marks_come_in_the_order_of_time_and_are_counted_from_the_answer():
    line = Line(ANSWERED)
    line.mark(ANSWERED + 2, "later")
    line.mark(ANSWERED + 1, "sooner", "with more")
    assert [(mark.at_s, mark.kind, mark.detail) for mark in line.recording(ANSWERED).marks] == [
        (1, "sooner", "with more"),
        (2, "later", ""),
    ]


def test_a_recording_is_saved_as_what_any_player_reads(tmp_path):
    line = Line(ANSWERED)
    line.write(0, frame(0x21))
    recording = line.recording(ANSWERED + 0.02)
    recording.save(tmp_path / "call.wav")
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.readframes(FRAME) == recording.pcm.astype("<i2").tobytes()
