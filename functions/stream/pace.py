"""When to seal and how far: bytes run ahead of the caller's ear by the lead, and never by much more."""

import math
from dataclasses import dataclass

from duckline.timeline import FRAME_MS

STEP_FRAMES = 13  # 260 ms: under four seals a second
SHORT_STEP_FRAMES = 5  # 100 ms while a speech is being made: it finds its place sooner
SHORT_FOR_MS = 1500  # a maker that takes longer is not helped by more seals


@dataclass(frozen=True, slots=True)
class Pace:
    """The clock of one window: frame `first` is heard at `began_ms`, on the monotonic clock, at the earliest."""

    first: int
    began_ms: float
    lead_frames: int

    def due_ms(self, sent: int) -> float:
        """When the frames from `sent` on must be on their way for the caller to have the lead in hand."""
        return self.began_ms + (sent - self.first - self.lead_frames) * FRAME_MS

    def target(self, now_ms: float) -> int:
        """The frame up to which everything must have been sent by now."""
        return self.first + self.lead_frames + math.ceil((now_ms - self.began_ms) / FRAME_MS)

    def dry_ms(self, sent: int) -> float:
        """When the caller will have heard all that lies below frame `sent`."""
        return self.began_ms + (sent - self.first) * FRAME_MS

    def late_ms(self, sent: int, now_ms: float) -> float:
        """How long the caller has had nothing to hear, if the lead is used up; otherwise 0."""
        return max(0.0, now_ms - self.dry_ms(sent))

    def after_stall(self, stalled_ms: float) -> "Pace":
        """The pace once the caller's ear has waited: everything is heard later by that much, the lead is the same."""
        return Pace(self.first, self.began_ms + stalled_ms, self.lead_frames)
