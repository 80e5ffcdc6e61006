"""From what was measured to the settings that suit."""

import tomllib
from types import SimpleNamespace

import pytest

from operations.verify_live import advice
from operations.verify_live.stream_check import Fetch, StreamCheck


def fetch(*arrivals, first_byte_s=0.2):
    return Fetch(first_byte_s, arrivals)


def stream(pause_s):
    steady = fetch((0.0, 8058), (pause_s, 2000), (2 * pause_s, 2000))
    return StreamCheck(steady, steady, 0.5, resumed=True)


def call(starts_at_s=0.3, gaps=()):
    heard = SimpleNamespace(starts_at_s=starts_at_s, gaps=[SimpleNamespace(at_s=at_s, duration_s=0.3) for at_s in gaps])
    return SimpleNamespace(heard=heard)


def test_the_cushion_is_what_has_come_less_what_has_been_heard():
    steady = fetch((0.0, 8058), (0.25, 2000), (0.5, 2000))
    assert steady.least_cushion_s == pytest.approx(0.75)
    late = fetch((0.0, 8058), (1.4, 2000))
    assert late.least_cushion_s == pytest.approx(-0.4)
    assert late.longest_pause_s == pytest.approx(1.4)


def test_a_fetch_of_which_nothing_came_has_no_cushion_and_no_pause():
    assert (fetch().least_cushion_s, fetch().longest_pause_s) == (0.0, 0.0)


@pytest.mark.parametrize(("pause_s", "lead"), [(0.05, "0.52"), (0.26, "0.52"), (0.6, "1.2"), (9, "5")])
def test_a_lead_covers_twice_the_longest_pause_within_its_bounds(pause_s, lead):
    assert advice.of_stream(stream(pause_s)).settings == {"LeadSeconds": lead}


@pytest.mark.parametrize(
    ("seen", "delivery", "finding", "settings"),
    [
        (call(), "stream", "", {"Delivery": "stream"}),
        (call(starts_at_s=3.0), "stream", "", {"Delivery": "stream", "LeadSeconds": "4"}),
        (call(gaps=[16.1]), "stream", "", {"Delivery": "short"}),
        (call(gaps=[5.0]), "stream", "", {"Delivery": "stream"}),
        (call(starts_at_s=None), "stream", "", {"Delivery": "burst"}),
        (call(starts_at_s=None), "auto", "", {"Delivery": "burst"}),
        (call(starts_at_s=None), "burst", "", {}),
        (call(), "auto", "short: a window of 840 s broke off", {"Delivery": "short"}),
        (call(), "auto", "", {}),
        (call(), "burst", "", {"Delivery": "burst"}),
    ],
)
def test_a_call_advises_the_delivery_that_was_heard(seen, delivery, finding, settings):
    given = advice.of_call(seen, delivery, finding)
    assert given.settings == settings
    assert all(given.reasons)


CONFIG = """\
version = 0.1  # a comment that stays

[default.deploy.parameters]
capabilities = "CAPABILITY_IAM"
parameter_overrides = "Delivery=auto Voice=Joanna"

[default.validate.parameters]
lint = true
"""


@pytest.mark.parametrize("config", [CONFIG, CONFIG.replace('parameter_overrides = "Delivery=auto Voice=Joanna"\n', "")])
def test_settings_go_into_samconfig_and_the_rest_stays(config, tmp_path):
    file = tmp_path / "samconfig.toml"
    file.write_text(config, encoding="utf-8")
    advice.write(file, {"Delivery": "short", "LeadSeconds": "0.5"})
    text = file.read_text(encoding="utf-8")
    deploy = tomllib.loads(text)["default"]["deploy"]["parameters"]
    given = dict(item.split("=") for item in deploy["parameter_overrides"].split())
    assert given.items() >= {"Delivery": "short", "LeadSeconds": "0.5"}.items()
    assert ("Voice" in given) == ("Voice" in config)
    assert deploy["capabilities"] == "CAPABILITY_IAM"
    assert tomllib.loads(text)["default"]["validate"]["parameters"]["lint"] is True
    assert "# a comment that stays" in text


def test_a_samconfig_without_a_section_gets_one():
    text = advice.written("version = 0.1\n", {"Delivery": "burst"})
    assert tomllib.loads(text)["default"]["deploy"]["parameters"]["parameter_overrides"] == "Delivery=burst"
