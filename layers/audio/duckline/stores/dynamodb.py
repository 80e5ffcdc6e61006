"""Calls, speeches and beds in one DynamoDB table.

A call's item is (call_sid, CALL), its speeches are (call_sid, SPEECH#id) and beds are (BED, name). The index `live`
lists the calls that have not ended, the index `by_order` a call's speeches that are over. Every condition that fails is
answered with the item as it was (ReturnValuesOnConditionCheckFailure), because a write whose answer was lost may have
happened. The client is expected not to retry by itself where a stream uses it.
"""

from dataclasses import asdict
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from duckline.call import Call
from duckline.records import BedRecord, SpeechRecord, SpeechStatus
from duckline.schedule import limit_of_seal
from duckline.stores import Hold, Lost, NotReached
from duckline.stores.call_item import HOLDER, LIVE, SPEECHES, Item, call_of, item_of, key_of, packed

KEPT_S = 7 * 24 * 3600  # a call and its history are forgotten a week after it began


class DynamoCalls:
    """`duckline.stores.Calls` in the table `table`."""

    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def create(self, call: Call) -> Call:
        item = {**key_of(call.call_sid), **item_of(call), "expires_at": _forgotten(call.started_at_ms)}
        try:
            _ask(
                self.client.put_item,
                TableName=self.table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except _ConditionFailed as refused:
            return call_of(refused.item)
        return call

    def get(self, call_sid: str) -> Call | None:
        found = _ask(self.client.get_item, TableName=self.table, Key=key_of(call_sid), ConsistentRead=True)
        return call_of(found["Item"]) if "Item" in found else None

    def write(self, before: Call, after: Call, *, exact: bool = False) -> Call:
        limit = limit_of_seal(before, after, exact=exact)
        change = _Change(before, after, exact=exact)
        change.require("rev = :seen", {":seen": {"N": str(before.revision)}})
        if exact:
            change.require("sealed = :sealed_seen", {":sealed_seen": {"N": str(before.sealed)}})
        elif limit is not None:
            change.require("sealed <= :limit", {":limit": {"N": str(limit)}})
        return self._update(before.call_sid, **change.arguments())

    def seal(
        self, call_sid: str, hold: Hold, to: int, *, now_ms: int, done: bool = False, over: tuple[str, ...] = ()
    ) -> Call:
        names, sets = {}, ["sealed = :to", "sealed_at = :now"]
        values = {
            ":to": {"N": str(to)},
            ":now": {"N": str(now_ms)},
            ":epoch": {"N": str(hold.epoch)},
            ":holder": {"S": hold.holder},
            ":never": {"N": "0"},
        }
        if done:
            sets.append("done = :epoch")
        removes = []
        if over:
            sets.append("rev = rev + :one")
            values[":one"] = {"N": "1"}
            names = {f"#s{number}": speech_id for number, speech_id in enumerate(over)}
            removes = [f"{SPEECHES}.{name}" for name in names]
        arguments = {
            "UpdateExpression": _expression(sets, removes),
            "ConditionExpression": f"epoch = :epoch AND {HOLDER} = :holder AND sealed <= :to AND ended = :never",
            "ExpressionAttributeValues": values,
        }
        if names:
            arguments["ExpressionAttributeNames"] = names
        try:
            return self._update(call_sid, **arguments)
        except Lost as lost:
            current = lost.current
            mine = current is not None and not current.ended and Hold(current.epoch, current.holder) == hold
            if mine and current.sealed >= to:
                return current
            raise

    def live(self, limit: int, after: str | None = None) -> tuple[list[str], str | None]:
        start = {}
        if after is not None:
            sid, _, started = after.partition("-")
            start["ExclusiveStartKey"] = {**key_of(sid), LIVE: {"S": "1"}, "started_at_ms": {"N": started}}
        page = _ask(
            self.client.query,
            TableName=self.table,
            IndexName="live",
            KeyConditionExpression=f"{LIVE} = :one",
            ExpressionAttributeValues={":one": {"S": "1"}},
            Limit=limit,
            **start,
        )
        last = page.get("LastEvaluatedKey")
        going_on = f"{last['pk']['S']}-{last['started_at_ms']['N']}" if last else None
        return [item["pk"]["S"] for item in page["Items"]], going_on

    def _update(self, call_sid: str, **arguments: Any) -> Call:
        try:
            answer = _ask(
                self.client.update_item,
                TableName=self.table,
                Key=key_of(call_sid),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **arguments,
            )
        except _ConditionFailed as refused:
            raise Lost(call_of(refused.item) if refused.item else None) from None
        return call_of(answer["Attributes"])


class _Change:
    """The update expression that makes one call of another: what differs, and no more."""

    def __init__(self, before: Call, after: Call, *, exact: bool) -> None:
        self.names: dict[str, str] = {}
        self.values: Item = {":one": {"N": "1"}}
        self.sets, self.removes, self.conditions = ["rev = rev + :one"], [], []
        old, new = item_of(before), item_of(after)
        kept = {"rev", SPEECHES} | (set() if exact else {"sealed", "sealed_at", "done"})
        for name in (old.keys() | new.keys()) - kept:
            if name not in new:
                self.removes.append(self._name(name))
            elif new[name] != old.get(name):
                self.sets.append(f"{self._name(name)} = {self._value(new[name])}")
        had, has = ({s.speech_id: packed(s) for s in call.speeches} for call in (before, after))
        for speech_id in had.keys() | has.keys():
            path = f"{SPEECHES}.{self._name(speech_id)}" if had.get(speech_id) != has.get(speech_id) else ""
            if path and speech_id in has:
                self.sets.append(f"{path} = {self._value(has[speech_id])}")
            elif path:
                self.removes.append(path)

    def require(self, condition: str, values: Item) -> None:
        self.conditions.append(condition)
        self.values |= values

    def arguments(self) -> dict[str, Any]:
        arguments = {
            "UpdateExpression": _expression(self.sets, self.removes),
            "ConditionExpression": " AND ".join(self.conditions),
            "ExpressionAttributeValues": self.values,
        }
        return {**arguments, "ExpressionAttributeNames": self.names} if self.names else arguments

    def _name(self, name: str) -> str:
        placeholder = f"#n{len(self.names)}"
        self.names[placeholder] = name
        return placeholder

    def _value(self, value: dict[str, Any]) -> str:
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = value
        return placeholder


class DynamoSpeeches:
    """`duckline.stores.Speeches` in the table `table`."""

    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def keep(self, record: SpeechRecord, instead_of: SpeechRecord | None = None) -> SpeechRecord:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if instead_of is not None:
            condition["ConditionExpression"] += " OR (fingerprint = :old AND attribute_not_exists(#order))"
            condition["ExpressionAttributeNames"] = {"#order": "order"}
            condition["ExpressionAttributeValues"] = {":old": {"S": instead_of.fingerprint}}
        try:
            _ask(
                self.client.put_item,
                TableName=self.table,
                Item=_speech_item(record),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **condition,
            )
        except _ConditionFailed as refused:
            return _record(SpeechRecord, refused.item)
        return record

    def get(self, call_sid: str, speech_id: str) -> SpeechRecord | None:
        key = _speech_key(call_sid, speech_id)
        found = _ask(self.client.get_item, TableName=self.table, Key=key, ConsistentRead=True)
        return _record(SpeechRecord, found["Item"]) if "Item" in found else None

    def close(self, call_sid: str, status: SpeechStatus, order: int) -> None:
        told = {**asdict(status), "call_sid": call_sid, "order": order}
        fields = _fields(told)
        unset = [f"#{name}" for name in told if name not in fields]
        _ask(
            self.client.update_item,
            TableName=self.table,
            Key=_speech_key(call_sid, status.speech_id),
            UpdateExpression=_expression([f"#{name} = :{name}" for name in fields], unset),
            ExpressionAttributeNames={f"#{name}": name for name in told},
            ExpressionAttributeValues={f":{name}": value for name, value in fields.items()},
        )

    def latest(self, call_sid: str, limit: int) -> list[SpeechRecord]:
        page = _ask(
            self.client.query,
            TableName=self.table,
            IndexName="by_order",
            KeyConditionExpression="pk = :sid",
            ExpressionAttributeValues={":sid": {"S": call_sid}},
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=limit,
        )
        return [_record(SpeechRecord, item) for item in page["Items"]]


class DynamoBeds:
    """`duckline.stores.Beds` in the table `table`."""

    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def keep(self, record: BedRecord) -> None:
        item = {"pk": {"S": "BED"}, "sk": {"S": record.name}, **_fields(asdict(record))}
        _ask(self.client.put_item, TableName=self.table, Item=item)

    def get(self, name: str) -> BedRecord | None:
        key = {"pk": {"S": "BED"}, "sk": {"S": name}}
        found = _ask(self.client.get_item, TableName=self.table, Key=key, ConsistentRead=True)
        return _record(BedRecord, found["Item"]) if "Item" in found else None

    def all(self) -> list[BedRecord]:
        pages = self.client.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="pk = :bed",
            ExpressionAttributeValues={":bed": {"S": "BED"}},
        )
        items = _ask(lambda: [item for page in pages for item in page["Items"]])
        return [_record(BedRecord, item) for item in items]


