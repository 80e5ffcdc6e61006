"""ffmpeg, started so that a stranger's file can do no harm: one format, one file, no network, and an end in time."""

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer

from imageio_ffmpeg import get_ffmpeg_exe

_PIPE_BYTES = 1 << 20  # six seconds of music: ffmpeg decodes on while we filter
_CODECS = (
    "aac,alac,flac,mp3,mp3float,opus,vorbis,adpcm_ima_wav,adpcm_ms,pcm_alaw,pcm_mulaw,"
    "pcm_u8,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_s16be,pcm_s24be"
)


def reading(path: Path, demuxer: str) -> list[str]:
    """The start of a command that reads the first sound of `path`, as `demuxer` and nothing else, to 16-bit samples.

    Left to guess, ffmpeg also follows playlists and concatenations to other files and to the network.
    """
    return [
        *(get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-protocol_whitelist", "file,pipe"),
        *("-format_whitelist", demuxer, "-codec_whitelist", _CODECS, "-f", demuxer, "-i", f"file:{path}"),
        *("-map", "0:a:0", "-c:a", "pcm_s16le"),
    ]


@contextmanager
def running(command: list[str], timeout_s: float, stderr: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen]:
    """`command` with its output as a pipe; killed after `timeout_s`, or when the caller has had enough."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr) as process:
        _widen(process.stdout.fileno())
        watchdog = Timer(timeout_s, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()


def _widen(pipe: int) -> None:
    """Makes room in `pipe`, where the system can and allows it; elsewhere ffmpeg waits for us now and then."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(PermissionError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
