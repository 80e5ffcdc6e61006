"""A call as one picture: what the caller heard, the music's gain beneath it, how long each speech was waited for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from duckline.timeline import FRAMES_PER_SECOND, SAMPLE_RATE_HZ
from local.ear import Heard

WIDTH_PX, HEIGHT_PX, DPI = 1600, 900, 100
COLUMNS = 1500  # of the waveform: one for each pixel of the axes
LANES = 8  # speeches that were waited for at the same time and can be shown one above the other
LANE_PX = 28
LEFT, RIGHT = 0.062, 0.982
LEVELS_DBOV = (0, -20, -40)
LOWEST_GAIN_DB = -24.0

# Okabe and Ito's colours, told apart by colour-blind people (https://jfly.uni-koeln.de/color/)
SPEECH, WAIT, FAULT, MUSIC = "#0072B2", "#C25A00", "#CC0044", "#858F97"
INK, FAINT, PAPER, PALE_SPEECH, AFTER = "#1B1F23", "#6F777D", "#FFFFFF", "#DCEBF5", "#EDEFF0"


def draw_call(
    path: Path, recording: np.ndarray, heard: Heard, report: Mapping, planned_gain: np.ndarray | None = None
) -> None:
    """Draw `recording` (8 kHz, int16 or float, one channel) to `path`, a PNG of 1600 × 900 pixels.

    `heard` is what the ear found in it and `report` what `build_report` made of that. `planned_gain` is the music's
    linear gain as the schedule has it, one value per frame of 20 ms from the recording's start, if it is known.
    """
    sound = recording / 32768.0 if recording.dtype == np.int16 else np.asarray(recording, np.float64)
    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor=PAPER)
    canvas = FigureCanvasAgg(figure)
    lanes = _lanes([speech for speech in report["speeches"] if speech["requested_at_s"] is not None])
    figure.subplots_adjust(
        left=LEFT,
        right=RIGHT,
        top=0.825 - (max(lanes, default=-1) + 1) * LANE_PX / HEIGHT_PX,
        bottom=0.085,
        hspace=0.09,
    )
    wave, gain = figure.subplots(2, 1, sharex=True, height_ratios=(2.0, 1.0))
    _draw_wave(wave, sound, heard)
    _draw_gain(gain, heard, planned_gain)
    for axes in (wave, gain):
        _draw_faults(axes, heard)
        _draw_hang_up(axes, report)
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0, labelsize=11, colors=FAINT)
    _draw_waits(wave, report, lanes)
    _draw_title(figure, report)
    _draw_key(figure)
    ends_s = (report["hung_up_at_s"] or 0) + (report["stopped_after_hangup_s"] or 0)
    seconds = len(sound) / SAMPLE_RATE_HZ
    gain.set_xlim(0, max(seconds, ends_s + 0.02 * seconds))
    gain.xaxis.set_major_locator(MaxNLocator(14, integer=True))
    gain.set_xlabel("seconds since the call was answered", fontsize=11, color=FAINT, labelpad=6)
    canvas.print_png(path)


def companded(amplitude: np.ndarray | float) -> np.ndarray | float:
    """Amplitude as µ-law's curve has it (ITU-T G.711, µ = 255): ducked music can be seen beside speech."""
    return np.sign(amplitude) * np.log1p(255 * np.abs(amplitude)) / np.log(256)


