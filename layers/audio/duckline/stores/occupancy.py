"""How many calls are going on: counted in the index of live calls, and among the calls where that says too many.

The index costs a few read units, but it also has those calls of whose end nobody told. So when it is full the calls are
looked at, and one that gave no sign of life for a minute is not counted: it has no stream.
"""

from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from duckline.stores import NotReached
from duckline.stores.call_item import LIVE, NUMBERS, key_of

SILENT_MS = 60_000  # a window that is sent at once seals every ten seconds, any other several times a second
LONGEST_CALL_MS = 24 * 3600 * 1000  # Twilio ends it then
AT_ONCE = 100  # items that one BatchGetItem reads
TRIES = 3  # for what a BatchGetItem left out
SIGNS = tuple(NUMBERS[field] for field in ("sealed_at_ms", "opening_at_ms", "started_at_ms"))


class Occupancy(Protocol):
    """The calls that are going on."""

    def live(self, now_ms: int, most: int) -> int:
        """How many they are; no further than to `most` is counted. Raises NotReached."""


class MemoryOccupancy:
    """`Occupancy` in an attribute."""

    def __init__(self, calls: int = 0) -> None:
        self.calls = calls

    def live(self, now_ms: int, most: int) -> int:
        return min(self.calls, most)


class DynamoOccupancy:
    """`Occupancy` in the table `table`."""

    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def live(self, now_ms: int, most: int) -> int:
        try:
            listed = self._listed(now_ms, most, Select="COUNT")
            if sum(page["Count"] for page in listed) < most:
                return sum(page["Count"] for page in listed)
            sids = [item["pk"]["S"] for page in self._listed(now_ms, None) for item in page["Items"]]
            return min(most, sum(self._alive(sids[at : at + AT_ONCE], now_ms) for at in range(0, len(sids), AT_ONCE)))
        except (ClientError, BotoCoreError) as error:
            raise NotReached(f"the live calls: {error}") from error

    def _listed(self, now_ms: int, most: int | None, **arguments: Any) -> list[dict[str, Any]]:
        """Pages of the index, up to `most` calls."""
        pages: list[dict[str, Any]] = []
        start: dict[str, Any] = {}
        while not pages or start:
            limit = {} if most is None else {"Limit": most - sum(page["Count"] for page in pages)}
            page = self.client.query(
                TableName=self.table,
                IndexName="live",
                KeyConditionExpression=f"{LIVE} = :one AND started_at_ms > :oldest",
                ExpressionAttributeValues={":one": {"S": "1"}, ":oldest": {"N": str(now_ms - LONGEST_CALL_MS)}},
                **limit,
                **arguments,
                **({"ExclusiveStartKey": start} if start else {}),
            )
            pages.append(page)
            start = page.get("LastEvaluatedKey") or {}
            if most is not None and sum(page["Count"] for page in pages) >= most:
                break
        return pages

    def _alive(self, sids: list[str], now_ms: int) -> int:
        """How many of these gave a sign of life; one that could not be read counts as alive."""
        asked = [key_of(sid) for sid in sids]
        alive = 0
        for _ in range(TRIES):
            answer = self.client.batch_get_item(
                RequestItems={self.table: {"Keys": asked, "ProjectionExpression": ", ".join(SIGNS)}}
            )
            found = answer["Responses"].get(self.table, [])
            last_ms = [max(int(item[sign]["N"]) for sign in SIGNS) for item in found]
            alive += sum(now_ms - sign_ms < SILENT_MS for sign_ms in last_ms)
            asked = answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", [])
            if not asked:
                break
        return alive + len(asked)
