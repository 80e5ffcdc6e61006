import random
import string

import pytest
from twilio.request_validator import RequestValidator

from local.twilio.signature import sign, signed_url

URL = "https://example.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675310",
    "From": "+14158675310",
    "Digits": "1234",
    "To": "+18005551212",
}


def test_twilios_published_vector_is_reproduced():
    assert sign("12345", URL, FORM.items()) == "L/OH5YylLD5NRKLltdqwSvS0BnU="


@pytest.mark.parametrize("seed", range(20))
def test_twilios_own_validator_accepts_the_signature_of_any_form(seed):
    rng = random.Random(seed)
    letters = string.ascii_letters + string.digits + " +&=é漢"
    form = {
        "".join(rng.choices(letters, k=rng.randrange(1, 9))): "".join(rng.choices(letters, k=rng.randrange(0, 20)))
        for _ in range(rng.randrange(0, 12))
    }
    url = rng.choice([URL, "http://127.0.0.1:8080/voice", "https://example.com:8443/voice/next?bed=calm&x="])
    assert RequestValidator("token").validate(url, form, sign("token", url, form.items()))


def test_a_changed_value_does_not_validate():
    signature = sign("12345", URL, FORM.items())
    assert not RequestValidator("12345").validate(URL, FORM | {"Digits": "1235"}, signature)


def test_the_order_in_which_parameters_are_sent_does_not_matter():
    assert sign("t", URL, reversed(FORM.items())) == sign("t", URL, FORM.items())


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://example.com:8443/voice", "https://example.com/voice"),
        ("https://[::1]:8443/voice", "https://[::1]/voice"),
        ("https://user:word@example.com:443/voice", "https://user:word@example.com/voice"),
        ("http://127.0.0.1:8080/voice?bed=calm", "http://127.0.0.1:8080/voice?bed=calm"),
        ("https://example.com/voice#rc=3&rp=all", "https://example.com/voice"),
    ],
)
def test_https_is_signed_without_its_port_and_nothing_with_its_fragment(url, signed):
    assert signed_url(url) == signed
