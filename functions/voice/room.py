"""Whether there is room for one more call, so that nobody waits in silence for a stream that Lambda will not start.

The bound is soft: calls that come in at the same moment are not counted by one another.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from duckline.stores import NotReached
from duckline.stores.occupancy import Occupancy


@dataclass(frozen=True, slots=True)
class Room:
    """Room for `most` calls at once. `count` keeps how many there are whenever one comes in."""

    occupancy: Occupancy
    most: int
    count: Callable[[str, float], None]
    log: logging.Logger

    def is_full(self, now_ms: int) -> bool:
        """Where the calls cannot be counted there is room: a stream that is refused is made good by /voice/next."""
        try:
            live = self.occupancy.live(now_ms, self.most)
        except NotReached as reason:
            self.log.warning("the calls cannot be counted", extra={"reason": str(reason)})
            return False
        self.count("ConcurrentCalls", min(live + 1, self.most))
        return live >= self.most