def _draw_wave(axes: Axes, sound: np.ndarray, heard: Heard) -> None:
    """Peaks pale, RMS dark; blue while a speech is heard."""
    edges = np.linspace(0, len(sound), min(COLUMNS, max(len(sound), 1)) + 1).astype(int)
    starts = edges[:-1]
    at_s = (starts + np.diff(edges) / 2) / SAMPLE_RATE_HZ
    high, low = (companded(extreme.reduceat(sound, starts)) for extreme in (np.maximum, np.minimum))
    rms = companded(np.sqrt(np.add.reduceat(sound**2, starts) / np.diff(edges)))
    spoken = np.zeros(len(at_s), bool)
    for speech in heard.speeches:
        if speech.heard_at_s is not None and speech.ended_at_s is not None:
            spoken |= (at_s >= speech.heard_at_s) & (at_s < speech.ended_at_s)
            axes.axvspan(speech.heard_at_s, speech.ended_at_s, color=PALE_SPEECH, linewidth=0, zorder=0)
    for colour, shown in ((MUSIC, ~_widened(spoken, -1)), (SPEECH, spoken)):
        axes.fill_between(at_s, low, high, where=shown, color=colour, alpha=0.5, linewidth=0, zorder=2)
        axes.fill_between(at_s, -rms, rms, where=shown, color=colour, linewidth=0, zorder=3)
    ticks = [companded(10 ** (level / 20)) for level in LEVELS_DBOV]
    axes.set_ylim(-1.0, 1.0)
    axes.set_yticks([*ticks, 0, *[-tick for tick in ticks]], [*map(_minus, LEVELS_DBOV), "", *map(_minus, LEVELS_DBOV)])
    axes.yaxis.grid(True, color="#D9DDE0", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_ylabel("heard, dBov", fontsize=11, color=FAINT)
    axes.tick_params(labelbottom=False)


def _draw_gain(axes: Axes, heard: Heard, planned_gain: np.ndarray | None) -> None:
    """The measured gain as an area that is pushed down, the planned one as a dashed line."""
    lowest = LOWEST_GAIN_DB
    for speech in heard.speeches:
        if speech.heard_at_s is None or speech.ended_at_s is None:
            continue
        axes.axvspan(speech.heard_at_s, speech.ended_at_s, color=PALE_SPEECH, linewidth=0, zorder=0)
        if speech.duck_db is not None:
            lowest = min(lowest, -speech.duck_db - 8)
            middle = (speech.heard_at_s + speech.ended_at_s) / 2
            axes.annotate(
                f"{_minus(-speech.duck_db, 1)} dB", (middle, -speech.duck_db), (0, 7), textcoords="offset points",
                ha="center", va="bottom", fontsize=12, color=INK, zorder=6,
            )  # fmt: skip
    if heard.music_gain is None:
        axes.text(0.5, 0.5, "the music's gain is not known without its bed", transform=axes.transAxes, ha="center",
                  fontsize=12, color=FAINT)  # fmt: skip
    else:
        times_s = heard.music_gain.times_s
        shown = (times_s >= heard.starts_at_s) & (times_s <= heard.ends_at_s)
        times_s, gain_db = heard.music_gain.times_s[shown], np.clip(heard.music_gain.gain_db[shown], lowest, 6)
        axes.fill_between(times_s, lowest, gain_db, color=MUSIC, alpha=0.28, linewidth=0, zorder=2)
        axes.plot(times_s, gain_db, color=INK, linewidth=1.6, zorder=4, label="measured")
    if planned_gain is not None:
        planned_db = 20 * np.log10(np.maximum(planned_gain, 1e-3))
        at_s = np.arange(len(planned_db)) / FRAMES_PER_SECOND
        axes.plot(at_s, planned_db, color=WAIT, linewidth=1.4, linestyle=(0, (4, 3)), zorder=5, label="planned")
        axes.legend(loc="lower left", fontsize=10, frameon=False, ncols=2, labelcolor=INK)
    axes.set_ylim(lowest, 4)
    axes.set_yticks([0, -10, -20] + ([-30] if lowest < -30 else []))
    axes.yaxis.set_major_formatter(lambda value, _: _minus(value))
    axes.yaxis.grid(True, color="#D9DDE0", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_ylabel("music's gain, dB", fontsize=11, color=FAINT)


def _draw_waits(axes: Axes, report: Mapping, lanes: Sequence[int]) -> None:
    """Above the waveform, for each speech, the way from where it was asked for to where it was heard."""
    speeches = [speech for speech in report["speeches"] if speech["requested_at_s"] is not None]
    top = max(lanes, default=0)
    place, high_px = axes.get_xaxis_transform(), axes.get_window_extent().height
    for number, (speech, lane) in enumerate(zip(speeches, lanes, strict=True), start=1):
        height = 1 + (0.8 + top - lane) * LANE_PX / high_px
        asked_s, heard_s = speech["requested_at_s"], speech["heard_at_s"]
        axes.plot(asked_s, height, "o", color=WAIT, markersize=9, transform=place, clip_on=False, zorder=7)
        if heard_s is None:
            axes.text(asked_s, height, f"   speech {number} asked for, never heard", color=FAULT, fontsize=12,
                      va="center", transform=place)  # fmt: skip
            continue
        axes.plot((asked_s, heard_s), (height, height), color=WAIT, linewidth=2, transform=place, clip_on=False)
        axes.plot((heard_s, heard_s), (0, height), color=SPEECH, linewidth=2, transform=place, clip_on=False, zorder=5)
        axes.annotate(
            f"speech {number} heard after {speech['latency_s']:.2f} s", (heard_s, height), (8, 0), xycoords=place,
            textcoords="offset points", va="center", fontsize=12, color=SPEECH, weight="bold", annotation_clip=False,
        )  # fmt: skip


def _lanes(speeches: Sequence[Mapping]) -> list[int]:
    """For each speech the lowest lane in which nothing is written where it is waited for, or where its label stands."""
    free_from: list[float] = []
    lanes = []
    for speech in speeches:
        lane = next((n for n, at in enumerate(free_from) if at <= speech["requested_at_s"]), len(free_from))
        lane = min(lane, LANES - 1)
        free_from += [0.0] * (lane + 1 - len(free_from))
        free_from[lane] = (speech["heard_at_s"] or speech["requested_at_s"]) + 5.0
        lanes.append(lane)
    return lanes


def _draw_hang_up(axes: Axes, report: Mapping) -> None:
    hung_up_s, stopped_s = report["hung_up_at_s"], report["stopped_after_hangup_s"]
    if hung_up_s is None:
        return
    ends_s = hung_up_s + (stopped_s or 0)
    axes.axvspan(hung_up_s, hung_up_s + 1e4, color=AFTER, linewidth=0, zorder=1)
    axes.axvline(hung_up_s, color=INK, linewidth=1.6, zorder=6)
    if stopped_s is not None:
        axes.axvline(ends_s, color=INK, linewidth=1.2, linestyle=(0, (2, 2)), zorder=6)
    if axes.get_subplotspec().is_first_row():
        after = "the stream goes on" if stopped_s is None else f"stream over {stopped_s:.2f} s later"
        axes.annotate(
            f"hang-up, {after}", (hung_up_s, 0.0), (-6, 6), xycoords=axes.get_xaxis_transform(), ha="right",
            textcoords="offset points", fontsize=12, color=INK, zorder=8,
            bbox={"facecolor": PAPER, "alpha": 0.8, "linewidth": 0, "pad": 3},
        )  # fmt: skip


def _draw_faults(axes: Axes, heard: Heard) -> None:
    """Everything the caller should not have heard, in red, named once."""
    named = axes.get_subplotspec().is_first_row()
    faults = [(found.at_s, name) for name, places in (
        ("gap", heard.gaps), ("click", heard.clicks), ("repeat", heard.repeats), ("skip", heard.skips),
        ("level", heard.level_jumps), ("?", heard.unexplained),
    ) for found in places or ()]  # fmt: skip
    for gap in heard.gaps:
        axes.axvspan(gap.at_s, gap.at_s + gap.duration_s, color=FAULT, alpha=0.35, linewidth=0, zorder=5)
    for at_s, name in faults:
        axes.axvline(at_s, color=FAULT, linewidth=1.2, zorder=6)
        if named:
            axes.annotate(
                name, (at_s, 0.97), (4, 0), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                va="top", fontsize=11, color=FAULT, weight="bold", zorder=8,
            )  # fmt: skip


def _draw_title(figure: Figure, report: Mapping) -> None:
    speeches = report["speeches"]
    heard = [speech for speech in speeches if speech["heard_at_s"] is not None]
    whole = len(heard) == len(speeches) and all(speech["whole"] for speech in heard) and report["in_order"]
    silent_s = report["seconds_without_sound"]
    music = "music without a gap" if silent_s < 0.02 else f"{silent_s:.2f} s without sound"
    spoken = f"{len(heard)} of {len(speeches)} speeches heard" + (", each whole and in order" if whole else "")
    title = f"{report['heard_seconds']:.1f} seconds of a call: {music}, {spoken}"
    figure.text(LEFT, 0.953, title, fontsize=19, weight="bold", color=INK, va="center")
    ratios = [speech["speech_to_bed_db"] for speech in heard if speech["speech_to_bed_db"] is not None]
    facts = [_counted(report["late_chunks"], "late chunk"), _counted(report["underruns"], "underrun")]
    facts += [_counted(report[name], name[:-1]) for name in ("clicks", "repeats", "skips") if report[name] is not None]
    if ratios:
        facts.append(f"speech at least {min(ratios):.1f} dB over the music")
    figure.text(LEFT, 0.91, "   ·   ".join(facts), fontsize=13, color=FAINT, va="center")


def _draw_key(figure: Figure) -> None:
    """What the colours mean, in their colours."""
    renderer = figure.canvas.get_renderer()
    right = RIGHT
    for words, colour in (("speech", SPEECH), ("music", MUSIC), ("asked for", WAIT)):
        text = figure.text(right, 0.872, f"■ {words}", fontsize=12, color=colour, va="center", ha="right")
        right -= text.get_window_extent(renderer).width / WIDTH_PX + 0.015


def _counted(number: int, one: str) -> str:
    return f"{'no' if number == 0 else number} {one}{'' if number == 1 else 's'}"


def _minus(value: float, digits: int = 0) -> str:
    """A number with a true minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")


def _widened(flags: np.ndarray, by: int) -> np.ndarray:
    """The runs in `flags` one longer at both ends for `by` = 1, shorter for −1, so that areas meet without a seam."""
    if by < 0:
        return ~_widened(~flags, -by)
    return flags | np.roll(flags, 1) | np.roll(flags, -1)
