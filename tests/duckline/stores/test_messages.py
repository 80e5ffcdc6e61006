import json

import pytest

from duckline.stores import NotReached
from duckline.stores.messages import AT_ONCE, SOURCE, EventBridgeEvents, SqsWork


class Bus:
    """A client of EventBridge that remembers what it was given and refuses `refused` entries of every request."""

    def __init__(self, refused: int = 0):
        self.requests, self.refused = [], refused

    def put_events(self, Entries):  # noqa: N803 - the SDK's own name
        self.requests.append(Entries)
        told = [{"EventId": str(number)} for number in range(len(Entries) - self.refused)]
        told += [{"ErrorCode": "ThrottlingException", "ErrorMessage": "too fast"}] * self.refused
        return {"FailedEntryCount": self.refused, "Entries": told}


def events(count: int) -> list[dict]:
    return [{"type": "speech.started", "call_sid": "CA1", "speech_id": f"sp_{n}", "at_ms": n} for n in range(count)]


# -- the work queue -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sqs(aws):
    return aws("sqs")


@pytest.fixture(scope="module")
def queue_url(sqs):
    return sqs.create_queue(QueueName="work")["QueueUrl"]


def test_work_arrives_as_it_was_sent(sqs, queue_url):
    message = {"kind": "go_on", "call_sid": "CA1", "speech_id": "sp_1", "maker": 2, "said": "“Grüß Gott”"}
    SqsWork(lambda: sqs, queue_url).send(message)
    (received,) = sqs.receive_message(QueueUrl=queue_url)["Messages"]
    assert json.loads(received["Body"]) == message


def test_work_may_be_put_off(sqs):
    later = sqs.create_queue(QueueName="later")["QueueUrl"]
    SqsWork(lambda: sqs, later).send({"kind": "speak", "call_sid": "CA1"}, delay_s=60)
    assert "Messages" not in sqs.receive_message(QueueUrl=later)
    attributes = sqs.get_queue_attributes(QueueUrl=later, AttributeNames=["ApproximateNumberOfMessagesDelayed"])
    assert attributes["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "1"


def test_no_client_is_made_before_there_is_work(sqs, queue_url):
    made = []
    work = SqsWork(lambda: made.append("client") or sqs, queue_url)
    assert made == []
    work.send({"kind": "speak", "call_sid": "CA1"})
    assert made == ["client"]


def test_a_message_that_was_received_comes_again_when_it_is_told_to(sqs):
    url = sqs.create_queue(QueueName="again", Attributes={"VisibilityTimeout": "330"})["QueueUrl"]
    work = SqsWork(lambda: sqs, url)
    work.send({"kind": "speak"})
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    work.show_again(message["ReceiptHandle"], 0)
    (again,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert again["MessageId"] == message["MessageId"]


def test_a_receipt_that_is_none_is_told_as_not_reached(sqs):
    url = sqs.create_queue(QueueName="no-receipt")["QueueUrl"]
    with pytest.raises(NotReached, match=r"the work queue: .*ReceiptHandle"):
        SqsWork(lambda: sqs, url).show_again("none", 0)


# -- events ---------------------------------------------------------------------------------------


def test_an_event_reaches_who_listens_for_its_type(aws, sqs):
    bridge, heard = aws("events"), sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=heard, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": [SOURCE], "detail-type": ["speech.started"]}
    bridge.put_rule(Name="started", EventPattern=json.dumps(pattern))
    bridge.put_targets(Rule="started", Targets=[{"Id": "heard", "Arn": arn}])
    EventBridgeEvents(lambda: bridge, "default").publish([*events(1), {"type": "call.ended", "call_sid": "CA1"}])
    (received,) = sqs.receive_message(QueueUrl=heard, MaxNumberOfMessages=10)["Messages"]
    event = json.loads(received["Body"])
    assert (event["source"], event["detail-type"]) == ("duckline", "speech.started")
    assert event["detail"] == {"call_sid": "CA1", "speech_id": "sp_0", "at_ms": 0}


def test_events_go_to_the_bus_that_was_named():
    bus = Bus()
    EventBridgeEvents(lambda: bus, "mine").publish(events(1))
    assert bus.requests[0][0]["EventBusName"] == "mine"


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_many_events_go_out_as_many_at_once_as_the_bus_takes(count: int, sizes: list[int]):
    bus = Bus()
    EventBridgeEvents(lambda: bus, "default").publish(events(count))
    assert [len(request) for request in bus.requests] == sizes
    assert max(sizes, default=0) <= AT_ONCE
    told = [json.loads(entry["Detail"])["speech_id"] for request in bus.requests for entry in request]
    assert told == [f"sp_{number}" for number in range(count)]


def test_an_event_is_left_as_it_was():
    (event,) = given = events(1)
    EventBridgeEvents(lambda: Bus(), "default").publish(given)
    assert event == events(1)[0]


def test_a_bus_that_refuses_a_part_of_what_it_is_given_is_an_error_with_its_reason():
    with pytest.raises(RuntimeError, match=r"refused 2 of 3: \['too fast', 'too fast'\]"):
        EventBridgeEvents(lambda: Bus(refused=2), "default").publish(events(3))
