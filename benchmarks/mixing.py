"""Ten seconds of speech laid over ten seconds of music, µ-law in and µ-law out, by what people would use for it.

pydub is the fair neighbour: the same bytes in, the same kind of bytes out, in the same process. Its `overlay` lowers
the music by a step where ours has ramps. It is shown without the telephone's codec too: 16-bit samples in and out.
ffmpeg's `sidechaincompress` is what a shell script would call: a process, with files in and out.
"""

import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

from benchmarks.report import Report, Row
from benchmarks.timing import side_by_side
from duckline import shipped
from duckline.envelope import Duck
from duckline.sound import mulaw
from duckline.sound.mix import Scratch, Voice, mix_clip
from duckline.sound.speech import make_ready
from duckline.timeline import FRAME_SAMPLES, SAMPLE_RATE_HZ
from duckline.wav import mulaw_header, pcm16_header
from render.engines.espeak import EspeakEngine

with warnings.catch_warnings(action="ignore"):
    import audioop

    from pydub import AudioSegment

TITLE = "Mixing ten seconds"
FRAMES = 500
DUCK = Duck(start=0, down=6, up_at=470, up=30, depth=0.2)
TEXT = "Your order has left the warehouse and will be with you tomorrow before noon. " * 3
MOST_OF_PYDUB, MOST_OF_FFMPEG = 1 / 4, 1 / 100
ROUNDS, REPEATS = 60, 5


def run(report: Report) -> None:
    bed = shipped.frames(0, FRAMES)
    speech = make_ready(*EspeakEngine().synthesise(TEXT)).pcm[: (DUCK.up_at - DUCK.down) * FRAME_SAMPLES]
    scratch, decoded = Scratch(), np.empty(FRAMES * FRAME_SAMPLES, np.float32)
    bed16 = np.rint(mulaw.decode(bed) * 32768).astype("<i2").tobytes()
    speech16 = np.rint(speech * 32768).astype("<i2").tobytes()
    depth_db = 20 * float(np.log10(DUCK.depth))

    def ours() -> bytes:
        return mix_clip(mulaw.decode(bed, decoded), DUCK, [Voice(speech, DUCK.down)], scratch)

    def laid_over(music: bytes) -> bytes:
        mixed = _segment(music).overlay(_segment(speech16), position=DUCK.down * 20, gain_during_overlay=depth_db)
        return mixed.raw_data

    def pydub() -> bytes:
        return audioop.lin2ulaw(laid_over(audioop.ulaw2lin(bed, 2)), 2)

    for made in (ours(), pydub()):
        if len(made) != len(bed):
            raise RuntimeError(f"{len(made)} bytes were mixed where {len(bed)} belong")
    alike = {"ours": ours, "pydub": pydub, "pydub, 16 bits": lambda: laid_over(bed16)}
    ms = side_by_side({name: _several(function) for name, function in alike.items()}, ROUNDS)
    ms = {name: taken / REPEATS for name, taken in ms.items()}
    with tempfile.TemporaryDirectory() as folder:
        process = _sidechain(Path(folder), bed, speech16)
        process_ms = side_by_side({"ours": ours, "ffmpeg": process})["ffmpeg"]
    name = "µ-law to µ-law"
    report.add(Row(name, ms["ours"], ms["pydub"], "ms", bound=MOST_OF_PYDUB, against="pydub overlay"))
    report.add(
        Row(name, ms["ours"], process_ms, "ms", bound=MOST_OF_FFMPEG, against="ffmpeg sidechaincompress, a process")
    )
    report.add(
        Row("beside 16 bits to 16 bits", ms["ours"], ms["pydub, 16 bits"], "ms", against="pydub overlay without µ-law")
    )
    report.remark("pydub lowers the music by a step; ours has ramps, and a table that rounds to the nearest of µ-law.")


def _segment(pcm16: bytes) -> AudioSegment:
    return AudioSegment(pcm16, sample_width=2, frame_rate=SAMPLE_RATE_HZ, channels=1)


def _several(function):
    def several() -> None:
        for _ in range(REPEATS):
            function()

    return several


def _sidechain(folder: Path, bed: bytes, speech16: bytes):
    """ffmpeg with the music's compressor driven by the speech, and the speech added."""
    music, voice, out = folder / "bed.wav", folder / "speech.wav", folder / "out.wav"
    music.write_bytes(mulaw_header(len(bed)) + bed)
    voice.write_bytes(pcm16_header(len(speech16) // 2) + speech16)
    ducking = (
        "[1]apad,asplit[key][voice];[0][key]sidechaincompress=threshold=0.01:ratio=20:attack=20:release=250[music];"
        "[music][voice]amix=normalize=0:duration=first"
    )
    command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-i", music, "-i", voice, "-filter_complex", ducking]
    command += ["-c:a", "pcm_mulaw", out]

    def sidechain() -> None:
        subprocess.run(command, check=True)

    sidechain()
    if abs(out.stat().st_size - len(bed)) > SAMPLE_RATE_HZ:
        raise RuntimeError(f"ffmpeg wrote {out.stat().st_size} bytes where ten seconds have {len(bed)}")
    return sidechain
