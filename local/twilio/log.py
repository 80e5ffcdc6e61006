"""What a call leaves behind for those who judge it: requests and errors, with times by the simulator's clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Request:
    """One request as Twilio made it, and what came back.

    `kind` is `voice`, `redirect`, `gather`, `status`, `amd` (who answered), `head` or `media`. For media `answered_at`
    is when the headers were there. `failure` says why there is no answer, or why it is no use.
    """

    kind: str
    method: str
    url: str
    headers: Mapping[str, str]
    asked_at: float
    form: Mapping[str, str] = field(default_factory=dict)
    answered_at: float | None = None
    status: int | None = None
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    twiml: str = ""
    failure: str = ""

    @property
    def open(self) -> bool:
        """Whether it is still waiting for its answer."""
        return self.answered_at is None and not self.failure


@dataclass(frozen=True, slots=True)
class CallError:
    """An entry of Twilio's debugger. Codes are Twilio's own (twilio.com/docs/api/errors)."""

    at: float
    code: int
    message: str
    url: str = ""


class CallFault(Exception):
    """Something that Twilio answers with a debugger entry, and, where it cannot go on, by dropping the call."""

    def __init__(self, code: int, message: str, url: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.url = code, message, url

    def entry(self, at: float) -> CallError:
        return CallError(at, self.code, self.message, self.url)
