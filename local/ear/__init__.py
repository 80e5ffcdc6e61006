"""The ear: takes a recording of what a caller heard and tells what is in it.

`listen` is the whole of it; `report` sets what it finds beside what the caller's side of the line knows. On the way
from one to the other: `recording` (the file), `reference` (a sound known beforehand), `alignment` and `path` (where
in it the recording is), `ducking` (the music's gain), `votes` and `speeches` (what was said), `explanation` (all of
these together), `gaps` and `clicks` (what they leave), `findings`.
"""

from local.ear.findings import Heard, HeardSpeech
from local.ear.hearing import listen
from local.ear.recording import read_wav

__all__ = ["Heard", "HeardSpeech", "listen", "read_wav"]
