"""A number is pointed at the stack by the real twilio client, on a stand-in of Twilio's REST API."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from twilio.rest import Client

from local.twilio_rest import Account, Redirected, TwilioRest
from operations.connect import Numbers, client_of, wanted
from operations.deployment import CannotGoOn

SID, TOKEN = "AC" + "0123456789abcdef" * 2, "0123456789abcdef" * 2
NUMBER, OTHER = "+14155550100", "+14155550101"
BEFORE = {"voice_url": "https://demo.twilio.com/welcome", "voice_method": "GET", "status_callback": ""}
HOOKS = wanted("https://a1b2.example.com/voice", "https://a1b2.example.com/voice/status")


class Room:
    """The account, and what the command has told."""

    def __init__(self, url, account: Account, kept):
        self.account, self.told = account, []
        self.client = Client(SID, TOKEN, http_client=Redirected(url))
        self.numbers = Numbers(self.client, kept, self.told.append)

    def number(self, number=NUMBER):
        return self.account.numbers[number]


@asynccontextmanager
async def twilio(kept):
    numbers = {NUMBER: BEFORE, OTHER: {**BEFORE, "trunk_sid": "TK1"}}
    async with TwilioRest(SimpleNamespace(account_sid=SID), TOKEN, numbers=numbers) as rest:
        yield Room(rest.url, rest.account, kept)


def tried(kept, work):
    """`work` done in a thread, since the client waits for its answers."""

    async def run():
        async with twilio(kept) as room:
            await asyncio.to_thread(work, room)
            return room

    return asyncio.run(run())


def test_a_number_gets_the_stacks_webhooks_and_what_changed_is_told(tmp_path):
    room = tried(tmp_path, lambda room: room.numbers.connect(NUMBER, HOOKS))
    number = room.number()
    assert number["voice_url"] == "https://a1b2.example.com/voice#rc=3&rp=all"
    assert number["status_callback"] == "https://a1b2.example.com/voice/status#rc=3&rp=all"
    assert (number["voice_method"], number["status_callback_method"]) == ("POST", "POST")
    told = "\n".join(room.told)
    assert "https://demo.twilio.com/welcome\n" in told
    assert "→ https://a1b2.example.com/voice#rc=3&rp=all" in told
    assert "UNDO=1" in told


def test_it_can_be_put_back_however_often_it_was_connected(tmp_path):
    def work(room):
        room.numbers.connect(NUMBER, HOOKS)
        room.numbers.connect(NUMBER, HOOKS)
        room.numbers.connect(NUMBER, wanted("https://c3d4.example.com/voice", "https://c3d4.example.com/voice/status"))
        room.numbers.undo(NUMBER)

    room = tried(tmp_path, work)
    assert {name: room.number()[name] for name in BEFORE} == BEFORE
    assert f"{NUMBER} is connected already" in room.told
    assert list(tmp_path.iterdir()) == []


def test_the_music_goes_into_the_url_ahead_of_the_fragment():
    hooks = wanted("https://a1b2.example.com/voice", "https://a1b2.example.com/voice/status", "calm")
    assert hooks["voice_url"] == "https://a1b2.example.com/voice?bed=calm#rc=3&rp=all"


@pytest.mark.parametrize(
    ("work", "complaint"),
    [
        (lambda room: room.numbers.connect("+14155559999", HOOKS), f"the account {SID} has no number"),
        (lambda room: room.numbers.connect("+1415555010", HOOKS), "write it as in"),
        (lambda room: room.numbers.connect(OTHER, HOOKS), "belongs to the trunk TK1"),
        (lambda room: room.numbers.undo(NUMBER), "it was not connected from here"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(tmp_path, work, complaint):
    def refused(room):
        with pytest.raises(CannotGoOn, match=complaint.replace("+", r"\+")):
            work(room)

    room = tried(tmp_path, refused)
    assert room.number() == BEFORE
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_of_twilios_is_told_in_a_line(tmp_path):
    def refused(room):
        room.account.auth_token = "f" * 32
        with pytest.raises(CannotGoOn, match=r"Twilio refused: .*Authenticate"):
            room.numbers.connect(NUMBER, HOOKS)

    tried(tmp_path, refused)


def test_credentials_that_are_missing_are_named():
    with pytest.raises(CannotGoOn, match="TWILIO_AUTH_TOKEN must be set"):
        client_of({"TWILIO_ACCOUNT_SID": SID})
    assert client_of({"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": TOKEN}).account_sid == SID
