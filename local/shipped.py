"""Makes the bed that ships with the code: composed, encoded, decoded and made ready like anybody's music.

`make` runs it once; the files lie in layers/audio/duckline/shipped_bed/ and go into every artifact.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from duckline import shipped
from duckline.sound.bedmaking import make_bed
from local import music

MOOD = "calm"


def make_shipped_bed(home: Path = shipped.HOME) -> None:
    """Leaves segments and playlist in `home`, the playlist last."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)

    def write(key: str, body: bytes) -> None:
        (home / Path(key).name).write_bytes(body)

    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / f"{MOOD}.ogg"
        music.write_encoded(MOOD, song)
        make_bed([song], write)


if __name__ == "__main__":
    make_shipped_bed()
    print(f"· the bed that ships: {shipped.playlist().seconds:.0f} s of {MOOD!r}", file=sys.stderr)
