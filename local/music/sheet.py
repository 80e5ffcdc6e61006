"""A picture of the three moods as a telephone carries them: spectrum, level over time, spectrogram."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, ScalarFormatter
from PIL import Image

from local.music import SAMPLE_RATE_HZ
from local.music.moods import SCORES
from local.music.score import Score

PHONE_RATE_HZ = 8_000
BAND_HZ = (300.0, 3_400.0)  # ITU-T G.712's telephone channel
STEADY_DB = 4.0
COLOURS = {"calm": "#4a7a8c", "warm": "#b5653c", "bright": "#8a8f2a"}
PALETTE_COLOURS = 128
LISTENING_FFT = 2_048  # a quarter of a second: tones a third apart are two lines


def draw(path: Path, beds: Mapping[str, np.ndarray]) -> None:
    """Draw `beds`, what `compose` gave for each mood, to `path`: a PNG of 1300 × 820 pixels."""
    figure = Figure(figsize=(13.0, 8.2), layout="constrained")
    figure.suptitle("The beds that come with Duckline, as a telephone carries them (mono, 8 kHz)", fontsize=12)
    rows = figure.subplots(len(beds), 3, squeeze=False, width_ratios=(1.0, 1.6, 2.2))
    for (mood, stereo), (spectrum, level, spectrogram) in zip(beds.items(), rows, strict=True):
        phone = through_telephone(stereo)
        score = SCORES[mood]
        _draw_spectrum(spectrum, phone, COLOURS[mood])
        _draw_level(level, phone, score, COLOURS[mood])
        _draw_spectrogram(spectrogram, phone, score)
        metre = f"{score.beats_per_bar}/4 at {score.beats_per_minute}"
        spectrum.set_title(f"{mood}: {metre}, {score.seconds} s", loc="left", fontsize=10, weight="bold")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.quantize(PALETTE_COLOURS).save(path, format="PNG", optimize=True)  # a third of the size of full colour


def through_telephone(stereo: np.ndarray) -> np.ndarray:
    """Mono at 8 kHz, cut to 300–3400 Hz; on the circle exactly, whole seconds having the same bins at both rates."""
    mono = stereo.mean(axis=1, dtype=float)
    samples = mono.size * PHONE_RATE_HZ // SAMPLE_RATE_HZ
    spectrum = np.fft.rfft(mono)[: samples // 2 + 1]
    hz = np.fft.rfftfreq(samples, 1.0 / PHONE_RATE_HZ)
    spectrum[(hz < BAND_HZ[0]) | (hz > BAND_HZ[1])] = 0.0
    return np.fft.irfft(spectrum, samples) * (samples / mono.size)


def level_db(phone: np.ndarray, window_ms: int, hop_ms: int = 50) -> np.ndarray:
    """RMS of every window against the whole piece's, in dB, round the loop."""
    window, hop = (ms * PHONE_RATE_HZ // 1000 for ms in (window_ms, hop_ms))
    energy = np.concatenate([[0.0], np.cumsum(np.square(np.concatenate([phone, phone[:window]])))])
    starts = np.arange(0, phone.size, hop)
    power = (energy[starts + window] - energy[starts]) / window
    return 10.0 * np.log10(power / np.mean(np.square(phone)))


def _listen(phone: np.ndarray, hop: int) -> np.ndarray:
    """Power by (frequency, time)."""
    round_the_loop = np.concatenate([phone, phone[:LISTENING_FFT]])
    frames = np.lib.stride_tricks.sliding_window_view(round_the_loop, LISTENING_FFT)[: phone.size : hop]
    return np.square(np.abs(np.fft.rfft(frames * np.hanning(LISTENING_FFT)))).T


def _draw_spectrum(axes: Axes, phone: np.ndarray, colour: str) -> None:
    """The long-term spectrum in third-octave-wide averages around the line spectrum."""
    power = _listen(phone, LISTENING_FFT // 2).mean(axis=1)
    hz = np.fft.rfftfreq(LISTENING_FFT, 1.0 / PHONE_RATE_HZ)
    lines = 10.0 * np.log10(power / power.max() + 1e-12)
    centres = np.geomspace(*BAND_HZ, 60)
    near = [(hz > centre * 2 ** (-1 / 6)) & (hz < centre * 2 ** (1 / 6)) for centre in centres]
    broad = 10.0 * np.log10(np.array([power[band].mean() for band in near]) / power.max())
    axes.fill_between(hz, lines, -70.0, color=colour, alpha=0.35, linewidth=0)
    axes.plot(centres, broad, color=colour, linewidth=2)
    _frequency_axis(axes.set_xscale, axes.xaxis)
    axes.set(xlim=(250, 4000), ylim=(-60, 3), ylabel="spectrum, dB")
    axes.grid(alpha=0.25)


def _draw_level(axes: Axes, phone: np.ndarray, score: Score, colour: str) -> None:
    axes.axhspan(-STEADY_DB, STEADY_DB, color="black", alpha=0.06)
    for window_ms, width, alpha in ((100, 0.5, 0.45), (400, 1.5, 1.0)):
        level = level_db(phone, window_ms)
        at_s = np.arange(level.size) * 0.05
        axes.plot(at_s, level, color=colour, linewidth=width, alpha=alpha, label=f"{window_ms} ms")
    axes.set(ylim=(-14, 8), ylabel="level against the mean, dB")
    axes.legend(loc="lower right", fontsize=7, ncols=2, frameon=False)
    axes.grid(alpha=0.25)
    _time_axis(axes, score)


def _draw_spectrogram(axes: Axes, phone: np.ndarray, score: Score) -> None:
    """A semitone has five rows, each showing the strongest line in it."""
    power = _listen(phone, 1_280)
    rows_hz = BAND_HZ[0] * 2.0 ** np.arange(-0.1, np.log2(BAND_HZ[1] / BAND_HZ[0]) + 0.05, 1 / 60)
    rows = np.unique(np.round(rows_hz * LISTENING_FFT / PHONE_RATE_HZ).astype(int))
    strongest = np.maximum.reduceat(power, rows)[:-1]
    level = 10.0 * np.log10(strongest / strongest.max() + 1e-12)
    edges_s = np.linspace(0.0, score.seconds, power.shape[1] + 1)
    edges_hz = (rows - 0.5) * PHONE_RATE_HZ / LISTENING_FFT
    axes.pcolormesh(edges_s, edges_hz, level, vmin=-50, vmax=-5, cmap="magma", rasterized=True)
    _frequency_axis(axes.set_yscale, axes.yaxis)
    axes.set(ylim=(280, 3500), ylabel="Hz")
    _time_axis(axes, score)


def _frequency_axis(set_scale, axis) -> None:
    set_scale("log")
    axis.set_major_locator(FixedLocator([300, 600, 1200, 3400]))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_locator(FixedLocator([]))


def _time_axis(axes: Axes, score: Score) -> None:
    """Seconds below, the form above."""
    sections = {}
    for bar in score.bars():
        sections.setdefault(id(bar.section), (bar.beat * 60.0 / score.beats_per_minute, bar.section.name))
    for start_s, name in sections.values():
        axes.axvline(start_s, color="grey", linewidth=0.8, linestyle=":")
        axes.annotate(
            name, (start_s, 1.0), (2, 2), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=8
        )
    axes.set(xlim=(0, score.seconds), xlabel="s")
