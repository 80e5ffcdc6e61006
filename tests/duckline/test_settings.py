"""Settings are read, or refused in one line that says which, what came and what would be right."""

import pytest

from duckline.errors import SettingMissing
from duckline.settings import Storage, Webhooks, choice, number, text, url

STORAGE = {
    "DUCKLINE_TABLE": "calls",
    "DUCKLINE_BUCKET": "sound",
    "DUCKLINE_WORK_QUEUE_URL": "https://sqs.example.com/1/work",
    "DUCKLINE_EVENT_BUS": "default",
}
WEBHOOKS = {
    "DUCKLINE_STREAM_URL": "https://abc.lambda-url.us-east-1.on.aws/",
    "DUCKLINE_DEFAULT_BED": "hold",
    "DUCKLINE_STREAM_KEY_SECRET": "stream-key",
    "DUCKLINE_TWILIO_TOKEN_SECRET": "twilio-token",
}


def test_a_text_is_taken_without_the_blanks_around_it():
    assert text({"DUCKLINE_TABLE": " calls\n"}, "DUCKLINE_TABLE") == "calls"


@pytest.mark.parametrize("env", [{}, {"DUCKLINE_TABLE": ""}, {"DUCKLINE_TABLE": "  "}])
def test_a_text_that_is_missing_or_blank_is_named(env):
    with pytest.raises(SettingMissing, match=r"^DUCKLINE_TABLE is not set; [^\n]+$"):
        text(env, "DUCKLINE_TABLE")


def test_a_default_stands_for_what_is_missing():
    assert text({}, "DUCKLINE_PUBLIC_URL", default="") == ""
    assert number({"DUCKLINE_LEAD_SECONDS": ""}, "DUCKLINE_LEAD_SECONDS", 0.25, 5, default=1.0) == 1.0
    assert choice({}, "DUCKLINE_STREAM_FORMAT", ("mulaw", "pcm16"), default="mulaw") == "mulaw"


@pytest.mark.parametrize("value", ["0.25", "5", "1e0"])
def test_a_number_within_its_bounds_is_taken(value):
    assert number({"DUCKLINE_LEAD_SECONDS": value}, "DUCKLINE_LEAD_SECONDS", low=0.25, high=5) == float(value)


@pytest.mark.parametrize("value", ["0.2", "6", "soon", "nan", "inf", "-1"])
def test_a_number_out_of_bounds_or_none_at_all_is_quoted_with_what_would_be_right(value):
    with pytest.raises(SettingMissing, match=f"^DUCKLINE_LEAD_SECONDS is '{value}'; a number from 0.25 to 5 would be"):
        number({"DUCKLINE_LEAD_SECONDS": value}, "DUCKLINE_LEAD_SECONDS", 0.25, 5)


def test_a_choice_that_there_is_not_is_quoted_with_those_that_there_are():
    with pytest.raises(SettingMissing, match=r"^DUCKLINE_DELIVERY is 'drip'; one of auto, stream would be right$"):
        choice({"DUCKLINE_DELIVERY": "drip"}, "DUCKLINE_DELIVERY", ("auto", "stream"))


@pytest.mark.parametrize("value", ["http://127.0.0.1:8080", "https://calls.example.com", "https://example.com/a/b"])
def test_an_address_loses_the_slash_at_its_end(value):
    assert url({"DUCKLINE_PUBLIC_URL": value}, "DUCKLINE_PUBLIC_URL") == value
    assert url({"DUCKLINE_PUBLIC_URL": value + "/"}, "DUCKLINE_PUBLIC_URL") == value


@pytest.mark.parametrize(
    "value", ["calls.example.com", "ftp://example.com", "https://", "https://a b", "https://x/?q=1"]
)
def test_what_is_no_address_is_quoted(value):
    with pytest.raises(SettingMissing, match=r"DUCKLINE_PUBLIC_URL is '.+'; a URL such as https://"):
        url({"DUCKLINE_PUBLIC_URL": value}, "DUCKLINE_PUBLIC_URL", default="")


def test_the_storage_needs_all_its_four_settings():
    assert Storage.from_environment(STORAGE) == Storage("calls", "sound", "https://sqs.example.com/1/work", "default")
    for name in STORAGE:
        with pytest.raises(SettingMissing, match=name):
            Storage.from_environment({**STORAGE, name: ""})


def test_the_webhooks_can_do_without_a_public_url_but_without_nothing_else():
    read = Webhooks.from_environment(WEBHOOKS)
    assert (read.stream_url, read.public_url) == ("https://abc.lambda-url.us-east-1.on.aws", "")
    for name in WEBHOOKS:
        with pytest.raises(SettingMissing, match=name):
            Webhooks.from_environment({**WEBHOOKS, name: ""})
