"""From the request to the first word in the caller's ear, beside the least that it can be.

In virtual time, with services as slow as AWS's. The floor is what no schedule can avoid: synthesis, mixing, the clip's
way into the bucket, half a step until the next seal, the lead that is on its way already, and the music's way down.
"""

import statistics
import time
from unittest.mock import patch

import numpy as np

from benchmarks.report import Report, Row
from benchmarks.virtual import Services, VirtualCall
from duckline.envelope import DOWN_FRAMES, Duck
from duckline.sound.mix import Voice, mix_clip
from duckline.timeline import FRAME_MS, FRAME_SAMPLES
from stream.pace import SHORT_STEP_FRAMES, STEP_FRAMES

TITLE = "From a request to its first word, in virtual time (p95 of speeches; 200 ms of synthesis)"
SPEECHES = 80  # a setting
SPEECH_S = (1.0, 3.0)
PAUSE_MS = (1500, 3500)  # after one speech, before the next is asked for: at any phase of the steps
LONGEST_MS = 800_000  # all of it fits into one window

# lead in ms, short step in frames, the words are known already, the bound in s that the issue sets
SETTINGS = (
    (1000, SHORT_STEP_FRAMES, False, 1.6),
    (450, SHORT_STEP_FRAMES, False, 1.0),
    (2000, SHORT_STEP_FRAMES, False, None),
    (1000, STEP_FRAMES, False, None),
    (450, STEP_FRAMES, False, None),
    (1000, SHORT_STEP_FRAMES, True, None),
    (450, SHORT_STEP_FRAMES, True, None),
)


def run(report: Report) -> None:
    services = Services(mixing_ms=mixing_ms())
    told = []
    for lead_ms, step_frames, is_known, bound_s in SETTINGS:
        found = latencies_s(lead_ms, step_frames, services, is_known=is_known)
        p95 = float(np.quantile(found, 0.95))
        floor = floor_s(lead_ms, step_frames, services, is_known=is_known)
        words = "words said before" if is_known else "new words"
        report.add(
            Row(
                f"lead {lead_ms / 1000:g} s, step {step_frames * FRAME_MS} ms, {words}",
                p95,
                floor,
                "s",
                note=f"median {statistics.median(found):.2f} s, longest {max(found):.2f} s, of {len(found)} speeches",
                against="its floor",
            )
        )
        if bound_s:
            report.add(Row(f"  p95 at lead {lead_ms / 1000:g} s", p95, unit="s", bound=bound_s))
        told.append(
            {"lead_ms": lead_ms, "step_frames": step_frames, "is_known": is_known, "floor_s": floor, "heard_s": found}
        )
    report.extra["latency"] = told
    report.remark(f"mixing is counted with {services.mixing_ms:.1f} ms, measured here; API Gateway and Twilio are not")


def latencies_s(lead_ms: float, step_frames: int, services: Services, *, is_known: bool, seed: int = 1) -> list[float]:
    """The latencies of `SPEECHES` speeches, each asked for while nothing is said."""
    found: list[float] = []
    with patch("stream.playing.SHORT_STEP_FRAMES", step_frames):
        while len(found) < SPEECHES:
            call = VirtualCall(seed, lead_ms=lead_ms, services=services)
            call.place()
            if is_known:
                _said(call, "the same words", 2.0)
                call.spoken.clear()
            while call.world.time_ms < LONGEST_MS and len(found) + len(call.spoken) < SPEECHES:
                _said(call, "the same words" if is_known else "", 2.0 if is_known else call.rng.uniform(*SPEECH_S))
            if call.late_ms:
                raise RuntimeError(f"the stream was {call.late_ms:.0f} ms late in virtual time")
            found += [(spoken.heard_ms - spoken.asked_ms) / 1000 for spoken in call.spoken]
            seed += 1
    return found


def _said(call: VirtualCall, words: str, seconds: float) -> None:
    """Asks for a speech, waits until it is over, and for a while after it."""
    before = len(call.spoken)
    call.do(lambda: call.speak(seconds, words=words))
    while len(call.spoken) == before or not call.is_quiet():
        call.run_for(250)
    call.run_for(call.rng.uniform(*PAUSE_MS))


def floor_s(lead_ms: float, step_frames: int, services: Services, *, is_known: bool) -> float:
    making_ms = services.mixing_ms + services.put_ms + (0 if is_known else services.synthesis_ms)
    return (making_ms + step_frames * FRAME_MS / 2 + lead_ms + DOWN_FRAMES * FRAME_MS) / 1000


def mixing_ms(rounds: int = 25) -> float:
    """What it takes here to mix a clip of three seconds: the median."""
    duck = Duck(0, DOWN_FRAMES, DOWN_FRAMES + 150, 30, 0.2)
    rng = np.random.default_rng(2)
    music = (0.04 * rng.standard_normal(duck.end * FRAME_SAMPLES)).astype(np.float32)
    voice = Voice((0.1 * rng.standard_normal(150 * FRAME_SAMPLES)).astype(np.float32), DOWN_FRAMES)
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        mix_clip(music, duck, [voice])
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)
