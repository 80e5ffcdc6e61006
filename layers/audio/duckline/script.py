"""What is to be said: text or SSML checked before anything is accepted, and long text cut into parts.

A long text is spoken in parts of growing length, so that its first words are heard as early as a short text's, and each
part is made while the one before is heard. SSML is spoken in one piece: its tags may span all of it.
"""

import re
import unicodedata
from collections.abc import Iterator
from xml.parsers import expat

from duckline.errors import Malformed, Unspeakable

TEXT_LIMIT = 3000  # characters; Amazon Polly takes at most so many a request, the tags of SSML not counted
SSML_LIMIT = 6000  # with the tags; Polly's as well
BREAK_MOST_S = 10  # https://docs.aws.amazon.com/polly/latest/dg/break-tag.html

FIRST_PART = 80  # characters, about five seconds of speech
GROWTH = 2.5
LONGEST_PART = 900  # about a minute
STRETCH = 1.5  # a part may be longer by so much if it ends with its sentence then

# https://docs.aws.amazon.com/polly/latest/dg/supportedtags.html
SSML_TAGS = frozenset(
    {"speak", "amazon:auto-breaths", "amazon:breath", "amazon:domain", "amazon:effect", "break", "emphasis", "lang"}
    | {"mark", "p", "phoneme", "prosody", "s", "say-as", "sub", "w"}
)

_UNSPOKEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]")  # controls and the byte order mark
_HALF = re.compile("[\ud800-\udfff]")  # of a character: JSON can escape one alone, no encoding can carry it
_BREAK_TIME = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s)")
_OPENING = "\"'“‘«¿¡(["
_CLOSING = r"""["'”’»)\]]*"""
_SENTENCE_END = re.compile(rf"[.!?…؟۔।]+{_CLOSING}(?= )|[。！？]+[」』）]*")
_CLAUSE_END = re.compile(rf"(?:[,;:،؛—–]|(?<= )-){_CLOSING}(?= )|[、，；：]")
# After these a full stop need not end a sentence: English, German, then French, Spanish and Italian.
_ABBREVIATION = re.compile(
    "dr|mr|mrs|ms|prof|rev|gen|sen|rep|capt|lt|col|sgt|st|ave|rd|blvd|apt|no|nos|vs|etc|approx|dept|est|ext|"
    "fig|inc|ltd|co|corp|jr|sr|tel|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|mon|tue|wed|thu|fri|sat|"
    "sun|hr|fr|nr|str|bzw|ca|evtl|ggf|inkl|max|min|mio|mrd|tägl|usw|vgl|zzgl|mme|mlle|env|av|bd|sra|srta|dra|"
    "avda|núm|sig|dott|ing|avv|pag",
    re.IGNORECASE,
)


def check_text(text: str) -> str:
    """`text` in Unicode's composed form, its white space collapsed, control characters gone.

    Raises Unspeakable if nothing is left to be said, if it is longer than TEXT_LIMIT or has half a character.
    """
    if half := _HALF.search(text):
        raise Unspeakable(
            f"the text has {half.group()!r} as character {half.start() + 1}, which is half a character;"
            " both halves or neither would be right"
        )
    spoken = " ".join(unicodedata.normalize("NFC", _UNSPOKEN.sub("", text)).split())
    if not _holds_a_word(spoken):
        raise Unspeakable(f"the text {_quoted(text)} has nothing to say; it must hold a word")
    if len(spoken) > TEXT_LIMIT:
        raise Unspeakable(f"the text has {len(spoken)} characters; at most {TEXT_LIMIT} can be spoken at once")
    return spoken


def parts(text: str) -> list[str]:
    """`text`, as `check_text` gives it, in parts of growing length: the same words in the same order.

    A part ends with a sentence if it can, or with a clause, or with a word; only a word longer than a part is cut.
    """
    result: list[str] = []
    target = float(FIRST_PART)
    while len(text) > target * STRETCH:
        cut = _cut(text, int(target))
        result.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
        target = min(target * GROWTH, LONGEST_PART)
    return [*result, text]


