"""The ear: takes a recording of what a caller heard and tells what is in it.

`listen` is the whole of it; `report` sets its findings beside what the caller's side of the line knows.
"""

from local.ear.hearing import Heard, HeardSpeech, listen
from local.ear.recording import read_wav

__all__ = ["Heard", "HeardSpeech", "listen", "read_wav"]
