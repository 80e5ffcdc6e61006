"""A mood as a compressed file, made by the ffmpeg that imageio-ffmpeg carries: what a bed is made from in earnest."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from local.music.instruments import SAMPLE_RATE_HZ

CODECS = {
    ".mp3": ("-codec:a", "libmp3lame", "-b:a", "192k", "-f", "mp3"),
    ".ogg": ("-codec:a", "libvorbis", "-q:a", "6", "-f", "ogg"),
}


def codec(path: Path) -> tuple[str, ...]:
    """ffmpeg's options for the format that the suffix of `path` names; ValueError if it names none that is known."""
    options = CODECS.get(path.suffix.lower())
    if options is None:
        raise ValueError(f"cannot encode {path.name!r}: its name must end in {' or '.join(CODECS)}")
    return options


def encode(stereo: np.ndarray, path: Path) -> None:
    """Write float32 (samples, 2) at 44.1 kHz to `path` in the format its suffix names.

    Bit-exact: no versions, dates or random serial numbers, so the same sound makes the same file. The file appears
    whole or not at all.

    Raises:
        ValueError: the suffix is neither .mp3 nor .ogg.
        RuntimeError: ffmpeg failed; the message is its own.
    """
    options = codec(path)
    unfinished = path.with_name(path.name + ".part")
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y",
        "-f", "f32le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "2", "-i", "pipe:0",
        "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact", *options, str(unfinished),
    ]  # fmt: skip
    samples = np.asarray(stereo, dtype="<f4").tobytes()
    finished = subprocess.run(command, input=samples, capture_output=True, check=False)
    if finished.returncode:
        unfinished.unlink(missing_ok=True)
        raise RuntimeError(f"ffmpeg could not write {path}: {finished.stderr.decode(errors='replace').strip()}")
    unfinished.replace(path)
