"""The work queue: each message is done or comes again, and one that fails does not take the others with it."""

import json

import pytest

from duckline.call import Speech
from duckline.errors import Conflict, NotFound, Unavailable
from duckline.records import SpeechRecord, greeting_id
from duckline.stores import NotReached
from local.simulation.world import START_MS
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
def shown_again():
    return []


@pytest.fixture
def work(speaking, logged, shown_again):
    return Work(speaking, speaking, log_to(logged), lambda receipt, after_s: shown_again.append((receipt, after_s)))


def log_to(logged):
    return lambda message, **fields: logged.append((message, fields))


def work_of(speaking):
    """Work that nobody looks at."""
    return Work(speaking, None, log_to([]), lambda receipt, after_s: None)


def event(*messages, came=1):
    """A batch as Lambda hands it over; each message has come `came` times."""
    bodies = [message if isinstance(message, str) else json.dumps(message) for message in messages]
    attributes = {"ApproximateReceiveCount": str(came)}
    return {
        "Records": [
            {"messageId": f"m{number}", "receiptHandle": f"r{number}", "body": body, "attributes": attributes}
            for number, body in enumerate(bodies)
        ]
    }


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


def test_what_fails_comes_again_soon_and_later_each_time(work, speaking, shown_again):
    speaking.failure = NotReached("table")
    for came in range(1, 7):
        work.take(event(GO_ON, came=came))
    assert shown_again == [("r0", 2), ("r0", 10), ("r0", 50), ("r0", 250), ("r0", 250), ("r0", 250)]


def test_what_is_done_is_not_shown_again(work, shown_again):
    work.take(event(SPEAK, GO_ON, UPLOAD))
    assert shown_again == []


def test_a_queue_that_cannot_be_reached_lets_it_come_again_in_its_own_time(work, speaking, logged):
    def down(receipt, after_s):
        raise NotReached("queue")

    work.show_again, speaking.failure = down, NotReached("table")
    assert work.take(event(GO_ON, SPEAK)) == again(0, 1)
    assert [message for message, _ in logged] == ["work failed", "work comes again late"] * 2


def test_a_synthesiser_that_is_busy_is_asked_again_and_the_speech_is_not_dropped(work, speaking, shown_again):
    speaking.failure = Unavailable("Polly cannot be had: ThrottlingException, 5 times")
    assert work.take(event(GO_ON)) == again(0)
    assert shown_again == [("r0", 2)]


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
        asked = desk.request(lambda speaking: work_of(speaking).take(event(message)))
        taken.append(desk.answered(asked))
    assert (desk.status("sp_1").state, desk.status("sp_1").reason) == ("failed", "no sound came of it")
    assert desk.told("speech.failed") == ["sp_1"]
    assert taken == [again(), again()]


def test_the_greeting_that_a_call_began_with_is_made_before_what_was_asked_for_since(desk):
    greeting = greeting_id(SID)
    desk.cloud.speeches.keep(SpeechRecord(SID, greeting, "greeting", requested_at_ms=START_MS, text="100"))
    desk.change(speeches=(Speech(greeting, order=1),), next_order=2)
    asked = desk.speak("sp_1", "50")
    asked_at = desk.now_frame
    assert desk.answered(desk.request(lambda speaking: work_of(speaking).take(event(SPEAK))), asked) is not None
    assert 0 < desk.voice(greeting)[0] - asked_at < 100  # within two seconds: words, mix, lead and attack
    assert desk.voice(greeting)[1] <= desk.voice("sp_1")[0]
