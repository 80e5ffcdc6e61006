"""The room and the desk: tracks are placed, given reverberation, coloured and levelled, all of it on a circle.

The piece is a loop, so time here has no ends: what rings past the last sample sounds at the first, the reverb's
convolution is circular, the level is measured round the corner. No seam can be heard because none is made.

Everything is kept as mid and side (left + right and left − right, halved). Pan and width live in the side alone, so
that the mono that a telephone hears is the mid, exactly as mixed: nothing cancels, whatever was done for the stereo.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from local.music.instruments import SAMPLE_RATE_HZ, ring

PREDELAY_MS = 16.0
REVERB_T60_S = 1.7
FFT_SAMPLES = 1 << 18
COLOUR_SAMPLES = 1 << 13
HOP_SAMPLES = FFT_SAMPLES - COLOUR_SAMPLES - 2 * SAMPLE_RATE_HZ  # no reverberation here lasts for two seconds
BLOCK_SAMPLES = 441  # 10 ms: where the leveller listens
LEVELLER_WINDOW_MS = 700.0
LEVELLER_STRENGTH = 0.8  # 1 would flatten the phrasing, 0 leave it as it is
LEVELLER_FLOOR = 0.01  # of the mean power: what is 20 dB softer is a pause, not a soft passage
LEVEL_DBFS = -20.0
PEAK_DBFS = -1.5


@dataclass(frozen=True, slots=True)
class Track:
    """One instrument's whole performance, mono, as long as the piece, and its place in the room."""

    sound: np.ndarray
    level_db: float
    pan: float
    reverb_db: float
    tremolo_hz: float = 0.0
    tremolo_depth: float = 0.0
    sway: float = 0.0


def gain(db: float) -> np.float32:
    return np.float32(10.0 ** (db / 20.0))


def place(track: np.ndarray, sound: np.ndarray, start: int) -> None:
    """Add `sound` to `track` from sample `start` on, round the loop as often as it reaches past the end."""
    start %= track.size
    while sound.size:
        here = min(sound.size, track.size - start)
        track[start : start + here] += sound[:here]
        sound, start = sound[here:], 0


def mix(tracks: Iterable[Track], rng: np.random.Generator) -> np.ndarray:
    """Stereo float32 (samples, 2) of the tracks in their room, at LEVEL_DBFS RMS and under PEAK_DBFS."""
    mid, side, send = _balance(tracks)
    colour, wet = _colour(), _spectra(send)
    # Mid and side get reverberation of their own: that they are independent is what makes a room wide.
    mid = _overlapped(colour * (_spectra(mid) + _reverberation(rng) * wet), mid.size)
    side = _overlapped(colour * (_spectra(side) + gain(-3.0) * _reverberation(rng) * wet), mid.size)
    evenness = _levelling(mid)
    stereo = np.stack([mid + side, mid - side], axis=1)
    stereo *= evenness[:, np.newaxis]
    loudness = np.sqrt(np.square(stereo).mean(dtype=float))
    stereo *= np.float32(min(gain(LEVEL_DBFS) / loudness, gain(PEAK_DBFS) / np.abs(stereo).max()))
    return stereo


def _balance(tracks: Iterable[Track]) -> np.ndarray:
    """Mid, side and what is sent to the reverb: (3, samples)."""
    buses: np.ndarray | None = None
    for track in tracks:
        if buses is None:
            buses = np.zeros((3, track.sound.size), dtype=np.float32)
        mid, side, send = buses
        sound = track.sound * (gain(track.level_db) / _loudness_while_playing(track.sound))
        across = np.float32(track.pan)
        if track.tremolo_hz:
            turn = _turning(sound.size, track.tremolo_hz)
            sound *= 1.0 + np.float32(track.tremolo_depth) * turn
            across = across + np.float32(track.sway) * turn
        mid += sound
        send += gain(track.reverb_db) * sound
        sound *= across
        side -= sound  # the side is left minus right
    if buses is None:
        raise ValueError("nothing to mix: a piece has at least one track")
    return buses


