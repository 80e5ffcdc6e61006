import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckline.errors import Malformed, Unspeakable
from duckline.script import (
    FIRST_PART,
    LONGEST_PART,
    SSML_LIMIT,
    STRETCH,
    TEXT_LIMIT,
    check_ssml,
    check_text,
    parts,
)

NOTICE = (
    "Thank you for calling. Your order no. 17 over 3.50 euros, placed with Dr. Smith on the 3. of May at 10:30 p.m., is"
    " ready; please come by. We are open from nine to five! Is there anything else? Then press one. "
)


def without_space(text: str) -> str:
    return "".join(text.split())


# -- text -----------------------------------------------------------------------------------------


def test_white_space_is_collapsed_and_controls_are_dropped():
    assert check_text("  Your\torder\r\n\n is\u00a0on \x00its\x07 way.\ufeff ") == "Your order is on its way."


def test_letters_are_composed():
    assert check_text("Cafe\u0301") == "Caf\u00e9"


@pytest.mark.parametrize("half", ["\ud83d", "\udc4d"])
def test_half_a_character_is_refused_with_its_place(half: str):
    assert check_text("Good \U0001f44d day") == "Good 👍 day"
    with pytest.raises(Unspeakable, match=r"'\\ud[89a-f]..' as character 6, which is half a character"):
        check_text(f"Good {half}day")


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "...", "?! -"])
def test_a_text_without_a_word_is_refused(text: str):
    with pytest.raises(Unspeakable, match="has nothing to say; it must hold a word"):
        check_text(text)


@pytest.mark.parametrize("text", ["5", "€", "👍", "你好", "+"])
def test_digits_and_symbols_are_words_too(text: str):
    assert check_text(text) == text


def test_a_text_too_long_is_refused_with_both_numbers():
    assert len(check_text("a" * TEXT_LIMIT)) == TEXT_LIMIT
    with pytest.raises(Unspeakable, match="has 3001 characters; at most 3000"):
        check_text("a" * (TEXT_LIMIT + 1))


def test_a_refused_text_is_quoted_in_short():
    with pytest.raises(Unspeakable) as refusal:
        check_text("." * 5000)
    assert len(str(refusal.value)) < 150


@given(st.text(max_size=200))
def test_a_checked_text_is_clean_and_checking_it_again_changes_nothing(text: str):
    try:
        checked = check_text(text)
    except Unspeakable:
        return
    assert checked == check_text(checked) == unicodedata.normalize("NFC", checked)
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in checked)
    assert "  " not in checked


# -- parts ----------------------------------------------------------------------------------------


def test_a_short_text_is_one_part():
    assert parts("Your order has been shipped.") == ["Your order has been shipped."]


def test_a_long_text_begins_with_a_short_part_and_goes_on_with_longer_ones():
    lengths = [len(part) for part in parts(check_text(NOTICE * 14))]
    assert lengths[0] <= FIRST_PART
    assert lengths[0] < lengths[1] < lengths[2] < lengths[3]
    assert max(lengths[:-1]) <= LONGEST_PART
    assert lengths[-1] <= LONGEST_PART * STRETCH
    assert 5 <= len(lengths) <= 6


def test_parts_end_with_sentences_and_not_within_them():
    for part in parts(check_text(NOTICE * 14)):
        assert part.endswith(("calling.", "come by.", "five!", "else?", "press one."))


@pytest.mark.parametrize(
    "text",
    [
        "please ask for Dr. Elizabeth Montgomery-Blackwood",
        "the total comes to 3.50 Euros and not to 4 Euros",
        "that was on the 3. Mai as everyone remembers it",
        "we met J. R. R. Tolkien in the afternoon",
        "we take fruit, e.g. Apples and pears",
        "he said Wait... and then went on",
    ],
)
def test_a_point_within_a_sentence_does_not_end_it(text: str):
    before = "In this case as in every other"
    after = "and so on and so forth until the line is long enough for it to be cut somewhere or other in the end"
    assert not any(part.endswith(".") for part in parts(f"{before} {text} {after}")[:-1])


def test_the_quotation_mark_stays_with_its_sentence():
    text = (
        "“Press one to speak to somebody now (or wait).” "
        + "Press two for everything else that we can do for you. " * 3
    )
    assert parts(text.strip())[0].endswith("wait).”")


def test_a_sentence_too_long_is_cut_at_a_comma_and_else_at_a_space():
    clause = "while we looked for the parcel that had been sent from the other end of the country"
    assert parts(f"We thank you for your kind patience with all of us, {clause} {clause}")[0].endswith("us,")
    first = parts(f"{clause} {clause} {clause}")[0]
    assert len(first) <= FIRST_PART and f"{clause} ".startswith(f"{first} ")


def test_a_part_is_not_followed_by_a_scrap():
    text = "word " * 23 + "done. Bye."
    assert len(text) > FIRST_PART * STRETCH
    assert len(parts(text)[-1]) >= FIRST_PART // 4


def test_writing_without_spaces_is_cut_at_its_own_marks():
    for part in parts("これは日本語の文章です。とても長いので、分けて話します。" * 20):
        assert part.endswith("。")


