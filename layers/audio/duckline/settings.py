"""Settings as they come out of the environment, read once by an entry module.

A setting that is missing or malformed stops a function at its start with one line: which, what came, what would be
right. A blank setting counts as missing, since a template cannot leave a variable out.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duckline.errors import SettingMissing

_URL = re.compile(r"https?://[^\s/?#]+(/[^\s/?#]+)*")


def text(env: Mapping[str, str], name: str, default: str | None = None) -> str:
    """The setting `name` as it stands. Raises SettingMissing if there is none and no default either."""
    value = env.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise SettingMissing(f"{name} is not set; template.yaml sets it for every function that needs it")
    return default


def number(env: Mapping[str, str], name: str, low: float, high: float, default: float | None = None) -> float:
    """A number from `low` to `high`. Raises SettingMissing."""
    value = text(env, name, None if default is None else str(default))
    try:
        parsed = float(value)
    except ValueError:
        parsed = math.nan
    if not low <= parsed <= high:
        raise SettingMissing(f"{name} is {value!r}; a number from {low:g} to {high:g} would be right")
    return parsed


def choice(env: Mapping[str, str], name: str, allowed: Sequence[str], default: str | None = None) -> str:
    """One of `allowed`. Raises SettingMissing."""
    value = text(env, name, default)
    if value not in allowed:
        raise SettingMissing(f"{name} is {value!r}; one of {', '.join(allowed)} would be right")
    return value


def url(env: Mapping[str, str], name: str, default: str | None = None) -> str:
    """An address without a slash at its end; a function URL, which comes with one, loses it. Raises SettingMissing."""
    value = text(env, name, default).rstrip("/")
    if value != default and not _URL.fullmatch(value):
        raise SettingMissing(f"{name} is {value!r}; a URL such as https://calls.example.com would be right")
    return value


@dataclass(frozen=True, slots=True)
class Storage:
    """Where things are kept and told: a table, a bucket, the work queue and the event bus."""

    table: str
    bucket: str
    work_queue_url: str
    event_bus: str

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "Storage":
        return cls(
            table=text(env, "DUCKLINE_TABLE"),
            bucket=text(env, "DUCKLINE_BUCKET"),
            work_queue_url=text(env, "DUCKLINE_WORK_QUEUE_URL"),
            event_bus=text(env, "DUCKLINE_EVENT_BUS"),
        )


@dataclass(frozen=True, slots=True)
class Webhooks:
    """How Twilio reaches voice and is told where the music is.

    `public_url` is empty where the API is reached at its own address. The secrets are given by their ids.
    """

    stream_url: str
    public_url: str
    default_bed: str
    stream_key_secret: str
    twilio_token_secret: str

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "Webhooks":
        return cls(
            stream_url=url(env, "DUCKLINE_STREAM_URL"),
            public_url=url(env, "DUCKLINE_PUBLIC_URL", default=""),
            default_bed=text(env, "DUCKLINE_DEFAULT_BED"),
            stream_key_secret=text(env, "DUCKLINE_STREAM_KEY_SECRET"),
            twilio_token_secret=text(env, "DUCKLINE_TWILIO_TOKEN_SECRET"),
        )
