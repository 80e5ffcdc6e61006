"""Music into the local stack by the way that everybody's takes: asked for, uploaded, made a bed by render."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp

LOOKS_EVERY_S = 0.1
GIVES_UP_AFTER_S = 300


class BedFailed(Exception):
    """The file did not become a bed; the message says why."""


async def make_bed(
    base_url: str, api_key: str, name: str, file: Path, tell: Callable[[str], None] = lambda line: None
) -> dict:
    """Uploads `file` as the bed `name` and waits until it is ready; answers with what the API says of it.

    Raises BedFailed if render refuses the file, or if there is none.
    """
    if not file.is_file():
        raise BedFailed(f"{file} is no file; a song as MP3, OGG, FLAC, M4A or WAV would be right")
    authorization = {"Authorization": f"Bearer {api_key}"}
    async with aiohttp.ClientSession(base_url) as api:
        async with api.post(f"/beds/{name}", headers=authorization) as answer:
            answer.raise_for_status()
            upload = (await answer.json())["upload"]
        before = await _state(api, name, authorization)
        tell(f"uploading {file.name} ({file.stat().st_size / 1e6:.1f} MB)")
        form = aiohttp.FormData(upload["fields"])
        form.add_field("file", file.read_bytes(), filename=file.name)
        async with aiohttp.ClientSession() as bucket, bucket.post(upload["url"], data=form) as answer:
            if answer.status >= 300:
                raise BedFailed(f"the upload of {file.name} was refused: {answer.status} {await answer.text()}")
        tell("render is making a bed of it")
        return await _ready(api, name, authorization, before)


async def _ready(api: aiohttp.ClientSession, name: str, authorization: dict[str, str], before: dict) -> dict:
    async with asyncio.timeout(GIVES_UP_AFTER_S):
        while True:
            bed = await _state(api, name, authorization)
            if bed["state"] == "ready" and bed != before:
                return bed
            if bed["state"] == "failed" and bed != before:
                raise BedFailed(bed["reason"])
            await asyncio.sleep(LOOKS_EVERY_S)


async def _state(api: aiohttp.ClientSession, name: str, authorization: dict[str, str]) -> dict:
    async with api.get(f"/beds/{name}", headers=authorization) as answer:
        answer.raise_for_status()
        return await answer.json()
