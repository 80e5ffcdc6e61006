"""A token opens the one window it was made for, until it expires, and nothing else does."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duckline.errors import Forbidden
from duckline.stream_token import TOKEN_MAX_CHARS, Token, issue, read

KEY, OLD_KEY, FOREIGN_KEY = b"k" * 32, b"o" * 32, b"f" * 32
SID = "CA" + "0123456789abcdef" * 2
NOW_S = 1_800_000_000
TOKEN = issue(KEY, SID, 3, NOW_S + 60)


def test_a_token_says_whose_window_it_opens():
    assert read(KEY, TOKEN, NOW_S) == Token(SID, 3)


def test_the_same_window_has_the_same_token():
    assert issue(KEY, SID, 3, NOW_S + 60) == TOKEN


def test_a_token_can_stand_in_a_url_as_it_is_and_is_short():
    assert set(TOKEN) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert len(TOKEN) < 100


def test_a_token_that_an_older_key_signed_is_good_while_that_key_is_known():
    old = issue(OLD_KEY, SID, 3, NOW_S + 60)
    assert read([KEY, OLD_KEY], old, NOW_S) == Token(SID, 3)
    with pytest.raises(Forbidden, match="not signed here"):
        read([KEY], old, NOW_S)


def test_a_key_may_be_text_as_it_comes_from_secrets_manager():
    assert read((KEY.decode(),), issue(KEY.decode(), SID, 3, NOW_S + 60), NOW_S) == Token(SID, 3)
    assert issue(KEY.decode(), SID, 3, NOW_S + 60) == TOKEN


def test_a_token_is_refused_from_the_second_of_its_expiry_on():
    assert read(KEY, TOKEN, NOW_S + 59.9)
    with pytest.raises(Forbidden, match=r"expired 0 s ago; /voice/next"):
        read(KEY, TOKEN, NOW_S + 60)


def test_a_token_of_another_deployment_is_refused():
    with pytest.raises(Forbidden, match="not signed here"):
        read([KEY, OLD_KEY], issue(FOREIGN_KEY, SID, 3, NOW_S + 60), NOW_S)


def test_no_key_opens_to_nobody():
    with pytest.raises(Forbidden, match="not signed here"):
        read([], TOKEN, NOW_S)


@pytest.mark.parametrize("token", ["", ".", "a", "a.", ".a", TOKEN + "x" * TOKEN_MAX_CHARS, "é" + TOKEN, TOKEN + "é"])
def test_what_is_no_token_is_refused_as_such(token):
    with pytest.raises(Forbidden, match="no stream token"):
        read(KEY, token, NOW_S)


def test_a_field_that_is_changed_breaks_the_signature():
    fields, _, signature = TOKEN.partition(".")
    signed = bytearray(base64.urlsafe_b64decode(fields + "=" * (-len(fields) % 4)))
    for place in range(len(signed)):
        changed = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
        forged = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        with pytest.raises(Forbidden, match="not signed here"):
            read(KEY, f"{forged}.{signature}", NOW_S)


def test_a_signed_token_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr("duckline.stream_token.VERSION", 2)
    later = issue(KEY, SID, 3, NOW_S + 60)
    monkeypatch.undo()
    with pytest.raises(Forbidden, match="version 2; 1 would be right"):
        read(KEY, later, NOW_S)


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=200))
def test_nothing_that_is_made_up_is_let_in(token):
    with pytest.raises(Forbidden):
        read(KEY, token, NOW_S)


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_not_one_character_of_a_token_can_be_another(place, other):
    """Nor can the padding bits of its base64 vary: a token has one form."""
    changed = TOKEN[:place] + other + TOKEN[place + 1 :]
    if changed != TOKEN:
        with pytest.raises(Forbidden):
            read(KEY, changed, NOW_S)


@given(st.integers(0, len(TOKEN) - 1))
def test_not_one_character_of_a_token_can_be_missing(length):
    with pytest.raises(Forbidden):
        read(KEY, TOKEN[:length], NOW_S)


@given(st.text(min_size=1, max_size=16), st.integers(1, 2**31), st.integers(1, 2**40))
def test_every_window_of_every_call_comes_back_as_it_went_in(call_sid, epoch, expires_at_s):
    assert read(KEY, issue(KEY, call_sid, epoch, expires_at_s), expires_at_s - 1) == Token(call_sid, epoch)


def test_a_key_that_can_be_guessed_signs_nothing():
    with pytest.raises(ValueError, match="has 5 bytes; at least 16"):
        issue(b"short", SID, 1, NOW_S)


@pytest.mark.parametrize("call_sid", ["", "CA" * 40])
def test_a_sid_that_is_none_gets_no_token(call_sid):
    with pytest.raises(ValueError, match="1 to 64 would be right"):
        issue(KEY, call_sid, 1, NOW_S)


def test_the_longest_sid_makes_a_token_that_is_read():
    assert read(KEY, issue(KEY, "x" * 64, 2**32 - 1, 2**63), NOW_S).call_sid == "x" * 64
