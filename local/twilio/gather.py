"""What a `<Gather>` has heard so far, and until when it listens."""

from dataclasses import dataclass

from local.twilio.twiml import Gather

SPEECH_PAUSE_S = 1.0  # after which speechTimeout="auto" takes the caller to have finished; Twilio names no number


@dataclass(frozen=True, slots=True)
class Input:
    """A key (`kind` "dtmf") or words ("speech") of the caller, at a time of the simulator's clock."""

    kind: str
    content: str
    at: float


class Collector:
    def __init__(self, gather: Gather) -> None:
        self._gather = gather
        self._keys = ""
        self._finished_on = ""
        self._words = ""
        self._last: Input | None = None
        self.finished = False

    def takes(self, heard: Input) -> bool:
        return heard.kind in self._gather.inputs

    def interrupts(self, heard: Input) -> bool:
        """Whether the prompts stop for it."""
        return self.takes(heard) and (heard.kind == "dtmf" or self._gather.barge_in)

    def take(self, heard: Input) -> None:
        self._last = heard
        if heard.kind == "speech":
            self._words = f"{self._words} {heard.content}".strip()
        elif heard.content == self._gather.finish_on_key:
            self._finished_on = heard.content
            self.finished = True
        else:
            self._keys += heard.content
            self.finished = len(self._keys) == self._gather.num_digits

    def deadline(self, prompts_ended_at: float) -> float:
        """Until when it listens if nothing more comes."""
        if self._last is None:
            return prompts_ended_at + self._gather.timeout_s
        if self._last.kind == "speech":
            pause_s = self._gather.speech_timeout_s
            return self._last.at + (SPEECH_PAUSE_S if pause_s is None else pause_s)
        return self._last.at + self._gather.timeout_s

    def form(self) -> dict[str, str] | None:
        """What the action is told; None if there is nothing to tell, and the next verb follows."""
        if self._words:
            return {"SpeechResult": self._words, "Confidence": "0.9", "Language": "en-US"}
        if self._keys or self._gather.action_on_empty_result:
            return {"Digits": self._keys, "FinishedOnKey": self._finished_on, "msg": "Gather End"}
        return None
