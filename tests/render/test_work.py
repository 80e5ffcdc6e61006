"""The work queue: each message is done or comes again, and one that fails does not take the others with it."""

import json

import pytest

from duckline.errors import Conflict, NotFound
from duckline.stores import NotReached
from render.work import Work

SID = "CA" + "0123456789abcdef" * 2


class Speaking:
    """Writes down what it is asked to do; fails as it is told."""

    def __init__(self):
        self.done, self.failure = [], None

    def go_on(self, *arguments):
        self._do("go_on", *arguments)

    def take_up(self, *arguments):
        self._do("take_up", *arguments)

    def render(self, key):
        self._do("render", key)

    def _do(self, *what):
        if self.failure is not None:
            raise self.failure
        self.done.append(what)


@pytest.fixture
def speaking():
    return Speaking()


@pytest.fixture
def logged():
    return []


@pytest.fixture
def work(speaking, logged):
    return Work(speaking, speaking, lambda message, **fields: logged.append((message, fields)))


def event(*messages):
    bodies = [message if isinstance(message, str) else json.dumps(message) for message in messages]
    return {"Records": [{"messageId": f"m{number}", "body": body} for number, body in enumerate(bodies)]}


def again(*numbers):
    return {"batchItemFailures": [{"itemIdentifier": f"m{number}"} for number in numbers]}


SPEAK = {"kind": "speak", "call_sid": SID}
GO_ON = {"kind": "go_on", "call_sid": SID, "speech_id": "sp_1", "maker": 2}
UPLOAD = {"detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": {"key": "uploads/calm/u1"}}}


def test_each_kind_of_work_is_done(work, speaking):
    assert work.take(event(SPEAK, GO_ON, UPLOAD)) == again()
    assert speaking.done == [("take_up", SID), ("go_on", SID, "sp_1", 2), ("render", "uploads/calm/u1")]


def test_what_fails_comes_again_and_the_others_do_not(work, speaking, logged):
    go_on = speaking.go_on
    speaking.go_on = lambda *arguments: (_ for _ in ()).throw(NotReached("table"))
    assert work.take(event(SPEAK, GO_ON, UPLOAD)) == again(1)
    speaking.go_on = go_on
    assert [what for what, *_ in speaking.done] == ["take_up", "render"]
    [(message, fields)] = logged
    assert (message, fields["message_id"]) == ("work failed", "m1")


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        "[]",
        '"speak"',
        "null",
        {"kind": "dance", "call_sid": SID},
        {"kind": "speak"},
        {"kind": "go_on", "call_sid": SID},
        {"detail-type": "Object Created", "detail": {}},
        {},
    ],
)
def test_a_message_that_makes_no_sense_ends_in_the_dead_letter_queue(work, speaking, logged, message):
    assert work.take(event(message, SPEAK)) == again(0)
    assert speaking.done == [("take_up", SID)]
    assert logged[0][0] == "work failed"


def test_a_kind_that_nobody_knows_is_quoted(work, logged):
    work.take(event({"kind": "dance", "call_sid": SID}))
    assert "no work of kind 'dance' is known; go_on or speak would be right" in logged[0][1]["error"]


@pytest.mark.parametrize("reason", [NotFound(f"there is no call {SID}"), Conflict(f"call {SID} is over: completed")])
@pytest.mark.parametrize("message", [SPEAK, GO_ON])
def test_work_for_a_call_that_is_over_is_dropped(work, speaking, logged, reason, message):
    speaking.failure = reason
    assert work.take(event(message)) == again()
    [(said, fields)] = logged
    assert (said, fields["call_sid"], fields["reason"]) == ("work dropped", SID, str(reason))


def test_words_that_cannot_be_made_are_reported_once_and_are_done_with(desk):
    desk.answered(desk.speak("sp_1", "60,0"))
    [message] = desk.cloud.queue
    taken = []
    for _ in range(2):  # a queue may deliver twice what it need deliver once
        asked = desk.request(lambda speaking: Work(speaking, None, lambda *_, **__: None).take(event(message)))
        taken.append(desk.answered(asked))
    assert (desk.status("sp_1").state, desk.status("sp_1").reason) == ("failed", "no sound came of it")
    assert desk.told("speech.failed") == ["sp_1"]
    assert taken == [again(), again()]
