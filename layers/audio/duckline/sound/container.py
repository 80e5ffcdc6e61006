"""What kind of file holds a sound, and whether it may be decoded at all."""

import re
import struct
import subprocess
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from duckline.errors import TooLarge, UnreadableAudio
from duckline.sound import ffmpeg
from duckline.sound.promise import SLACK, after_id3, missing_bytes

WANTED = "MP3, OGG, FLAC, M4A or WAV"
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 4_000, 192_000
MOST_CHANNELS = 8

_PROBE_TIMEOUT_S = 10  # it takes some 10 ms, and a second when Lambda reads ffmpeg's 80 MB for the first time
_MOST_REMARKS_BYTES = 256 * 1024
_MOST_MOOV_BYTES = 16 * 1024 * 1024
_COUNTING_SLACK_S = 0.05
_MPEG_1_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # of layer III
_MPEG_2_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_CREDIBLE_BITS_PER_SECOND = 64_000  # of music; where there are fewer, the length is not taken from the header alone


@dataclass(frozen=True, slots=True)
class SoundFile:
    """A file that holds sound. `demuxer` is ffmpeg's name for `kind`; `seconds` is what the file says, if it does."""

    path: Path
    kind: str
    demuxer: str
    codec: str
    rate_hz: int
    channels: int
    seconds: float | None

    @property
    def says_its_length(self) -> bool:
        """Whether a file that holds more than `seconds` lies. An MP3's length may be a guess from its first frames."""
        return self.seconds is not None and self.kind != "MP3"


def recognise(path: Path, longest_s: float) -> SoundFile:
    """The sound in `path`, of which ffmpeg has decoded the first millisecond.

    Raises UnreadableAudio if the file is none of MP3, OGG, FLAC, M4A and WAV, or is damaged, protected or a video, or
    holds less than it promises, and TooLarge if by its own account it lasts longer than `longest_s`.
    """
    kind, demuxer = _kind(path)
    if demuxer == "mov" and _is_protected(path):
        raise UnreadableAudio(f"this {kind} is protected (DRM): send a copy without protection")
    wav, remarks, failed = _probe(path, demuxer)
    if "Input #0" not in remarks or (demuxer == "mp3" and not _goes_on_as_mp3(path)):
        raise UnreadableAudio(f"this {kind} of {path.stat().st_size} bytes is damaged or cut short: send it whole")
    streams = [line for line in remarks.partition("Output #0")[0].splitlines() if re.match(r" +Stream #0:\d", line)]
    if any("Video:" in line and "(attached pic)" not in line for line in streams):  # a cover picture does no harm
        raise UnreadableAudio(f"this {kind} holds video: send its sound alone, as {WANTED}")
    codec = next((match[1] for line in streams if (match := re.search(r"Audio: (\w+)", line))), None)
    if codec is None:
        raise UnreadableAudio(f"this {kind} holds no sound: send {WANTED} with music or speech in it")
    if failed or len(wav) < 44:
        raise UnreadableAudio(f"the {codec} sound in this {kind} cannot be decoded: send it whole, or as WAV")
    channels, rate_hz = struct.unpack_from("<HI", wav, 22)
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ or not 1 <= channels <= MOST_CHANNELS:
        raise UnreadableAudio(
            f"this {kind} says it has {channels} channels at {rate_hz} Hz: "
            f"send 1 to {MOST_CHANNELS} channels at {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz"
        )
    said_s = seconds = _seconds(remarks, "Duration: ")
    credible = seconds is not None and path.stat().st_size * 8 >= _CREDIBLE_BITS_PER_SECOND * seconds
    if not credible and (seconds or 0.0) <= longest_s:
        seconds = _counted_seconds(path, demuxer, longest_s)
    if seconds is not None and seconds > longest_s:
        raise TooLarge(f"this {kind} lasts {seconds:.0f} s or more: send at most {longest_s:.0f} s")
    if lacking := missing_bytes(path, demuxer):
        raise UnreadableAudio(f"this {kind} is cut short, {lacking} bytes before the end it promises: send it whole")
    if demuxer == "flac" and said_s is not None:
        there_s = (_counted_seconds(path, demuxer, longest_s) if credible else seconds) or 0.0
        if there_s < said_s * (1 - SLACK) - _COUNTING_SLACK_S:
            raise UnreadableAudio(
                f"this {kind} is cut short: it promises {said_s:.1f} s and holds {there_s:.1f} s: send it whole"
            )
    return SoundFile(path, kind, demuxer, codec, rate_hz, channels, seconds)


