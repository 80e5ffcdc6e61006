"""The one clock of a call: frames of 20 ms, counted from the call's start.

A telephone carries 8000 samples a second, one µ-law byte each (ITU-T G.711), and its packets hold 20 ms (RFC 3551,
section 4.5). So a frame is 160 samples and 160 bytes, and every position in Duckline is a whole number of frames.
"""

SAMPLE_RATE_HZ = 8000
FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
FRAME_BYTES = FRAME_SAMPLES  # of µ-law
FRAMES_PER_SECOND = 1000 // FRAME_MS
SEGMENT_FRAMES = 200  # four seconds: one S3 GET every four seconds a call, 32 kB each


def frames_from_ms(duration_ms: float) -> int:
    """The fewest frames that hold `duration_ms`."""
    return -int(-duration_ms // FRAME_MS)


def ms_from_frames(frames: int) -> int:
    return frames * FRAME_MS


def frames_from_samples(samples: int) -> int:
    """The fewest frames that hold `samples`."""
    return -(-samples // FRAME_SAMPLES)
