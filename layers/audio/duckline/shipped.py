"""The bed that comes with the code: music for the first call after a deployment, and for when the bucket cannot be had.

`make` composes it and leaves it beside this module; every function that plays or mixes music carries it.
"""

from functools import cache
from pathlib import Path

from duckline.bed import Playlist
from duckline.call import BedSpan
from duckline.timeline import FRAME_BYTES

VERSION = "shipped"
SPAN = BedSpan(start=0, version=VERSION, name=VERSION)
HOME = Path(__file__).parent / "shipped_bed"


@cache
def playlist(home: Path = HOME) -> Playlist:
    """Raises FileNotFoundError if the bed has not been made."""
    return Playlist.from_json((home / "playlist.json").read_bytes())


@cache
def _sound(home: Path) -> bytes:
    return b"".join((home / Path(segment.key).name).read_bytes() for segment in playlist(home).segments)


def frames(first: int, count: int, home: Path = HOME) -> bytes:
    """`count` frames of µ-law from bed frame `first` on, round the loop as often as needed."""
    sound, length = _sound(home), playlist(home).frames
    pieces = []
    while count > 0:
        position = first % length
        taken = min(count, length - position)
        pieces.append(sound[position * FRAME_BYTES : (position + taken) * FRAME_BYTES])
        first, count = first + taken, count - taken
    return b"".join(pieces)
