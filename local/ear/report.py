"""What the ear heard, set beside what the caller's side of the line knows, and judged.

The figures come from the recording and from the times at which bytes arrived, never from what the code under test says.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from local.ear.findings import Heard, HeardSpeech

LEAST_RATIO_DB = 18.0  # speech over music: 20 dB is aimed at (WCAG 1.4.7), 18 is the least
STOPPED_WITHIN_S = 1.5  # a second for the status callback, a step for the seal, and the way there
SILENCE_S = 0.02  # a frame
DRIFT_PPM = 200.0  # two crystals may differ by that much, a line may not
PLACES = 4  # of one kind that are named

FINDINGS = (  # field of the report and of Heard, and the words for one and for many of them
    ("clicks", "click", "clicks"),
    ("repeats", "repeat of music", "repeats of music"),
    ("skips", "skip in the music", "skips in the music"),
    ("level_jumps", "jump of the music's level", "jumps of the music's level"),
    ("unexplained", "sound that is neither music nor speech", "sounds that are neither music nor speech"),
)

Report = dict[str, Any]


class Verdict(NamedTuple):
    """One line of the table; `fault` is what is wrong, in plain words, or nothing."""

    name: str
    value: str
    fault: str = ""


def build_report(
    heard: Heard,
    *,
    requested_at_s: Mapping[str, float],
    underruns: int,
    late_chunks: int,
    hung_up_at_s: float | None = None,
    stopped_at_s: float | None = None,
) -> Report:
    """The report as plain data. Times are seconds from the recording's start; `requested_at_s` is by speech id.

    `underruns` counts the 20 ms that the caller wanted and the line had not, `late_chunks` the pieces of the stream
    that came after they were wanted. `stopped_at_s` is when the stream ended, None if it did not. What can't be known
    without the bed is None. `places` says where each thing that was counted is.
    """
    findings = {"gaps": heard.gaps} | {field: getattr(heard, field) for field, _, _ in FINDINGS}
    stopped = hung_up_at_s is not None and stopped_at_s is not None
    return {
        "heard_seconds": _rounded(heard.ends_at_s - heard.starts_at_s if heard.ends_at_s is not None else 0.0, 2),
        "starts_at_s": _rounded(heard.starts_at_s),
        "seconds_without_sound": _rounded(_seconds_without_sound(heard, hung_up_at_s)),
        "underruns": underruns,
        "late_chunks": late_chunks,
        **{field: None if findings[field] is None else len(findings[field]) for field, _, _ in FINDINGS},
        "bed_level_dbov": _rounded(heard.bed_level_dbov, 1),
        "drift_ppm": _rounded(heard.drift_ppm, 1),
        "in_order": heard.in_order,
        "speeches": [_speech(speech, requested_at_s.get(speech.speech_id)) for speech in heard.speeches],
        "hung_up_at_s": _rounded(hung_up_at_s),
        "stopped_after_hangup_s": _rounded(max(stopped_at_s - hung_up_at_s, 0.0)) if stopped else None,
        "places": {field: [_rounded(found.at_s) for found in places or ()] for field, places in findings.items()},
    }


def judge(report: Mapping[str, Any]) -> list[str]:
    """What is wrong with a call, in plain words; empty for one that is as it should be."""
    return [verdict.fault for verdict in _verdicts(report) if verdict.fault]


def table(report: Mapping[str, Any]) -> str:
    """The report for a person who reads it in a terminal: a line for each promise, kept (✓) or not (✗)."""
    lines = [f"  {'✗' if verdict.fault else '✓'} {verdict.name:<26}{verdict.value}" for verdict in _verdicts(report)]
    return "\n".join(["", f"What the caller heard in {report['heard_seconds']:.1f} s:", *lines, ""])


def _verdicts(report: Mapping[str, Any]) -> Iterator[Verdict]:
    silent_s = report["seconds_without_sound"]
    silence = (
        "" if silent_s < SILENCE_S else f"{silent_s:.2f} s without sound{_where(report, 'gaps')}; 0 would be right"
    )
    if not report["heard_seconds"]:
        silence = "nothing was heard at all"
    yield Verdict("seconds without sound", f"{silent_s:.2f}", silence)
    late, dry = report["late_chunks"], report["underruns"]
    yield Verdict("late chunks", str(late), _counted(late, "chunk came too late", "chunks came too late"))
    yield Verdict("under-runs", str(dry), _counted(dry, "frame was not there in time", "frames were not there in time"))
    for field, one, many in FINDINGS:
        if report[field] is not None:
            fault = _counted(report[field], one, many)
            yield Verdict(field.replace("_", " "), str(report[field]), fault and fault + _where(report, field))
    if report["drift_ppm"] is not None and abs(report["drift_ppm"]) > DRIFT_PPM:
        off = f"{report['drift_ppm']:+.0f} ppm"
        yield Verdict("clock", off, f"the music runs {off} off the recording's clock; {DRIFT_PPM:.0f} is the most")
    if report["bed_level_dbov"] is not None:
        yield Verdict("music between speeches", f"{report['bed_level_dbov']:.1f} dBov")
    for number, speech in enumerate(report["speeches"], start=1):
        faults = [f"speech {number} ({speech['speech_id']}) {fault}" for fault in _speech_faults(speech)]
        yield Verdict(f"speech {number}", _speech_line(speech), "; ".join(faults))
    if report["in_order"] is not None and all(speech["heard_at_s"] is not None for speech in report["speeches"]):
        fault = "" if report["in_order"] else "the speeches were heard in another order than they were asked for"
        yield Verdict("order of the speeches", "as asked for" if report["in_order"] else "another", fault)
    if report["hung_up_at_s"] is not None:
        stopped_s = report["stopped_after_hangup_s"]
        value = "no" if stopped_s is None else f"{stopped_s:.2f} s"
        went_on = "went on" if stopped_s is None else f"ended {value}"
        fault = f"the stream {went_on} after the hang-up; {STOPPED_WITHIN_S} s would be right"
        is_late = stopped_s is None or stopped_s > STOPPED_WITHIN_S
        yield Verdict("stream over after hang-up", value, fault if is_late else "")


def _seconds_without_sound(heard: Heard, hung_up_at_s: float | None) -> float:
    """All gaps, and the time from the last sound to the hang-up if the line went silent for good before it."""
    until_s = heard.duration_s if hung_up_at_s is None else min(hung_up_at_s, heard.duration_s)
    if heard.ends_at_s is None:
        return until_s
    tail_s = until_s - heard.ends_at_s
    return heard.seconds_without_sound + (tail_s if tail_s > 5 * SILENCE_S else 0.0)


def _speech(speech: HeardSpeech, requested_at_s: float | None) -> Report:
    waited = speech.heard_at_s is not None and requested_at_s is not None
    return {
        "speech_id": speech.speech_id,
        "requested_at_s": _rounded(requested_at_s),
        "heard_at_s": _rounded(speech.heard_at_s),
        "ended_at_s": _rounded(speech.ended_at_s),
        "latency_s": _rounded(speech.heard_at_s - requested_at_s) if waited else None,
        "speech_to_bed_db": _rounded(speech.speech_to_bed_db, 1),
        "duck_db": _rounded(speech.duck_db, 1),
        "ramp_down_ms": _rounded(speech.ramp_down_ms, 0),
        "ramp_up_ms": _rounded(speech.ramp_up_ms, 0),
        "heard": _rounded(speech.heard),
        "whole": speech.whole,
    }


def _speech_faults(speech: Mapping[str, Any]) -> Iterator[str]:
    if speech["heard_at_s"] is None:
        yield "was not heard"
        return
    if not speech["whole"]:
        yield f"was not heard whole ({speech['heard']:.0%} of it was)"
    ratio_db = speech["speech_to_bed_db"]
    if ratio_db is not None and ratio_db < LEAST_RATIO_DB:
        yield f"stands {ratio_db:.1f} dB over the music; {LEAST_RATIO_DB:.0f} would be right"


def _speech_line(speech: Mapping[str, Any]) -> str:
    asked_s, heard_s = speech["requested_at_s"], speech["heard_at_s"]
    asked = "" if asked_s is None else f"asked for at {asked_s:.2f} s, "
    if heard_s is None:
        return asked + "not heard"
    later = "" if speech["latency_s"] is None else f" ({speech['latency_s']:.2f} s later)"
    ratio = "" if speech["speech_to_bed_db"] is None else f", {speech['speech_to_bed_db']:.1f} dB over the music"
    return f"{asked}heard at {heard_s:.2f} s{later}{ratio}{'' if speech['whole'] else ', not whole'}"


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}" if number else ""


def _where(report: Mapping[str, Any], field: str) -> str:
    places: Sequence[float] = report["places"][field]
    shown = ", ".join(f"{at_s:.2f} s" for at_s in places[:PLACES])
    return f", at {shown}" + (" and more" if len(places) > PLACES else "") if places else ""


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(float(value), digits)
