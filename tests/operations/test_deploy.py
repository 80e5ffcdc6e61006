"""What the deployment is told, and how: never on a command line."""

import json
from types import SimpleNamespace

import pytest

from operations.deploy import deploy, parameters
from operations.deployment import CannotGoOn

TOKEN = "0123456789abcdef" * 2
NEW, KNOWN = (
    SimpleNamespace(describe=lambda: None),
    SimpleNamespace(describe=lambda: {"StackStatus": "CREATE_COMPLETE"}),
)


def nobody(question):
    raise AssertionError("was asked")


def test_the_token_is_asked_for_once():
    assert parameters(NEW, "", "arm64", {}, lambda question: f" {TOKEN}\n") == {
        "Architecture": "arm64",
        "TwilioAuthToken": TOKEN,
    }
    assert parameters(KNOWN, "", "arm64", {}, nobody) == {"Architecture": "arm64"}
    assert parameters(NEW, "", "x86_64", {"TWILIO_AUTH_TOKEN": TOKEN}, nobody)["TwilioAuthToken"] == TOKEN


def test_parameters_are_handed_on_and_a_new_token_is_taken_at_any_time():
    told = parameters(KNOWN, f"Delivery=stream PublicUrl=https://a.b/?c=d TwilioAuthToken={TOKEN}", "arm64", {}, nobody)
    assert (told["Delivery"], told["PublicUrl"], told["TwilioAuthToken"]) == ("stream", "https://a.b/?c=d", TOKEN)


@pytest.mark.parametrize(
    ("given", "answer", "complaint"),
    [
        ("Delivery", TOKEN, 'PARAMETERS has "Delivery"'),
        ("", "secret", "that is no auth token"),
        ("", "", "no auth token"),
    ],
)
def test_what_is_wrong_is_said_before_sam_is_started(given, answer, complaint):
    with pytest.raises(CannotGoOn, match=complaint):
        parameters(NEW, given, "arm64", {}, lambda question: answer)


def test_sam_is_given_the_parameters_in_a_file_of_their_owners_alone(tmp_path):
    sam, seen = tmp_path / "sam", tmp_path / "seen"
    sam.write_text(
        f'#!/bin/sh\nfile="${{5#file://}}"\n'
        f'{{ echo "$@"; stat -c %a "$file" 2>/dev/null || stat -f %Lp "$file"; cat "$file"; }} > {seen}\nexit $STATUS\n'
    )
    sam.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATUS", "0")
        deploy({"TwilioAuthToken": TOKEN}, "duckline", sam)
        line, mode, told = seen.read_text().split("\n")
        assert TOKEN not in line
        assert line.startswith("deploy --stack-name duckline --parameter-overrides file://")
        assert (mode, json.loads(told)) == ("600", {"TwilioAuthToken": TOKEN})
        patch.setenv("STATUS", "3")
        with pytest.raises(CannotGoOn, match="status 3"):
            deploy({}, "duckline", sam)
