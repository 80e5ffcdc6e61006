"""Music to a bed by the way that everybody's takes: asked for, uploaded, made a bed by render. Also `make bed`."""

import argparse
import asyncio
import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

STACK_FILE = Path(".local/stack.json")
LOOKS_EVERY_S = 0.1
TELLS_EVERY_S = 2.0
GIVES_UP_AFTER_S = 300


class BedFailed(Exception):
    """The file did not become a bed; the message says why."""


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """Where the API is, and its key. `of` says in words which it is."""

    url: str
    key: str
    of: str


class _Told(io.BufferedReader):
    """A file that tells how much of it was read."""

    def __init__(self, path: Path, heard: Callable[[float], None]) -> None:
        super().__init__(path.open("rb", buffering=0))
        self._bytes, self._heard = max(path.stat().st_size, 1), heard

    def read(self, size: int = -1, /) -> bytes:
        body = super().read(size)
        self._heard(self.tell() / self._bytes)
        return body


class _Teller:
    """Passes on what it is told, but not more often than every TELLS_EVERY_S."""

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self.began_at = self._told_at = clock()

    def __call__(self, line: Callable[[float], str]) -> None:
        """`line` makes the words of the seconds that have passed."""
        now = self._clock()
        if now - self._told_at >= TELLS_EVERY_S:
            self._told_at = now
            self._tell(line(now - self.began_at))


async def make_bed(
    base_url: str, api_key: str, name: str, file: Path, tell: Callable[[str], None] = lambda line: None
) -> dict:
    """Uploads `file` as the bed `name` and waits until it is ready; answers with what the API says of it.

    Raises BedFailed if the API or render refuses it, or if there is no such file.
    """
    if not file.is_file():
        raise BedFailed(f"{file} is no file; a song as MP3, OGG, FLAC, M4A or WAV would be right")
    async with aiohttp.ClientSession(base_url, headers={"Authorization": f"Bearer {api_key}"}) as api:
        upload = (await _asked(api, "POST", name, 201))["upload"]
        before = await _asked(api, "GET", name, 200)
        tell(f"uploading {file.name} ({file.stat().st_size / 1e6:.1f} MB)")
        sometimes = _Teller(tell)
        form = aiohttp.FormData(upload["fields"])
        with _Told(file, lambda share: sometimes(lambda _: f"{share:.0%} is uploaded")) as body:
            form.add_field("file", body, filename=file.name)
            async with aiohttp.ClientSession() as bucket, bucket.post(upload["url"], data=form) as answer:
                if answer.status >= 300:
                    raise BedFailed(f"the upload of {file.name} was refused: {answer.status} {await answer.text()}")
        tell("render is making a bed of it")
        return await _ready(api, name, before, _Teller(tell))


async def _ready(api: aiohttp.ClientSession, name: str, before: dict, sometimes: _Teller) -> dict:
    try:
        async with asyncio.timeout(GIVES_UP_AFTER_S):
            while True:
                bed = await _asked(api, "GET", name, 200)
                if bed["state"] == "ready" and bed != before:
                    return bed
                if bed["state"] == "failed" and bed != before:
                    raise BedFailed(bed["reason"])
                sometimes(lambda passed_s: f"{bed['state']} for {passed_s:.0f} s")  # noqa: B023 - called at once
                await asyncio.sleep(LOOKS_EVERY_S)
    except TimeoutError:
        raise BedFailed(f"no bed has come of it in {GIVES_UP_AFTER_S} s; GET /beds/{name} may know more") from None


async def _asked(api: aiohttp.ClientSession, method: str, name: str, good: int) -> dict:
    async with api.request(method, f"/beds/{name}") as answer:
        if answer.status != good:
            problem = (await answer.text())[:500]
            raise BedFailed(f"{method} /beds/{name} was answered with {answer.status}: {problem}")
        return await answer.json()


# -- make bed -----------------------------------------------------------------------------------------


def api_access(environ: Mapping[str, str], stack: str = "", stack_file: Path = STACK_FILE) -> ApiAccess:
    """The API that is meant: API_URL and API_KEY, the deployment named `stack`, the local stack that runs, or the
    deployment of samconfig.toml; the first that there is. Raises BedFailed if there is none.
    """
    if environ.get("API_URL"):
        return ApiAccess(environ["API_URL"].rstrip("/"), environ.get("API_KEY", ""), "API_URL")
    if not stack and stack_file.is_file():
        told = json.loads(stack_file.read_text(encoding="utf-8"))
        return ApiAccess(told["api_url"], told["api_key"], "the local stack")
    return _deployed(stack)


def _deployed(stack: str) -> ApiAccess:
    import boto3

    from operations.deployment import CannotGoOn, Deployment, configured_stack

    try:
        name = stack or configured_stack()
        cloudformation = boto3.client("cloudformation")
        url = Deployment(cloudformation, name).outputs()["ApiUrl"]
        found = cloudformation.describe_stack_resource(StackName=name, LogicalResourceId="ApiKey")
        secret_id = found["StackResourceDetail"]["PhysicalResourceId"]
        key = boto3.client("secretsmanager").get_secret_value(SecretId=secret_id)["SecretString"]
    except FileNotFoundError:
        raise BedFailed(
            "no stack runs here and none was deployed from here; make dev starts one, make deploy makes one,"
            " STACK=… names another, API_URL and API_KEY any other"
        ) from None
    except (CannotGoOn, BotoCoreError, ClientError) as reason:
        raise BedFailed(str(reason)) from reason
    return ApiAccess(url, key, f"the stack {name}")


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    parser = argparse.ArgumentParser(prog="make bed", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("name")
    parser.add_argument("--stack", default="", help="a deployment other than samconfig.toml's")
    asked = parser.parse_args(arguments)

    def tell(line: str) -> None:
        print(f"· {line}", flush=True)

    try:
        access = api_access(environ, asked.stack)
        tell(f"{access.of}: {access.url}")
        bed = asyncio.run(make_bed(access.url, access.key, asked.name, asked.file.expanduser(), tell))
    except (BedFailed, aiohttp.ClientError) as reason:
        print(f"✗ {reason}", file=sys.stderr)
        return 1
    tell(f"the bed {asked.name} is ready: {bed['seconds']:.0f} s, {bed['level_dbov']:.1f} dBov")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
