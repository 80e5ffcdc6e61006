"""Twilio's own Node library agrees on what a webhook's signature is; asked where Node is installed."""

import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest

from local.function_process import PROJECT
from local.twilio.signature import sign
from voice.webhook import Webhook

HERE = Path(__file__).parent
INSTALLED = PROJECT / ".venv" / "second_opinion"
TOKEN = "12345"
VECTOR = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675310",
    "Digits": "1234",
    "From": "+14158675310",
    "To": "+18005551212",
}
FORM = [("CallSid", "CA1"), ("From", "+14158675310"), ("SpeechResult", "ü & + = 100 %"), ("Digits", "")]
CASES = {
    "the published vector": ("https://example.com/myapp.php?foo=1&bar=2", list(VECTOR.items())),
    "a plain address": ("https://api.example.com/voice", FORM),
    "a query": ("https://api.example.com/voice?bed=calm&greeting=1", FORM),
    "a query with escapes": ("https://api.example.com/voice?greeting=G%C3%BCten%20Tag%21", FORM),
    "a stage path": ("https://api.example.com/dev/voice/next?epoch=2", FORM),
    "a custom domain's path": ("https://calls.example.com/phone/voice/status", FORM),
    "an address over http with a port": ("http://127.0.0.1:8080/voice", FORM),
    "no form at all": ("https://api.example.com/voice", []),
    "repeated parameters": ("https://api.example.com/voice", [*FORM, ("Tag", "b"), ("Tag", "a"), ("Tag", "a")]),
    "names that differ by case": ("https://api.example.com/voice", [("b", "1"), ("B", "2"), ("a", "3"), ("A", "4")]),
}


@pytest.fixture(scope="module")
def installed():
    """The library, by the project's own lock file. What it needs is fetched once."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node is not installed")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "package-lock.json").read_bytes()
    done = INSTALLED / "installed"
    if not done.exists() or done.read_bytes() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, INSTALLED)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        result = subprocess.run(command, cwd=INSTALLED, capture_output=True, text=True, check=False, timeout=100)
        if result.returncode:
            pytest.skip(f"npm cannot install Twilio's library: {result.stderr[-300:]}")
        done.write_bytes(lock)
    shutil.copy(HERE / "signatures.cjs", INSTALLED)
    return INSTALLED


def as_object(pairs):
    """A form as Node's libraries parse it: a name that comes several times has a list."""
    form = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in form.items()}


@pytest.fixture(scope="module")
def expected(installed):
    asked = [{"token": TOKEN, "url": url, "form": as_object(pairs)} for url, pairs in CASES.values()]
    result = subprocess.run(
        ["node", "signatures.cjs"], cwd=installed, input=json.dumps(asked), capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 0, result.stderr
    return dict(zip(CASES, json.loads(result.stdout), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_twilios_node_library_and_the_simulated_twilio_sign_alike(expected, name):
    url, pairs = CASES[name]
    assert expected[name] == sign(TOKEN, url, pairs)


@pytest.mark.parametrize("name", CASES)
def test_what_twilios_node_library_signs_is_let_in(expected, name):
    url, pairs = CASES[name]
    address, _, query = url.partition("?")
    base, route = address[: address.index("/", 8)], address[address.index("/", 8) :]
    event = {
        "routeKey": f"POST {route}",
        "rawPath": route,
        "rawQueryString": query,
        "headers": {"x-twilio-signature": expected[name]},
        "requestContext": {"domainName": "unused", "stage": "$default"},
        "body": urlencode(pairs),
    }
    assert Webhook.from_event(event, base).is_signed_with(TOKEN)
    assert not Webhook.from_event(event, base).is_signed_with("54321")


def test_the_published_vector_is_the_published_one(expected):
    assert expected["the published vector"] == "L/OH5YylLD5NRKLltdqwSvS0BnU="
