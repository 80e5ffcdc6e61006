"""What was found out about `<Play>`, kept for the whole deployment: one item, read and written as a whole."""

from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from duckline.delivery import Finding
from duckline.stores import NotReached

KEY = {"pk": {"S": "DELIVERY"}, "sk": {"S": "FINDING"}}


class Findings(Protocol):
    """The one finding."""

    def get(self) -> Finding | None:
        """Raises NotReached."""

    def keep(self, finding: Finding) -> None:
        """The last one counts: a later window is believed. Raises NotReached."""


class MemoryFindings:
    """`Findings` in an attribute."""

    def __init__(self, finding: Finding | None = None) -> None:
        self.finding = finding

    def get(self) -> Finding | None:
        return self.finding

    def keep(self, finding: Finding) -> None:
        self.finding = finding


class DynamoFindings:
    """`Findings` in the table `table`."""

    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def get(self) -> Finding | None:
        try:
            item = self.client.get_item(TableName=self.table, Key=KEY).get("Item")
        except (ClientError, BotoCoreError) as error:
            raise NotReached(f"the finding: {error}") from error
        return Finding(item["mode"]["S"], item["evidence"]["S"], int(item["found_at_ms"]["N"])) if item else None

    def keep(self, finding: Finding) -> None:
        values = {
            "mode": {"S": finding.mode},
            "evidence": {"S": finding.evidence},
            "found_at_ms": {"N": str(finding.found_at_ms)},
        }
        try:
            self.client.put_item(TableName=self.table, Item={**KEY, **values})
        except (ClientError, BotoCoreError) as error:
            raise NotReached(f"the finding: {error}") from error
