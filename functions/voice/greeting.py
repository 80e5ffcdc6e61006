"""The first words of a call: kept before the call is, so that whoever takes up the work finds them."""

from duckline.records import SpeechRecord, greeting_id
from duckline.script import check_text
from duckline.stores import Speeches

KEPT = "1"  # stands for words that POST /calls has kept already: an address, which is logged on its way, is spared them


def keep_greeting(speeches: Speeches, call_sid: str, words: str, now_ms: int) -> bool:
    """Whether the call is to begin with a speech, the words of which are kept then. The first words stand.

    Raises Unspeakable for words that cannot be spoken or are too many, NotReached.
    """
    if words and words != KEPT:
        text = check_text(words)
        speeches.keep(SpeechRecord(call_sid, greeting_id(call_sid), "greeting", requested_at_ms=now_ms, text=text))
    return bool(words)
