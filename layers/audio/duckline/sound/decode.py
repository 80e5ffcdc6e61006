"""Files to samples, each at its own rate and with its own channels; nothing here resamples.

Music comes as a stream of blocks out of ffmpeg, since an hour of it is 635 MB. Speech, short and wanted whole, is
decoded by pydub. Both run the same ffmpeg on a file that `container.recognise` has let through.
"""

import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

from duckline.errors import TooLarge, UnreadableAudio
from duckline.sound import ffmpeg
from duckline.sound.container import SoundFile, recognise

with warnings.catch_warnings(action="ignore"):  # at import pydub looks for an ffmpeg on the PATH; it gets ours
    from pydub import AudioSegment
    from pydub.exceptions import CouldntDecodeError

LONGEST_SPEECH_S = 300

_DECODE_TIMEOUT_S = 240  # render's own is 300 s; an hour takes ten
_MOST_PYDUB_BYTES = 64 * 1024 * 1024  # pydub holds its sound up to four times over while it decodes
_LENGTH_SLACK_S = 5.0
_INT16 = np.float32(1 / 32768)

AudioSegment.converter = get_ffmpeg_exe()


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Decoded sound: `pcm` is float32 in [−1, 1) of shape (samples, channels)."""

    pcm: np.ndarray
    rate_hz: int


def decode(body: bytes, longest_s: float = LONGEST_SPEECH_S) -> Audio:
    """The sound of a file that came in whole, such as the user's own audio.

    Raises UnreadableAudio, or TooLarge if it lasts longer than `longest_s` or is wider than speech needs to be.
    """
    with tempfile.NamedTemporaryFile(prefix="sound-") as file:
        file.write(body)
        file.flush()
        sound = recognise(Path(file.name), longest_s)
        segment = _segment(sound, longest_s)
    if not len(segment.raw_data):
        raise UnreadableAudio(f"this {sound.kind} lasts 0 s: send one with speech in it")
    pcm = np.frombuffer(segment.raw_data, "<i2").reshape(-1, segment.channels) * _INT16
    return Audio(pcm, segment.frame_rate)


def blocks(sound: SoundFile, longest_s: float) -> Iterator[np.ndarray]:
    """`sound` as float32 blocks of shape (samples, channels), a second each, of which one is in memory at a time.

    Raises UnreadableAudio when it turns out that the sound is empty, broken or longer than its file says, and TooLarge
    when it passes `longest_s`.
    """
    command = [*ffmpeg.reading(sound.path, sound.demuxer), "-ar", str(sound.rate_hz), "-ac", str(sound.channels)]
    command += ["-t", str(longest_s + 1), "-f", "s16le"]
    command += ["-flush_packets", "0", "-"]  # 32 kB at a time: to hand over every MP3 frame costs it a fifth more
    frame_bytes = 2 * sound.channels
    frames = 0
    with ffmpeg.running(command, _DECODE_TIMEOUT_S) as process:
        while block := process.stdout.read(sound.rate_hz * frame_bytes):
            pcm = np.frombuffer(block, "<i2", len(block) // frame_bytes * sound.channels)
            frames += len(pcm) // sound.channels
            _check_length(sound, frames / sound.rate_hz, longest_s)
            yield np.multiply(pcm.reshape(-1, sound.channels), _INT16, order="F")  # each channel in one piece
        failed = process.wait() != 0
    if failed or not frames:
        raise UnreadableAudio(
            f"this {sound.kind} could be decoded for {frames / sound.rate_hz:.2f} s only: send it whole"
        )


def _check_length(sound: SoundFile, seconds: float, longest_s: float) -> None:
    if seconds > longest_s:
        raise TooLarge(f"this {sound.kind} lasts longer than {longest_s:.0f} s, the most that is taken")
    if sound.says_its_length and seconds > sound.seconds * 1.02 + _LENGTH_SLACK_S:
        raise UnreadableAudio(
            f"this {sound.kind} says that it lasts {sound.seconds:.1f} s and holds more: "
            "its header must tell the truth; encode it anew"
        )


def _segment(sound: SoundFile, longest_s: float) -> AudioSegment:
    """`sound` by pydub, 16 bits wide; `-t` keeps a file that lies about its length from filling the memory."""
    most_s = _MOST_PYDUB_BYTES / (2 * sound.channels * sound.rate_hz)
    if (sound.seconds or 0) > most_s:
        raise TooLarge(
            f"this {sound.kind} of {sound.channels} channels at {sound.rate_hz} Hz lasts {sound.seconds:.0f} s: "
            f"send at most {most_s:.0f} s, or fewer channels, or a lower rate"
        )
    bound_s = min(longest_s, most_s)
    codec = "mp3float" if sound.codec == "mp3" else sound.codec
    try:
        if sound.demuxer == "wav":
            # By name pydub would read a WAV itself, and take floating point in an extensible one for integers.
            with sound.path.open("rb") as file:
                segment = AudioSegment.from_file(file, codec=codec, duration=bound_s + 1)
        else:
            segment = AudioSegment.from_file(sound.path, sound.demuxer, codec=codec, duration=bound_s + 1)
    except CouldntDecodeError as error:
        raise UnreadableAudio(
            f"the {sound.codec} sound in this {sound.kind} cannot be decoded: send it whole"
        ) from error
    _check_length(sound, segment.frame_count() / segment.frame_rate, bound_s)
    return segment