def _kind(path: Path) -> tuple[str, str]:
    """What people call the format, and ffmpeg's demuxer for it, by the leading bytes."""
    with path.open("rb") as file:
        head = file.read(12)
        tagged = head[:3] == b"ID3" and len(head) >= 10
        if tagged:
            file.seek(after_id3(head))
            head = file.read(12)
    if not head and not tagged:
        raise UnreadableAudio(f"the file is empty: send {WANTED}")
    if head[:4] == b"fLaC":
        return "FLAC", "flac"
    if tagged or _is_mp3_header(head):
        return "MP3", "mp3"
    if head[:4] == b"OggS":
        return "OGG", "ogg"
    if head[4:8] == b"ftyp":
        return "M4A", "mov"
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "WAV", "wav"
    raise UnreadableAudio(f"the file begins with {head!r}, which is none of {WANTED}")


def _is_mp3_header(head: bytes) -> bool:
    """Eleven bits of sync, a version, layer III, and a bit rate and sample rate that exist (ISO 11172-3, 2.4.2.3)."""
    if len(head) < 4:
        return False
    sync_and_layer, version, bit_rate, sample_rate = head[1] & 0xE6, head[1] & 0x18, head[2] >> 4, head[2] & 0x0C
    return head[0] == 0xFF and sync_and_layer == 0xE2 and version != 0x08 and 0 < bit_rate < 15 and sample_rate != 0x0C


def _goes_on_as_mp3(path: Path) -> bool:
    """Whether the first frame of an MP3 without a tag is followed by another, or by nothing.

    Four bytes look like a header by chance, and a decoder would find some frames in any noise of a few megabytes.
    """
    with path.open("rb") as file:
        head = file.read(4)
        if not _is_mp3_header(head):
            return True  # a tag comes first, and what may lie behind it is for the decoder to judge
        file.seek(_mp3_frame_bytes(head))
        following = file.read(4)
    return len(following) < 4 or following[:3] == b"TAG" or _is_mp3_header(following)


def _mp3_frame_bytes(header: bytes) -> int:
    """The length of a frame of layer III (ISO 11172-3, 2.4.3.1; ISO 13818-3 for the halved rates)."""
    is_mpeg_1 = header[1] & 0x18 == 0x18
    halvings = 0 if is_mpeg_1 else (1 if header[1] & 0x10 else 2)
    rate_hz = (44_100, 48_000, 32_000)[header[2] >> 2 & 3] >> halvings
    kbps = (_MPEG_1_KBPS if is_mpeg_1 else _MPEG_2_KBPS)[(header[2] >> 4) - 1]
    return (144_000 if is_mpeg_1 else 72_000) * kbps // rate_hz + (header[2] >> 1 & 1)


def _is_protected(path: Path) -> bool:
    """Whether the movie header speaks of a protection scheme: the box `sinf` (ISO 14496-12, 8.12.1)."""
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8:
            size, name = struct.unpack(">I4s", header)
            left = size - 8
            if size == 1 and len(large := file.read(8)) == 8:
                left = struct.unpack(">Q", large)[0] - 16
            if name == b"moov":
                return b"sinf" in file.read(min(max(left, 0), _MOST_MOOV_BYTES))
            if left < 0:
                return False
            file.seek(left, 1)
    return False


def _probe(path: Path, demuxer: str) -> tuple[bytes, str, bool]:
    """The first millisecond as a WAV, what ffmpeg remarked on the file, and whether it failed."""
    command = [*ffmpeg.reading(path, demuxer), "-t", "0.001", "-f", "wav", "-"]
    with ffmpeg.running(command, _PROBE_TIMEOUT_S, stderr=subprocess.PIPE) as process:
        # First the remarks: so little sound waits in its pipe. A file that earns that many is not worth hearing out.
        remarks = process.stderr.read(_MOST_REMARKS_BYTES)
        if len(remarks) == _MOST_REMARKS_BYTES:
            process.kill()
        wav = process.stdout.read()
        failed = process.wait() != 0
    return wav, remarks.decode(errors="replace"), failed


def _counted_seconds(path: Path, demuxer: str, longest_s: float) -> float | None:
    """How long the packets of a file are together, undecoded; it stops a second over `longest_s`.

    Ten hours of silence in a few megabytes give themselves away so at 4,000 to 16,000 times their own speed.
    """
    command = [*ffmpeg.reading(path, demuxer), "-c:a", "copy", "-t", str(longest_s + 1), "-f", "null", "-"]
    with ffmpeg.running(command, _PROBE_TIMEOUT_S, stderr=subprocess.PIPE) as process:
        remarks = deque(process.stderr, maxlen=20)
    return _seconds(b"".join(remarks).decode(errors="replace"), "time=")


def _seconds(remarks: str, before: str) -> float | None:
    """The last time that ffmpeg tells after the words `before`."""
    times = re.findall(before + r"(\d+):(\d+):(\d+\.\d+)", remarks)
    return int(times[-1][0]) * 3600 + int(times[-1][1]) * 60 + float(times[-1][2]) if times else None
