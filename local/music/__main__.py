"""`python -m local.music calm out.mp3` writes a mood; `python -m local.music --sheet docs/beds.png` draws all three."""

import argparse
import sys
from pathlib import Path

from local.music import MOODS, compose, write_encoded
from local.music.moods import SCORES


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.music", description="The project's own hold music.")
    parser.add_argument("mood", nargs="?", help=", ".join(MOODS))
    parser.add_argument("path", nargs="?", type=Path, help="where to write it: a name in .mp3 or .ogg")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw spectrum, level and spectrogram of all moods")
    asked = parser.parse_args(arguments)
    if not asked.sheet and not (asked.mood and asked.path):
        parser.error("say what to write: a mood and a file (calm out.mp3), or --sheet and a file")
    try:
        if asked.mood and asked.path:
            write_encoded(asked.mood, asked.path)
            seconds, megabytes = SCORES[asked.mood].seconds, asked.path.stat().st_size / 1e6
            print(f"{asked.path}: {asked.mood}, {seconds} s and an encore, {megabytes:.1f} MB")
        if asked.sheet:
            from local.music.sheet import draw  # matplotlib takes longer to load than a mood to compose

            draw(asked.sheet, {mood: compose(mood) for mood in MOODS})
            print(f"{asked.sheet}: {', '.join(MOODS)}, {asked.sheet.stat().st_size // 1000} kB")
    except (ValueError, RuntimeError, OSError) as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
