"""TwiML keeps the line alive: every answer but the hang-up ends in a redirect."""

from xml.etree import ElementTree

from voice import twiml

NEXT = "https://api.example.com/voice/next?epoch=1&rested=1"


def verbs(text):
    return [(verb.tag, verb.text, verb.attrib) for verb in ElementTree.fromstring(text)]  # noqa: S314 - our own


def test_music_is_one_play_and_a_redirect():
    assert verbs(twiml.music("https://stream.example.com/stream/t.wav", NEXT)) == [
        ("Play", "https://stream.example.com/stream/t.wav", {}),
        ("Redirect", NEXT, {"method": "POST"}),
    ]


def test_a_rest_plays_the_plain_copy_or_nothing_for_two_seconds():
    plain = "https://bucket.example.com/plain.wav?X-Amz-Expires=300&X-Amz-Signature=0"
    assert verbs(twiml.rest(plain, NEXT)) == [("Play", plain, {}), ("Redirect", NEXT, {"method": "POST"})]
    assert verbs(twiml.rest(None, NEXT)) == [("Pause", None, {"length": "2"}), ("Redirect", NEXT, {"method": "POST"})]


def test_trouble_is_a_second_of_nothing_and_another_try():
    assert verbs(twiml.trouble(NEXT)) == [("Pause", None, {"length": "1"}), ("Redirect", NEXT, {"method": "POST"})]


def test_a_call_that_is_over_is_hung_up():
    assert verbs(twiml.hangup()) == [("Hangup", None, {})]