def test_a_written_character_is_not_torn_apart():
    for part in parts("e\u0323\u0302" * 200 + "👩\u200d🚀" * 200):
        assert unicodedata.category(part[0])[0] != "M"
        assert part[0] != "\u200d" and part[-1] != "\u200d"


@given(st.text(st.sampled_from("aB1.,;!? \"'(é。、e\u0301-"), min_size=1, max_size=TEXT_LIMIT))
def test_no_word_is_lost_or_moved(text: str):
    text = " ".join(text.split()) or "a"
    pieces = parts(text)
    assert without_space("".join(pieces)) == without_space(text)
    assert all(0 < len(piece) <= LONGEST_PART * STRETCH for piece in pieces)
    assert len(pieces[0]) <= FIRST_PART * STRETCH


@given(st.lists(st.text(st.sampled_from("abc.,"), min_size=1, max_size=12), min_size=1, max_size=300))
def test_words_joined_again_are_the_text(words: list[str]):
    text = " ".join(words)
    assert " ".join(parts(text)) == text


# -- SSML -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ssml",
    [
        "<speak>Hello.</speak>",
        '<?xml version="1.0"?><speak version="1.1" xml:lang="en-US">Hello.</speak>',
        '<speak>One<break time="300ms"/> <prosody rate="slow">two</prosody></speak>',
        '<speak><say-as interpret-as="digits">3</say-as> <lang xml:lang="fr-FR">deux</lang></speak>',
        '<speak><amazon:effect name="whispered">Hush</amazon:effect> &amp; &#8364;</speak>',
        '<speak><p><s>One</s></p><sub alias="World">W</sub> <w role="amazon:VB">read</w></speak>',
    ],
)
def test_what_polly_knows_is_taken(ssml: str):
    assert check_ssml(f" \n{ssml}\n") == ssml


@pytest.mark.parametrize(
    ("ssml", "complaint"),
    [
        ("Hello", "not well-formed at line 1, column 1"),
        ("<speak>Hello", "not well-formed at line 1, column 13"),
        ("<speak>\n  <p>Hello</speak>", "not well-formed at line 2, column 13: mismatched tag"),
        ("<speak>a &nbsp; b</speak>", "not well-formed at line 1, column 10: undefined entity"),
        ("<speak>a</speak><speak>b</speak>", "junk after document element"),
        ("<p>Hello</p>", "<p> at line 1, column 1; <speak> must be the outermost tag and only that"),
        ("<speak><speak>Hello</speak></speak>", "<speak> at line 1, column 8; <speak> must be the outermost"),
        ("<speak>\n<audio src='https://example.com/a.mp3'/>a</speak>", "<audio> at line 2, column 1; the tags"),
        ("<speak>a<!-- b --></speak>", "'<!' at line 1, column 9; it must do without DOCTYPE"),
        ("<speak>\n a<![CDATA[b]]></speak>", "'<!' at line 2, column 3;"),
        ("<speak>a\ud800</speak>", "half characters"),
        ("<speak>a\x00</speak>", "not well-formed"),
    ],
)
def test_anything_else_is_refused_with_its_place(ssml: str, complaint: str):
    with pytest.raises(Malformed) as refusal:
        check_ssml(ssml)
    assert complaint in str(refusal.value)


def test_an_entity_bomb_is_refused_before_it_is_parsed():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><speak>&b;</speak>'
    with pytest.raises(Malformed, match="DOCTYPE"):
        check_ssml(bomb)


@pytest.mark.parametrize("time", ["10s", "10000ms", "0.5s", "0ms", "9.999s"])
def test_a_break_is_as_long_as_polly_makes_one(time: str):
    assert check_ssml(f"<speak>a<break time='{time}'/>b</speak>")


@pytest.mark.parametrize("time", ["10.1s", "10001ms", "1h", "5", "", "-1s", "1e1s", "s", "9" * 400 + "s", "١s"])
def test_a_break_that_would_be_dropped_is_refused_with_what_is_allowed(time: str):
    with pytest.raises(
        Malformed, match=r"has a break of '.*' at line 1, column 9; up to 10s or 10000ms would be right"
    ):
        check_ssml(f"<speak>a<break time='{time}'/>b</speak>")


@pytest.mark.parametrize("ssml", ["<speak/>", "<speak> <break time='2s'/> </speak>", "<speak>...</speak>"])
def test_ssml_that_says_nothing_is_refused(ssml: str):
    with pytest.raises(Unspeakable, match="has nothing to say"):
        check_ssml(ssml)


def test_the_limit_of_ssml_does_not_count_its_tags():
    check_ssml("<speak>" + "a<break/>" * 600 + "</speak>")
    check_ssml(f"<speak>{'a' * TEXT_LIMIT}</speak>")
    with pytest.raises(Unspeakable, match="speaks 3001 characters; at most 3000"):
        check_ssml(f"<speak>{'a' * (TEXT_LIMIT + 1)}</speak>")
    with pytest.raises(Unspeakable, match=f"characters; at most {SSML_LIMIT}"):
        check_ssml("<speak>" + "a<break/>" * 700 + "</speak>")
