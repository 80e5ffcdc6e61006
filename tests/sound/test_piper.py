"""The neural voice of the local stack, where it is installed."""

import numpy as np
import pytest

from duckline.errors import Malformed, Unspeakable
from duckline.sound.speech import LEVEL_DBOV, make_ready
from render.engines import choose
from tests.sound.recogniser import words_heard, wrong_words


@pytest.fixture(scope="module")
def engine():
    return choose("piper")


def test_it_says_what_it_is_told(engine):
    text = "The table by the window is free this evening. Please come in."
    pcm, rate_hz = engine.synthesise(text)
    assert pcm.dtype == np.float32 and pcm.ndim == 1
    assert rate_hz == 22_050
    ready = make_ready(pcm, rate_hz)
    assert ready.level_dbov == pytest.approx(LEVEL_DBOV, abs=1.5)
    assert wrong_words(text, words_heard(ready.pcm)) < 0.1


def test_it_has_one_voice(engine):
    assert engine.check_voice(None) == engine.check_voice("joe") == "joe"
    with pytest.raises(Malformed, match="there is no voice 'Joanna'; Piper has joe"):
        engine.synthesise("Hello.", voice="Joanna")


def test_ssml_is_refused_and_not_read_out(engine):
    with pytest.raises(Malformed, match="plain text alone"):
        engine.synthesise("<speak>Hello.</speak>", ssml=True)


def test_a_text_of_which_no_sound_comes_is_unspeakable(engine):
    with pytest.raises(Unspeakable, match="Piper made no sound of '   '"):
        engine.synthesise("   ")
