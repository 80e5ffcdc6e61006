"""Speaks sentences, all of them once and then again, into an .npz file: `python speaker.py FILE NAME=TEXT …`.

eSpeak NG's state goes on from one sentence to the next, so that nothing is ever said twice alike. In a process of its
own it says the same words in the same order alike, whatever has been said elsewhere.
"""

import sys

import numpy as np

from duckline.sound.speech import make_ready
from render.engines.espeak import EspeakEngine

TAKES = 2


def main(file: str, *sentences: str) -> None:
    engine = EspeakEngine()
    takes = {}
    for take in range(TAKES):
        for sentence in sentences:
            name, text = sentence.split("=", 1)
            takes[f"{name} {take}"] = make_ready(*engine.synthesise(text)).pcm
    np.savez(file, **takes)


if __name__ == "__main__":
    main(*sys.argv[1:])
