"""Secrets from Secrets Manager, kept for some minutes.

A secret that is rotated has two values for a while, AWSCURRENT and AWSPREVIOUS, and both are good: what was signed with
the old one must not be refused. So whoever finds that no value fits asks for `fresh` ones before saying no.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from duckline.errors import SettingMissing
from duckline.stores import NotReached

KEPT_MS = 5 * 60_000  # a secret costs a request every five minutes an environment
SPARED_MS = 10_000  # whoever sends wrong signatures makes nobody ask more often than this


@dataclass(slots=True)
class _Kept:
    values: tuple[str, ...]
    asked_at_ms: float
    refreshed_at_ms: float | None = None


class Secrets:
    """The values of secrets by id. `clock_ms` is a monotonic clock."""

    def __init__(self, client: Any, clock_ms: Callable[[], float]) -> None:
        self.client, self.clock_ms = client, clock_ms
        self.kept: dict[str, _Kept] = {}

    def values(self, secret_id: str) -> tuple[str, ...]:
        """The values that are known to be good, the current one first.

        While the service cannot be reached, an old answer stands. Raises NotReached if there is none, SettingMissing if
        there is no such secret or it is empty.
        """
        kept = self.kept.get(secret_id)
        now_ms = self.clock_ms()
        if kept is not None and now_ms < kept.asked_at_ms + KEPT_MS:
            return kept.values
        try:
            values = (self._current(secret_id),)
        except NotReached:
            if kept is None:
                raise
            values = kept.values
        self.kept[secret_id] = _Kept(values, now_ms, kept.refreshed_at_ms if kept else None)
        return values

    def fresh(self, secret_id: str) -> tuple[str, ...]:
        """All the values as of now, the current one first: for one who found that none of `values` fits.

        Asked again within ten seconds it answers what it knows. Raises as `values` does.
        """
        kept = self.kept.get(secret_id)
        now_ms = self.clock_ms()
        recent = kept is not None and kept.refreshed_at_ms is not None
        if recent and now_ms < kept.refreshed_at_ms + SPARED_MS:
            return kept.values
        try:
            values = (self._current(secret_id), *self._previous(secret_id))
        except NotReached:
            if kept is None:
                raise
            kept.refreshed_at_ms = now_ms
            return kept.values
        self.kept[secret_id] = _Kept(values, now_ms, now_ms)
        return values

    def _current(self, secret_id: str) -> str:
        value = self._ask(secret_id, "AWSCURRENT")
        if not value:
            state = "does not exist" if value is None else "is empty"
            raise SettingMissing(f"the secret {secret_id} {state}; a text that is not empty would be right")
        return value

    def _previous(self, secret_id: str) -> tuple[str, ...]:
        value = self._ask(secret_id, "AWSPREVIOUS")
        return (value,) if value else ()

    def _ask(self, secret_id: str, stage: str) -> str | None:
        try:
            answer = self.client.get_secret_value(SecretId=secret_id, VersionStage=stage)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or _is_load(error):
                raise NotReached(f"secret {secret_id}: {error}") from error
            raise
        except BotoCoreError as error:
            raise NotReached(f"secret {secret_id}: {error}") from error
        return answer.get("SecretString", "").strip()


def _is_load(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in {"ThrottlingException", "LimitExceededException"}
