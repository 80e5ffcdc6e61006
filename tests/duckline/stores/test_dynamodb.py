"""What only a table can do: answer late or not at all, keep items of its own form, forget them in time.

What the stores have to do with a call is in test_stores.py.
"""

import functools
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from botocore.stub import Stubber

from duckline import schedule
from duckline.call import BedSpan, Call, Part, Speech
from duckline.envelope import Duck
from duckline.records import BedRecord, SpeechRecord, SpeechStatus
from duckline.stores import Hold, Lost, NotReached
from duckline.stores.call_item import key_of
from duckline.stores.dynamodb import KEPT_S, DynamoBeds, DynamoCalls, DynamoSpeeches
from local.simulation.rules import item_bytes

NOW_MS, LEASED = 1_800_000_000_000, {"now_ms": 1_800_000_000_000, "lease_ms": 15_000}
ME = Hold(1, "me")
CALL = Call("CA1", (BedSpan(0, "calm1", "calm"),), started_at_ms=NOW_MS, window_until=42_000, holder="me")
RECORD = SpeechRecord("CA1", "sp_1", "print", NOW_MS, text="Hello.")
FINISHED = SpeechStatus("sp_1", "finished", None, 10_000, 2000)
URL = "https://dynamodb.us-east-1.amazonaws.com/"


def part(start: int) -> Part:
    return Part(f"c{start}", Duck(start, 6, start + 106, 30, 0.2), start + 6)


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "told by the test"}}, "UpdateItem")


class Line:
    """The client of a table that is hard to reach. With `error` set it fails so, before or after it acts."""

    def __init__(self, client, *, happens: bool):
        self.client, self.happens, self.error = client, happens, None
        self.asked = []

    def __getattr__(self, name):
        return functools.partial(self._ask, name)

    def _ask(self, name, **arguments):
        self.asked.append((name, arguments))
        if self.error is not None and not self.happens:
            raise self.error
        answer = getattr(self.client, name)(**arguments)
        if self.error is not None:
            raise self.error
        return answer


@pytest.fixture
def calls(dynamodb, table_name):
    return DynamoCalls(dynamodb, table_name)


@pytest.fixture
def broken(dynamodb):
    """A line by which nothing arrives."""
    return Line(dynamodb, happens=False)


@pytest.fixture
def deaf(dynamodb):
    """A line by which everything arrives, and no answer comes back."""
    return Line(dynamodb, happens=True)


# -- a table that cannot be reached ---------------------------------------------------------------

