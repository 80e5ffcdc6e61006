"""`make connect NUMBER=+1…`: points a Twilio number at the stack, and shows what that changed. UNDO=1 puts it back.

The credentials are Twilio's usual variables, TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN. What the number had before is
kept in .local/, until it is put back.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from operations.deployment import STATE, CannotGoOn, Deployment, configured_stack, run

# Three more tries, whatever goes wrong; a fragment is not sent and not signed.
# https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
RETRIED = "#rc=3&rp=all"
# An application, where a number has one, is asked instead of the number's own URL.
FIELDS = ("voice_url", "voice_method", "status_callback", "status_callback_method", "voice_application_sid")


def wanted(voice_url: str, status_url: str, bed: str = "") -> dict[str, str]:
    """The number's webhooks for a stack with these outputs."""
    return {
        "voice_url": voice_url + (f"?bed={quote(bed)}" if bed else "") + RETRIED,
        "voice_method": "POST",
        "status_callback": status_url + RETRIED,
        "status_callback_method": "POST",
        "voice_application_sid": "",
    }


class Numbers:
    """The numbers of a Twilio account. `kept` is the folder in which what a number had before is kept."""

    def __init__(self, client: Client, kept: Path, tell: Callable[[str], None] = print) -> None:
        self.client, self.kept, self.tell = client, kept, tell

    def connect(self, number: str, webhooks: Mapping[str, str]) -> None:
        """Sets the number's webhooks. What it had at first is kept, however often this is done. Raises CannotGoOn."""
        found = self._found(number)
        if getattr(found, "trunk_sid", None):
            raise CannotGoOn(
                f"{number} belongs to the trunk {found.trunk_sid}, which takes its calls; take it out first"
            )
        before = _webhooks(found)
        if before == dict(webhooks):
            self.tell(f"{number} is connected already")
            return
        file = self._file(number)
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(before, indent=2) + "\n", encoding="utf-8")
        self._show(number, before, _webhooks(self._set(found, webhooks)))
        self.tell(f"make connect NUMBER={number} UNDO=1 puts it back")

    def undo(self, number: str) -> None:
        """Gives the number what it had before it was first connected. Raises CannotGoOn."""
        file = self._file(number)
        if not file.exists():
            raise CannotGoOn(f"nothing is kept of {number}: it was not connected from here ({file} is not there)")
        found = self._found(number)
        before = _webhooks(found)
        self._show(number, before, _webhooks(self._set(found, json.loads(file.read_text(encoding="utf-8")))))
        file.unlink()

    def _found(self, number: str) -> Any:
        with _refusals_told():
            numbers = self.client.incoming_phone_numbers.list(phone_number=number, limit=20)
        for found in numbers:
            if found.phone_number == number:
                return found
        raise CannotGoOn(f"the account {self.client.account_sid} has no number {number}; write it as in +14155550100")

    def _set(self, found: Any, webhooks: Mapping[str, str]) -> Any:
        with _refusals_told():
            return found.update(**webhooks)

    def _file(self, number: str) -> Path:
        return self.kept / f"number-{number.lstrip('+')}.json"

    def _show(self, number: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        self.tell(number)
        for field in FIELDS:
            if before[field] != after[field]:
                self.tell(f"  {field:<24} {before[field] or '(none)'}\n  {'':<22}→ {after[field] or '(none)'}")


@contextmanager
def _refusals_told() -> Iterator[None]:
    try:
        yield
    except TwilioException as error:
        raise CannotGoOn(f"Twilio refused: {' '.join(map(str, error.args)) or error}") from error


def _webhooks(found: Any) -> dict[str, str]:
    return {field: getattr(found, field) or "" for field in FIELDS}


def client_of(environ: Mapping[str, str], **how: Any) -> Client:
    """Raises CannotGoOn where a credential is missing."""
    if missing := [name for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN") if not environ.get(name)]:
        raise CannotGoOn(f"{' and '.join(missing)} must be set; the Twilio console shows them on its first page")
    return Client(environ["TWILIO_ACCOUNT_SID"], environ["TWILIO_AUTH_TOKEN"], **how)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make connect", description=__doc__)
    parser.add_argument("number")
    parser.add_argument("--undo", action="store_true")
    parser.add_argument("--bed", default="")
    parser.add_argument("--stack", default=configured_stack())
    asked = parser.parse_args(arguments)

    def connect() -> None:
        numbers = Numbers(client_of(os.environ), STATE)
        if asked.undo:
            numbers.undo(asked.number)
            return
        outputs = Deployment(boto3.client("cloudformation"), asked.stack).outputs()
        numbers.connect(asked.number, wanted(outputs["VoiceUrl"], outputs["StatusUrl"], asked.bed))

    return run(connect)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
