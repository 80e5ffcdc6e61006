"""TwiML read as strictly as Twilio does: what it would warn of is a problem, what it would drop the call for a fault.

Codes are those of Twilio's error dictionary (twilio.com/docs/api/errors).
"""

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from local.twilio.log import CallFault

MOST_BYTES = 65_536
MOST_LOOPS = 1000  # what loop="0" comes to
KEYS = "0123456789*#"


@dataclass(frozen=True, slots=True)
class Play:
    url: str
    loop: int = 1
    digits: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    text: str
    loop: int = 1


@dataclass(frozen=True, slots=True)
class Pause:
    length_s: int = 1


@dataclass(frozen=True, slots=True)
class Redirect:
    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Hangup:
    pass


@dataclass(frozen=True, slots=True)
class Reject:
    reason: str = "rejected"


@dataclass(frozen=True, slots=True)
class Gather:
    """`action` "" is the document's own URL, `num_digits` None as many as come, `speech_timeout_s` None `auto`."""

    prompts: tuple[Play | Say | Pause, ...] = ()
    inputs: frozenset[str] = frozenset({"dtmf"})
    action: str = ""
    method: str = "POST"
    timeout_s: int = 5
    speech_timeout_s: int | None = 5
    num_digits: int | None = None
    finish_on_key: str = "#"
    action_on_empty_result: bool = False
    barge_in: bool = True


Verb = Play | Say | Pause | Redirect | Hangup | Reject | Gather


