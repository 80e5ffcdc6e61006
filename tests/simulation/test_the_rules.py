"""Some hundred calls on bad days keep the eight rules, and a rule that is broken on purpose is noticed."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from duckline import berth, schedule, window
from duckline.stores.memory import MemoryCalls
from local.simulation.rules import RuleBroken
from local.simulation.scenario import Plan, Run
from stream.books import Books

SEEDS = 300
TRIED = range(400)  # seeds among which a broken rule must show


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_calls_on_bad_days_keep_the_rules(first):
    for seed in range(first, first + 50):
        Run(Plan.from_seed(seed)).play()


def test_the_same_seed_is_the_same_call():
    once, again = (Run(Plan.from_seed(11)).play() for _ in range(2))
    assert once.line.heard == again.line.heard
    assert once.call == again.call


def test_publishing_without_the_condition_is_noticed(monkeypatch):
    monkeypatch.setattr("duckline.stores.memory.limit_of_seal", lambda before, after, *, exact: None)
    # A render that is slow to store its clip then publishes into what has been sent.
    assert "2:" in _first_broken()


def test_a_seal_that_looks_at_no_epoch_and_no_holder_is_noticed(monkeypatch):
    held = MemoryCalls.seal

    def seal(self, call_sid, hold, to, **kwargs):
        current = self.calls[call_sid]
        mine = replace(hold, epoch=current.epoch, holder=current.holder)
        return held(self, call_sid, mine, to, **kwargs)

    monkeypatch.setattr(MemoryCalls, "seal", seal)
    assert "1:" in _first_broken(lambda plan: plan.trouble.broken)


def test_a_seal_that_may_go_back_is_noticed(monkeypatch):
    held = MemoryCalls.seal

    def seal(self, call_sid, hold, to, **kwargs):
        current = self.calls[call_sid]
        if (current.epoch, current.holder) == (hold.epoch, hold.holder) and not current.ended and current.sealed > to:
            self.calls[call_sid] = replace(current, sealed=to)
        return held(self, call_sid, hold, to, **kwargs)

    monkeypatch.setattr(MemoryCalls, "seal", seal)
    assert "1:" in _first_broken(lambda plan: plan.faults.late)


def test_going_on_after_a_broken_window_without_speaking_again_is_noticed(monkeypatch):
    monkeypatch.setattr(window, "unheard", lambda call, heard: ())
    assert "5:" in _first_broken(lambda plan: plan.trouble.killed)


def test_dropping_a_speech_before_its_history_is_noticed(monkeypatch):
    def keep(self, call, heard, now_ms):
        return tuple(speech.speech_id for speech in schedule.over(call, heard))

    monkeypatch.setattr(Books, "keep", keep)
    assert "5:" in _first_broken()


def test_a_step_in_the_gain_is_noticed(monkeypatch):
    monkeypatch.setattr(berth, "music_gain", lambda call, frame: 1.0)
    assert "3:" in _first_broken()


def test_a_voice_that_comes_back_when_what_cut_it_is_gone_is_noticed(monkeypatch):
    def cut(speech, at, fade):
        begun = tuple(part for part in speech.parts if part.start < at)
        return replace(speech, parts=(*begun, fade) if begun and fade is not None else begun)

    monkeypatch.setattr(schedule, "_cut", cut)
    assert "5:" in _first_broken(lambda plan: plan.interrupts > 0.2)


def test_speeches_out_of_order_are_noticed(monkeypatch):
    monkeypatch.setattr("render.speaking.is_next", lambda call, speech: True)
    assert _first_broken()


def _first_broken(fits: Callable[[Plan], object] = lambda plan: True) -> str:
    """What the first seed that shows it says, among those whose plan `fits`; nothing if none does."""
    for plan in filter(fits, map(Plan.from_seed, TRIED)):
        try:
            Run(plan).play()
        except RuleBroken as broken:
            return str(broken).split(": ", 1)[1]
    return ""