def _loudness_while_playing(sound: np.ndarray) -> float:
    """RMS over the tenths of a second in which there is something: rests do not make a part louder."""
    blocks = sound[: sound.size // (10 * BLOCK_SAMPLES) * 10 * BLOCK_SAMPLES].reshape(-1, 10 * BLOCK_SAMPLES)
    power = np.einsum("ij,ij->i", blocks, blocks)
    return float(np.sqrt(power[power > 1e-3 * power.max()].mean() / blocks.shape[1]))


def _turning(samples: int, rate_hz: float) -> np.ndarray:
    """A sine of about `rate_hz` that fits the loop in whole cycles."""
    seconds = samples / SAMPLE_RATE_HZ
    return ring(np.array([round(rate_hz * seconds) / seconds]), np.ones(1), np.zeros(1), samples)


def _spectra(signal: np.ndarray) -> np.ndarray:
    """The signal in hops, each transformed with room behind it for what will ring on."""
    hops = -(-signal.size // HOP_SAMPLES)
    blocks = np.zeros((hops, FFT_SAMPLES), dtype=np.float32)
    for hop, block in enumerate(blocks):
        piece = signal[hop * HOP_SAMPLES :][:HOP_SAMPLES]
        block[: piece.size] = piece
    return np.fft.rfft(blocks)


def _overlapped(spectra: np.ndarray, samples: int) -> np.ndarray:
    """Back from hops to one signal: each block is placed with its ringing, the last one's round the loop."""
    signal = np.zeros(samples, dtype=np.float32)
    for hop, block in enumerate(np.fft.irfft(spectra, FFT_SAMPLES)):
        place(signal, block, hop * HOP_SAMPLES - COLOUR_SAMPLES // 2)
    return signal


def _colour() -> np.ndarray:
    """The desk's equaliser: no DC, less below 180 Hz, where a telephone has nothing, more from 1.3 kHz, a soft top.

    Of linear phase, and so late by half of COLOUR_SAMPLES, which `_overlapped` takes back.
    """
    hz = np.fft.rfftfreq(COLOUR_SAMPLES, 1.0 / SAMPLE_RATE_HZ)
    low = (hz / 180.0) ** 2
    presence = (hz / 1_300.0) ** 2
    curve = low / (1.0 + low) * (1.0 + presence / (1.0 + presence)) / (1.0 + (hz / 9_000.0) ** 4)
    return _response(np.roll(np.fft.irfft(curve), COLOUR_SAMPLES // 2))


def _reverberation(rng: np.random.Generator) -> np.ndarray:
    """A small hall: noise that dies away, its high part sooner, of unit energy."""
    length = round(REVERB_T60_S * SAMPLE_RATE_HZ)
    seconds = np.arange(length) / SAMPLE_RATE_HZ
    hz = np.fft.rfftfreq(length, 1.0 / SAMPLE_RATE_HZ)
    noise = np.fft.rfft(rng.standard_normal(length))
    crossing = 1.0 / (1.0 + (hz / 1_500.0) ** 2)
    body = np.fft.irfft(noise * (hz / (hz + 250.0)) ** 2 * crossing, length)
    air = np.fft.irfft(noise * (1.0 - crossing) / (1.0 + (hz / 5_000.0) ** 2), length)
    hall = body * 1000.0 ** (-seconds / REVERB_T60_S) + air * 1000.0 ** (-seconds / (0.45 * REVERB_T60_S))
    hall *= 1.0 - np.exp(-seconds / 0.008)  # a diffuse room builds up; a hard front would be an echo
    hall /= np.sqrt(np.sum(hall**2))
    return _response(np.concatenate([np.zeros(round(PREDELAY_MS * SAMPLE_RATE_HZ / 1000.0)), hall]))


def _response(impulse: np.ndarray) -> np.ndarray:
    return np.fft.rfft(impulse.astype(np.float32), FFT_SAMPLES)


def _levelling(mid: np.ndarray) -> np.ndarray:
    """A slow gain that draws the level towards its mean, centred on what it hears: it neither lags nor pumps."""
    power = np.square(mid.reshape(-1, BLOCK_SAMPLES)).mean(axis=1, dtype=float)
    reach = round(LEVELLER_WINDOW_MS / 10.0)
    window = np.zeros(power.size)
    window[:reach] = np.hanning(reach + 2)[1:-1]
    window = np.roll(window / window.sum(), -(reach // 2))
    nearby = np.fft.irfft(np.fft.rfft(power) * np.fft.rfft(window), power.size)
    gains = np.maximum(nearby / power.mean(), LEVELLER_FLOOR) ** (-0.5 * LEVELLER_STRENGTH)
    centres = (np.arange(-1, power.size + 1) + 0.5) * BLOCK_SAMPLES
    return np.interp(np.arange(mid.size), centres, gains[np.arange(-1, power.size + 1) % power.size]).astype(np.float32)