def check_ssml(ssml: str) -> str:
    """`ssml` without the white space around it, known to be a well-formed `<speak>` of tags that Amazon Polly knows.

    Raises Malformed, saying where, if it is not; Unspeakable if it says nothing or is too long.
    """
    ssml = ssml.strip()
    if len(ssml) > SSML_LIMIT:
        raise Unspeakable(f"the SSML has {len(ssml)} characters; at most {SSML_LIMIT} can be spoken at once")
    if unfit := re.search(
        "<!|[\ud800-\udfff]", ssml
    ):  # looked for ahead of the parser: entities could grow without end
        line, column = ssml.count("\n", 0, unfit.start()) + 1, unfit.start() - ssml.rfind("\n", 0, unfit.start())
        raise Malformed(
            f"the SSML has {unfit.group()!r} at line {line}, column {column};"
            " it must do without DOCTYPE, CDATA, comments and half characters"
        )
    spoken = " ".join("".join(_spoken_by(ssml)).split())
    if not _holds_a_word(spoken):
        raise Unspeakable(f"the SSML {_quoted(ssml)} has nothing to say; it must hold a word")
    if len(spoken) > TEXT_LIMIT:
        raise Unspeakable(f"the SSML speaks {len(spoken)} characters; at most {TEXT_LIMIT} can be spoken at once")
    return ssml


def _spoken_by(ssml: str) -> list[str]:
    """The character data of `ssml`, its tags held to those that are known."""
    parser = expat.ParserCreate()  # namespaces are not looked at: Polly's `amazon:` needs no declaration
    found: list[str] = []
    root: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        where = f"at line {parser.CurrentLineNumber}, column {parser.CurrentColumnNumber + 1}"
        if (tag == "speak") == bool(root):
            raise Malformed(f"the SSML has <{tag}> {where}; <speak> must be the outermost tag and only that")
        if tag not in SSML_TAGS:
            raise Malformed(f"the SSML has <{tag}> {where}; the tags that are known: {', '.join(sorted(SSML_TAGS))}")
        if tag == "break" and "time" in attributes and not _is_break_time(attributes["time"]):
            raise Malformed(
                f"the SSML has a break of {_quoted(attributes['time'])} {where};"
                f" up to {BREAK_MOST_S}s or {BREAK_MOST_S * 1000}ms would be right, several breaks make a longer pause"
            )
        root.append(tag)

    parser.StartElementHandler = start
    parser.CharacterDataHandler = found.append
    try:
        parser.Parse(ssml, True)
    except expat.ExpatError as error:
        where = f"at line {error.lineno}, column {error.offset + 1}"
        raise Malformed(f"the SSML is not well-formed {where}: {expat.ErrorString(error.code)}") from None
    return found


def _holds_a_word(text: str) -> bool:
    """Whether there is a letter, a digit or a symbol: €, + and 👍 are spoken too, a lone comma is not."""
    return any(character.isalnum() or unicodedata.category(character).startswith("S") for character in text)


def _is_break_time(time: str) -> bool:
    match = _BREAK_TIME.fullmatch(time)
    return match is not None and float(match[1]) / (1000 if match[2] == "ms" else 1) <= BREAK_MOST_S


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _cut(text: str, target: int) -> int:
    """Where to end a part of about `target` characters; something worth a part of its own is left behind the cut."""
    latest = min(int(target * STRETCH), len(text) - target // 4)
    for ends, earliest in ((_sentence_ends, target // 4), (_clause_ends, target // 2)):
        found = [end for end in ends(text, latest) if earliest <= end <= latest]
        if found:
            return max((end for end in found if end <= target), default=found[0])
    cut = text.rfind(" ", 0, target + 1)
    if cut <= 0:
        cut = text.find(" ", target, latest)
    if cut <= 0:
        cut = target
        while cut > 1 and _belong_together(text[cut - 1], text[cut]):
            cut -= 1
    return cut


def _sentence_ends(text: str, latest: int) -> Iterator[int]:
    for match in _SENTENCE_END.finditer(text, 0, latest + 1):
        if _ends_a_sentence(text, match):
            yield match.end()


def _clause_ends(text: str, latest: int) -> Iterator[int]:
    return (match.end() for match in _CLAUSE_END.finditer(text, 0, latest + 1))


def _ends_a_sentence(text: str, mark: re.Match[str]) -> bool:
    """Whether `mark` ends a sentence: not the point of an abbreviation, an initial, an ordinal, nor one within."""
    if mark.group()[0] not in ".…":
        return True
    if text[mark.end() :].lstrip(_OPENING + " ")[:1].islower():
        return False
    word = text[: mark.start()].rpartition(" ")[2].lstrip(_OPENING)
    if word.replace(".", "").replace(",", "").isdigit():
        return len(word) > 2  # "am 3. Mai", but "for 3.50. Then"
    return len(word) > 1 and "." not in word and not _ABBREVIATION.fullmatch(word)


def _belong_together(before: str, after: str) -> bool:
    """Whether a cut between the two would tear one written character apart."""
    return unicodedata.category(after).startswith("M") or "\u200d" in (before, after)
