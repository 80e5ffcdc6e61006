import pytest

from local.ear import Heard, HeardSpeech
from local.ear.clicks import Click
from local.ear.gaps import Gap, Jump
from local.ear.report import build_report, judge, table


def heard_speech(speech_id, at_s, **changes):
    fields = {"ended_at_s": at_s + 2, "heard": 1.0, "whole": True, "speech_to_bed_db": 20.04, "duck_db": 14.0}
    return HeardSpeech(speech_id, heard_at_s=at_s, begins_at_s=at_s, **fields | changes)


def heard_call(**changes):
    fields = {
        "duration_s": 20.0,
        "starts_at_s": 0.5,
        "ends_at_s": 20.0,
        "gaps": (),
        "seconds_without_sound": 0.0,
        "clicks": (),
        "speeches": (heard_speech("a", 4.0), heard_speech("b", 7.0)),
        "in_order": True,
        "repeats": (),
        "skips": (),
        "level_jumps": (),
        "unexplained": (),
        "drift_ppm": 0.0,
        "bed_level_dbov": -28.04,
    }
    return Heard(**fields | changes)


def report_of(heard=None, **changes):
    seen = {"requested_at_s": {"a": 3.1, "b": 3.2}, "underruns": 0, "late_chunks": 0}
    seen |= {"hung_up_at_s": 20.0, "stopped_at_s": 20.6}
    return build_report(heard or heard_call(), **seen | changes)


def test_a_good_call_is_reported_in_figures_and_found_without_fault():
    report = report_of()
    assert (report["heard_seconds"], report["starts_at_s"], report["seconds_without_sound"]) == (19.5, 0.5, 0.0)
    assert [speech["latency_s"] for speech in report["speeches"]] == [0.9, 3.8]
    assert [speech["speech_to_bed_db"] for speech in report["speeches"]] == [20.0, 20.0]
    assert report["stopped_after_hangup_s"] == 0.6
    assert (report["clicks"], report["repeats"], report["skips"], report["bed_level_dbov"]) == (0, 0, 0, -28.0)
    assert judge(report) == []


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (report_of(heard_call(gaps=(Gap(5.0, 1.0),), seconds_without_sound=1.0)), "1.00 s without sound, at 5.00 s"),
        (report_of(heard_call(ends_at_s=18.0)), "2.00 s without sound"),
        (report_of(late_chunks=1), "1 chunk came too late"),
        (report_of(underruns=3), "3 frames were not there in time"),
        (report_of(heard_call(clicks=(Click(6.25, 0.1),))), "1 click, at 6.25 s"),
        (report_of(heard_call(repeats=(Jump(6.25, 0.04), Jump(8, 0.04)))), "2 repeats of music, at 6.25 s, 8.00 s"),
        (report_of(heard_call(skips=(Jump(6.25, 0.04),))), "1 skip in the music, at 6.25 s"),
        (report_of(heard_call(drift_ppm=1000.0)), "runs +1000 ppm off"),
        (report_of(heard_call(in_order=False)), "another order"),
        (report_of(heard_call(speeches=(HeardSpeech("a"),))), "speech 1 (a) was not heard"),
        (report_of(heard_call(speeches=(heard_speech("a", 4, whole=False, heard=0.61),))), "whole (61% of it was)"),
        (report_of(heard_call(speeches=(heard_speech("a", 4, speech_to_bed_db=5.0),))), "5.0 dB over the music; 18"),
        (report_of(stopped_at_s=21.6), "ended 1.60 s after the hang-up; 1.5 s would be right"),
        (report_of(stopped_at_s=None), "went on after the hang-up"),
    ],
)
def test_each_broken_promise_is_one_fault_and_one_cross(report, words):
    faults = judge(report)
    assert len(faults) == 1
    assert words in faults[0]
    assert table(report).count("✗") == 1


def test_a_call_in_which_nothing_was_heard_is_no_good_call():
    silent = heard_call(starts_at_s=None, ends_at_s=None, speeches=(), in_order=None, bed_level_dbov=None)
    assert judge(report_of(silent)) == ["nothing was heard at all"]
    assert report_of(silent)["seconds_without_sound"] == 20.0


def test_what_cannot_be_known_is_neither_promised_nor_broken():
    heard = heard_call(repeats=None, skips=None, level_jumps=None, unexplained=None, drift_ppm=None)
    report = report_of(heard, hung_up_at_s=None, stopped_at_s=None)
    assert (report["repeats"], report["stopped_after_hangup_s"]) == (None, None)
    assert judge(report) == []
    assert "repeats" not in table(report)


def test_the_table_has_a_line_for_each_speech():
    shown = table(report_of())
    assert "What the caller heard in 19.5 s" in shown
    assert "✓ speech 2" in shown
    assert "asked for at 3.20 s, heard at 7.00 s (3.80 s later), 20.0 dB over the music" in shown


def test_a_stream_that_stopped_before_the_hang_up_was_in_time():
    assert report_of(stopped_at_s=19.9)["stopped_after_hangup_s"] == 0.0