FAILURES = [
    refused("ProvisionedThroughputExceededException"),
    refused("ThrottlingException"),
    refused("RequestLimitExceeded"),
    refused("InternalServerError"),
    refused("ServiceUnavailable"),
    refused("ResourceNotFoundException"),
    ReadTimeoutError(endpoint_url=URL),
    ConnectTimeoutError(endpoint_url=URL),
    EndpointConnectionError(endpoint_url=URL),
]
OPERATIONS = {
    "create": lambda client: DynamoCalls(client, "t").create(CALL),
    "get": lambda client: DynamoCalls(client, "t").get("CA1"),
    "write": lambda client: DynamoCalls(client, "t").write(CALL, replace(CALL, holder="you")),
    "exact write": lambda client: DynamoCalls(client, "t").write(CALL, replace(CALL, epoch=2), exact=True),
    "seal": lambda client: DynamoCalls(client, "t").seal("CA1", ME, 13, now_ms=NOW_MS),
    "live": lambda client: DynamoCalls(client, "t").live(10),
    "keep": lambda client: DynamoSpeeches(client, "t").keep(RECORD),
    "get speech": lambda client: DynamoSpeeches(client, "t").get("CA1", "sp_1"),
    "close": lambda client: DynamoSpeeches(client, "t").close("CA1", FINISHED, 1),
    "latest": lambda client: DynamoSpeeches(client, "t").latest("CA1", 10),
    "keep bed": lambda client: DynamoBeds(client, "t").keep(BedRecord("calm", "ready")),
    "get bed": lambda client: DynamoBeds(client, "t").get("calm"),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_silence_and_every_refusal_but_a_failed_condition_is_not_reached(broken, operation):
    for error in FAILURES:
        broken.error = error
        with pytest.raises(NotReached) as told:
            operation(broken)
        assert str(error) in str(told.value)


def test_throttling_in_the_midst_of_the_pages_of_beds_is_not_reached(dynamodb):
    with Stubber(dynamodb) as stubber:
        more = {"Items": [], "LastEvaluatedKey": {"pk": {"S": "BED"}, "sk": {"S": "calm"}}}
        stubber.add_response("query", more)
        stubber.add_client_error("query", "ThrottlingException")
        with pytest.raises(NotReached, match="ThrottlingException"):
            DynamoBeds(dynamodb, "t").all()
        stubber.assert_no_pending_responses()


# -- answers that are lost ------------------------------------------------------------------------


def test_a_call_that_was_created_without_an_answer_is_found_when_it_is_tried_again(deaf, calls):
    deaf.error = ReadTimeoutError(endpoint_url=URL)
    with pytest.raises(NotReached):
        DynamoCalls(deaf, calls.table).create(CALL)
    assert calls.create(CALL) == CALL


def test_a_seal_that_timed_out_and_happened_counts_as_success(deaf, calls):
    calls.create(CALL)
    deaf.error = ReadTimeoutError(endpoint_url=URL)
    with pytest.raises(NotReached):
        DynamoCalls(deaf, calls.table).seal("CA1", ME, 13, now_ms=NOW_MS)
    assert calls.get("CA1").sealed == 13
    assert calls.seal("CA1", ME, 13, now_ms=NOW_MS + 200).sealed == 13


def test_a_seal_that_timed_out_and_happens_late_is_harmless(broken, calls):
    calls.create(CALL)
    broken.error = ReadTimeoutError(endpoint_url=URL)
    with pytest.raises(NotReached):
        DynamoCalls(broken, calls.table).seal("CA1", ME, 13, now_ms=NOW_MS)
    ahead = calls.seal("CA1", ME, 26, now_ms=NOW_MS + 260)
    (name, arguments), *_ = broken.asked
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        getattr(calls.client, name)(**arguments)
    assert calls.get("CA1") == ahead


def test_a_seal_that_happens_late_after_the_hold_was_taken_is_harmless(broken, calls):
    calls.create(CALL)
    broken.error = ReadTimeoutError(endpoint_url=URL)
    with pytest.raises(NotReached):
        DynamoCalls(broken, calls.table).seal("CA1", ME, 13, now_ms=NOW_MS)
    taken = calls.write(CALL, replace(CALL, epoch=2, holder="you"), exact=True)
    (name, arguments), *_ = broken.asked
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        getattr(calls.client, name)(**arguments)
    assert calls.get("CA1") == taken


def test_a_clip_that_was_published_without_an_answer_is_found_in_what_is_lost(deaf, calls):
    before = calls.create(CALL.with_speech(Speech("sp_1", 1)))
    deaf.error = ReadTimeoutError(endpoint_url=URL)
    after = schedule.place(before, "sp_1", part(300), more=False)
    with pytest.raises(NotReached):
        DynamoCalls(deaf, calls.table).write(before, after)
    with pytest.raises(Lost) as lost:
        calls.write(before, after)
    assert lost.value.current.speech("sp_1").parts == (part(300),)


def test_a_clip_that_is_published_late_finds_the_seal_and_stays_out(broken, calls):
    before = calls.create(CALL.with_speech(Speech("sp_1", 1)))
    broken.error = ReadTimeoutError(endpoint_url=URL)
    with pytest.raises(NotReached):
        DynamoCalls(broken, calls.table).write(before, schedule.place(before, "sp_1", part(300), more=False))
    sealed = calls.seal("CA1", ME, 301, now_ms=NOW_MS)
    (name, arguments), *_ = broken.asked
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        getattr(calls.client, name)(**arguments)
    assert calls.get("CA1") == sealed


def test_a_speech_that_was_closed_without_an_answer_is_closed_again(deaf, dynamodb, table_name):
    speeches = DynamoSpeeches(dynamodb, table_name)
    speeches.keep(RECORD)
    deaf.error = ReadTimeoutError(endpoint_url=URL)
    with pytest.raises(NotReached):
        DynamoSpeeches(deaf, table_name).close("CA1", FINISHED, 1)
    speeches.close("CA1", FINISHED, 1)
    assert speeches.latest("CA1", 10) == [RECORD.closed(FINISHED, 1)]


# -- what is asked of the table -------------------------------------------------------------------


def test_a_seal_is_one_request(dynamodb, calls):
    calls.create(CALL)
    line = Line(dynamodb, happens=True)
    DynamoCalls(line, calls.table).seal("CA1", ME, 13, now_ms=NOW_MS)
    assert [name for name, _ in line.asked] == ["update_item"]


def test_a_publish_is_one_request_and_writes_only_what_differs(dynamodb, calls):
    before = calls.create(CALL.with_speech(Speech("sp_1", 1)).with_speech(Speech("sp_2", 2)))
    line = Line(dynamodb, happens=True)
    DynamoCalls(line, calls.table).write(before, schedule.place(before, "sp_1", part(300), more=False))
    ((name, arguments),) = line.asked
    assert name == "update_item"
    assert list(arguments["ExpressionAttributeNames"].values()) == ["sp_1"]
    assert "wf" not in arguments["UpdateExpression"]


def test_a_call_and_a_speech_are_read_as_they_are_and_not_as_they_were(dynamodb, table_name):
    line = Line(dynamodb, happens=True)
    DynamoCalls(line, table_name).get("CA1")
    DynamoSpeeches(line, table_name).get("CA1", "sp_1")
    DynamoSpeeches(line, table_name).latest("CA1", 10)
    assert [arguments["ConsistentRead"] for _, arguments in line.asked] == [True, True, True]


# -- what is kept ---------------------------------------------------------------------------------


def item_of(dynamodb, table_name: str, key: dict) -> dict:
    return dynamodb.get_item(TableName=table_name, Key=key)["Item"]


def test_a_call_and_its_history_are_forgotten_in_a_week(dynamodb, calls):
    calls.create(CALL)
    DynamoSpeeches(dynamodb, calls.table).keep(RECORD)
    for key in (key_of("CA1"), {"pk": {"S": "CA1"}, "sk": {"S": "SPEECH#sp_1"}}):
        assert int(item_of(dynamodb, calls.table, key)["expires_at"]["N"]) == NOW_MS // 1000 + KEPT_S
    assert KEPT_S == 7 * 24 * 3600


def test_a_bed_is_not_forgotten(dynamodb, table_name):
    DynamoBeds(dynamodb, table_name).keep(BedRecord("calm", "ready", "v1", 62.0, -28.0))
    assert "expires_at" not in item_of(dynamodb, table_name, {"pk": {"S": "BED"}, "sk": {"S": "calm"}})


def test_a_call_stays_in_the_table_to_its_expiry_whatever_is_written(dynamodb, calls):
    before = calls.create(CALL)
    calls.write(before, schedule.end(before, now_ms=NOW_MS, reason="completed"))
    assert "expires_at" in item_of(dynamodb, calls.table, key_of("CA1"))


def test_the_item_in_the_table_has_the_size_that_is_counted_on(dynamodb, calls):
    spoken = [Speech(f"sp_{'x' * 10}{n}", n, (part(720_000 + 200 * n),), more=False) for n in range(1, 9)]
    call = calls.create(replace(CALL, call_sid="CA" + "5" * 32, sealed=719_000, speeches=tuple(spoken)))
    item = item_of(dynamodb, calls.table, key_of(call.call_sid))
    assert size_of(item) <= item_bytes(call) <= 1024


def size_of(item: dict) -> int:
    """The bytes of an item by DynamoDB's documentation: names, UTF-8, a byte for two digits, three bytes for a map."""
    size = 0
    for name, ((kind, value),) in ((name, value.items()) for name, value in item.items()):
        size += len(name.encode())
        if kind == "S":
            size += len(value.encode())
        elif kind == "N":
            size += (len(value.rstrip("0")) + 1) // 2 + 1
        elif kind == "M":
            size += 3 + len(value) + size_of(value)
        else:
            size += 1
    return size


def test_a_call_and_its_speeches_do_not_stand_in_each_others_way(dynamodb, calls):
    calls.create(CALL)
    speeches = DynamoSpeeches(dynamodb, calls.table)
    speeches.keep(RECORD)
    speeches.close("CA1", FINISHED, 1)
    assert calls.get("CA1") == CALL
    assert calls.live(10)[0] == ["CA1"]
    assert [record.speech_id for record in speeches.latest("CA1", 10)] == ["sp_1"]


def test_the_mark_of_a_page_goes_on_where_the_page_ended(calls):
    for number in range(3):
        calls.create(replace(CALL, call_sid=f"CA{number}", started_at_ms=NOW_MS + number))
    first, after = calls.live(2)
    assert first == ["CA0", "CA1"]
    assert calls.live(2, after) == (["CA2"], None)


def test_a_bed_of_whole_decibels_and_seconds_comes_back_as_numbers(dynamodb, table_name):
    beds = DynamoBeds(dynamodb, table_name)
    beds.keep(BedRecord("calm", "ready", "v1", 62.0, -28.0, updated_at_ms=NOW_MS))
    assert (beds.get("calm").seconds, beds.get("calm").level_dbov) == (62, -28)
    assert isinstance(beds.get("calm").updated_at_ms, int)
