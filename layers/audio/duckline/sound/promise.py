"""What a file's own header promises, held against what is there: an upload that broke off must not be half heard.

FLAC promises samples, not bytes; `container` counts those.
"""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

NEVER_FILLED_IN = 0x7FFFF000  # bytes; a WAV that was streamed says so much, or more, or 0: no upload has 2 GB
SLACK = 0.01  # of what is promised; such an end is not missed, and an editor that cuts a little leaves the header be
SLACK_BYTES = 64  # some writers count the header as sound
_XING, _VBRI = (b"Xing", b"Info"), b"VBRI"
_HAS_FRAMES, _HAS_BYTES = 1, 2


def missing_bytes(path: Path, demuxer: str) -> int:
    """How many bytes of the sound in `path` its header promises that are not there.

    0 for a file that is whole, one that promises nothing, or one that lacks less than a listener would miss.
    `demuxer` is ffmpeg's name of the format.
    """
    measure = _MEASURES.get(demuxer)
    if measure is None or path.stat().st_size == 0:
        return 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        return measure(body)


def _beyond_slack(promised: int, there: int) -> int:
    lacking = promised - there
    return lacking if lacking > promised * SLACK + SLACK_BYTES else 0


def _of_wav(body: mmap.mmap) -> int:
    """By its `data` chunk; RF64 has the size in `ds64` (EBU Tech 3306)."""
    at, long_size = 12, 0
    while at + 8 <= len(body):
        name, size = struct.unpack_from("<4sI", body, at)
        if name == b"ds64" and at + 24 <= len(body):
            long_size = struct.unpack_from("<Q", body, at + 16)[0]
        if name == b"data":
            promised = long_size if size == 0xFFFFFFFF and long_size else size
            return _beyond_slack(promised, len(body) - at - 8) if promised < NEVER_FILLED_IN else 0
        at += 8 + size + size % 2
    return 0


def _of_mp3(body: mmap.mmap) -> int:
    """By what encoders leave in the first frame: Xing's header, as LAME writes it too, or Fraunhofer's VBRI.

    http://gabriel.mp3-tech.org/mp3infotag.html
    """
    first = after_id3(body[:10])
    frame = body[first : first + 256]
    promised = 0
    for name in _XING:
        at = frame.find(name, 0, 64)
        if at >= 0 and len(frame) >= at + 16:
            flags = int.from_bytes(frame[at + 4 : at + 8], "big")
            bytes_at = at + 8 + 4 * bool(flags & _HAS_FRAMES)
            promised = int.from_bytes(frame[bytes_at : bytes_at + 4], "big") if flags & _HAS_BYTES else 0
    if frame[36:40] == _VBRI:
        promised = int.from_bytes(frame[46:50], "big")
    return _beyond_slack(promised, len(body) - first)


def after_id3(head: bytes) -> int:
    """Where an MP3 begins behind the tag that its first ten bytes, `head`, announce; 0 if they announce none.

    The tag's size is in four times seven bits (ID3v2.4.0, 6.2).
    """
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _of_ogg(body: mmap.mmap) -> int:
    """By its pages, each of which tells its length (RFC 3533, section 6): the last may not be broken off.

    That the last page is not marked as such proves nothing, as recordings of streams end so.
    """
    at = 0
    while body[at : at + 4] == b"OggS":
        laced = body[at + 27 : at + 27 + body[at + 26]] if at + 27 <= len(body) else b""
        end = at + 27 + len(laced) + sum(laced)
        if at + 27 > len(body) or len(laced) < body[at + 26] or end > len(body):
            return max(end - len(body), 1)
        at = end
    return 0


def _of_mov(body: mmap.mmap) -> int:
    """By the outermost boxes, each of which tells its length (ISO 14496-12, 4.2)."""
    at = 0
    while at + 8 <= len(body):
        size = struct.unpack_from(">I", body, at)[0]
        if size == 1 and at + 16 <= len(body):
            size = struct.unpack_from(">Q", body, at + 8)[0]
        if size < 8:  # 0: it goes on to the end of the file
            return 0
        if at + size > len(body):
            return at + size - len(body)
        at += size
    return 0


_MEASURES: dict[str, Callable[[mmap.mmap], int]] = {"wav": _of_wav, "mp3": _of_mp3, "ogg": _of_ogg, "mov": _of_mov}