@dataclass(frozen=True, slots=True)
class Problem:
    """What Twilio warns of and then passes over."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    verbs: tuple[Verb, ...]
    problems: tuple[Problem, ...] = ()


def read(text: bytes) -> Document:
    """The verbs of a TwiML document. CallFault 11750 if it is too long, 12100 if it is not a document at all."""
    if len(text) > MOST_BYTES:
        raise CallFault(11750, f"the document has more than {MOST_BYTES} bytes")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 (of 64 kB at most, from this machine)
    except ElementTree.ParseError as error:
        raise CallFault(12100, f"not XML: {error}; it begins {text[:60]!r}") from error
    if root.tag != "Response":
        raise CallFault(12100, f"the root is <{root.tag}>; <Response> is right")
    reader = _Reader()
    verbs = reader.children(root, reader.verbs, nested_code=12200)
    return Document(verbs, tuple(reader.problems))


class _Reader:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.prompts: dict[str, Callable[[Element], Verb | None]] = {
            "Play": self._play,
            "Say": self._say,
            "Pause": self._pause,
        }
        self.verbs = self.prompts | {
            "Redirect": self._redirect,
            "Hangup": self._hangup,
            "Reject": self._reject,
            "Gather": self._gather,
        }

    def children(self, parent: Element, known: dict[str, Callable[[Element], Verb | None]], nested_code: int) -> tuple:
        """The verbs in `parent`; what is unknown there is a problem with `nested_code`."""
        stray = [parent.text, *(child.tail for child in parent)]
        for words in stray:
            if words and words.strip():
                self._problem(12200, f"text {words.strip()[:40]!r} in <{parent.tag}>; only verbs can stand there")
        found = []
        for child in parent:
            if child.tag not in known:
                self._problem(nested_code, f"<{child.tag}> in <{parent.tag}>; one of {', '.join(known)} is right")
            elif (verb := known[child.tag](child)) is not None:
                found.append(verb)
        return tuple(found)

    def _problem(self, code: int, message: str) -> None:
        self.problems.append(Problem(code, message))

    def _leaf(self, element: Element, attributes: str) -> str:
        """The text of an element that holds no other."""
        self._attributes(element, attributes)
        for child in element:
            self._problem(12200, f"<{child.tag}> in <{element.tag}>; nothing can be nested there")
        return (element.text or "").strip()

    def _empty(self, element: Element, attributes: str) -> None:
        """An element that holds nothing at all."""
        if words := self._leaf(element, attributes):
            self._problem(12200, f"text {words[:40]!r} in <{element.tag}>; nothing can stand there")

    def _attributes(self, element: Element, known: str) -> None:
        for name in sorted(set(element.attrib) - set(known.split())):
            self._problem(12200, f"<{element.tag}> has an attribute {name!r}; one of {known or 'none'} is right")

    def _count(self, element: Element, name: str, default: int, code: int, least: int = 0) -> int:
        given = element.get(name)
        if given is None:
            return default
        if given.isascii() and given.isdigit() and int(given) >= least:
            return int(given)
        self._problem(code, f"<{element.tag} {name}={given!r}>; a whole number from {least} is right")
        return default

    def _choice(self, element: Element, name: str, choices: tuple[str, ...], code: int) -> str:
        """One of `choices`, of which the first is the default."""
        given = element.get(name, choices[0])
        if given in choices:
            return given
        self._problem(code, f"<{element.tag} {name}={given!r}>; one of {', '.join(choices)} is right")
        return choices[0]

    def _play(self, element: Element) -> Play | None:
        url = self._leaf(element, "loop digits")
        digits = element.get("digits", "")
        if not set(digits) <= set(KEYS + "ABCDwW"):
            self._problem(13430, f"<Play digits={digits!r}>; keys and w for half a second are right")
            digits = ""
        if not url and not digits:
            self._problem(11100, "<Play> is empty; a URL is right")
            return None
        return Play(url, self._count(element, "loop", 1, 13410) or MOST_LOOPS, digits)

    def _say(self, element: Element) -> Say | None:
        # Twilio's text may carry SSML; here its words are enough.
        self._attributes(element, "voice language loop")
        text = " ".join("".join(element.itertext()).split())
        if not text:
            self._problem(13520, "<Say> is empty; words are right")
            return None
        return Say(text, self._count(element, "loop", 1, 13510) or MOST_LOOPS)

    def _pause(self, element: Element) -> Pause:
        self._empty(element, "length")
        return Pause(self._count(element, "length", 1, 13910))

    def _redirect(self, element: Element) -> Redirect | None:
        url = self._leaf(element, "method")
        if not url:
            self._problem(11100, "<Redirect> is empty; a URL is right")
            return None
        return Redirect(url, self._choice(element, "method", ("POST", "GET"), 13710))

    def _hangup(self, element: Element) -> Hangup:
        self._empty(element, "")
        return Hangup()

    def _reject(self, element: Element) -> Reject:
        self._empty(element, "reason")
        return Reject(self._choice(element, "reason", ("rejected", "busy"), 13810))

    def _gather(self, element: Element) -> Gather:
        self._attributes(
            element,
            "action actionOnEmptyResult bargeIn debug dtmfDetection enhanced finishOnKey hints input language "
            "maxSpeechTime method numDigits partialResultCallback partialResultCallbackMethod profanityFilter "
            "speechModel speechTimeout timeout",
        )
        inputs = frozenset(element.get("input", "dtmf").split())
        if not inputs or not inputs <= {"dtmf", "speech"}:
            self._problem(12200, f"<Gather input={element.get('input')!r}>; dtmf, speech or both are right")
            inputs = frozenset({"dtmf"})
        finish_on_key = element.get("finishOnKey", "#")
        if len(finish_on_key) > 1 or finish_on_key not in KEYS:
            self._problem(13310, f"<Gather finishOnKey={finish_on_key!r}>; one key of {KEYS}, or none, is right")
            finish_on_key = "#"
        timeout_s = self._count(element, "timeout", 5, 13313)
        speech_timeout_s = None
        if element.get("speechTimeout") != "auto":
            speech_timeout_s = self._count(element, "speechTimeout", timeout_s, 13327)
        num_digits = self._count(element, "numDigits", 0, 13314, least=1)
        return Gather(
            prompts=self.children(element, self.prompts, nested_code=13320),
            inputs=inputs,
            action=element.get("action", ""),
            method=self._choice(element, "method", ("POST", "GET"), 13312),
            timeout_s=timeout_s,
            speech_timeout_s=speech_timeout_s,
            num_digits=num_digits or None,
            finish_on_key=finish_on_key,
            action_on_empty_result=self._choice(element, "actionOnEmptyResult", ("false", "true"), 13338) == "true",
            barge_in=self._choice(element, "bargeIn", ("true", "false"), 13332) == "true",
        )