def _speech_item(record: SpeechRecord) -> Item:
    fields = asdict(record)
    if not record.order:
        del fields["order"]  # only what is over is in the index by order
    key = _speech_key(record.call_sid, record.speech_id)
    return {**key, **_fields(fields), "expires_at": _forgotten(record.requested_at_ms)}


def _speech_key(call_sid: str, speech_id: str) -> Item:
    return {"pk": {"S": call_sid}, "sk": {"S": f"SPEECH#{speech_id}"}}


def _forgotten(from_ms: int) -> dict[str, str]:
    return {"N": str(from_ms // 1000 + KEPT_S)}


def _fields(fields: dict[str, Any]) -> Item:
    def typed(value: Any) -> dict[str, str]:
        return {"N": repr(value)} if isinstance(value, int | float) else {"S": value}

    return {name: typed(value) for name, value in fields.items() if value is not None and value != ""}


def _record(kind: type, item: Item) -> Any:
    """A record of `kind` from its item; the fields' own defaults stand for what the item lacks."""

    def plain(value: dict[str, str]) -> Any:
        if "S" in value:
            return value["S"]
        return float(value["N"]) if any(mark in value["N"] for mark in ".eE") else int(value["N"])

    return kind(**{name: plain(item[name]) for name in kind.__dataclass_fields__ if name in item})


def _expression(sets: list[str], removes: list[str]) -> str:
    return f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else "")


class _ConditionFailed(Exception):
    def __init__(self, item: Item | None) -> None:
        super().__init__("condition failed")
        self.item = item


def _ask(operation: Any, **arguments: Any) -> Any:
    """Asks the table. Raises _ConditionFailed with the item as it was, NotReached for any other refusal or silence."""
    try:
        return operation(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            raise _ConditionFailed(error.response.get("Item")) from None
        raise NotReached(str(error)) from error
    except BotoCoreError as error:
        raise NotReached(str(error)) from error
