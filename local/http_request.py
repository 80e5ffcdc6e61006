"""HTTP/1.1 requests as a function's runtime sends them, read chunk by chunk and with their trailers.

aiohttp's server drops trailers, and a streamed response tells its failure in them. What has to be read comes from
three known clients on the same machine (awslambdaric's curl, the project's two loops), so this is small enough to
have here rather than a library for it. https://www.rfc-editor.org/rfc/rfc9112
"""

import asyncio
from collections.abc import AsyncIterator

HEAD_MAX_BYTES = 1_200_000  # awslambdaric sends up to 1 MiB of stack for X-Ray in one header of an error
TRAILERS_MAX_BYTES = 4096  # Lambda's own server refuses more: "suspiciously long trailer after chunked body"
PIECE_BYTES = 65_536


class BadRequest(Exception):
    """What came is not HTTP/1.1 as a runtime speaks it."""


class CutOff(Exception):
    """The connection ended inside a request."""


class Request:
    """A request whose head is read and whose body is still coming.

    Names in `headers` and `trailers` are lower case; `trailers` is filled once `chunks` has ended.
    """

    def __init__(self, method: str, path: str, headers: dict[str, str], reader: asyncio.StreamReader):
        self.method, self.path, self.headers = method, path, headers
        self.trailers: dict[str, str] = {}
        self._reader = reader
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self._left_bytes = _number(headers.get("content-length", "0").encode(), 10)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The rest of the body: each chunk as it was written, or pieces of a body of known length.

        Raises CutOff, BadRequest.
        """
        try:
            while self._chunked:
                size = _number(await self._reader.readuntil(b"\r\n"), 16)
                if not size:
                    self._chunked = False
                    await self._read_trailers()
                    return
                chunk, end = await self._reader.readexactly(size), await self._reader.readexactly(2)
                if end != b"\r\n":
                    raise BadRequest(f"a chunk of {size} bytes ends in {end!r}, not in CR LF")
                yield chunk
            while self._left_bytes:
                piece = await self._reader.readexactly(min(self._left_bytes, PIECE_BYTES))
                self._left_bytes -= len(piece)
                yield piece
        except asyncio.IncompleteReadError as error:
            raise CutOff from error
        except asyncio.LimitOverrunError as error:
            raise BadRequest(f"a line of over {HEAD_MAX_BYTES} bytes") from error

    async def body(self) -> bytes:
        """The rest of the body, whole."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def _read_trailers(self) -> None:
        lines, size = [], 0
        while (line := await self._reader.readuntil(b"\r\n")) != b"\r\n":
            lines.append(line)
            size += len(line)
        if size > TRAILERS_MAX_BYTES:
            raise BadRequest(f"trailers of {size} bytes; Lambda takes {TRAILERS_MAX_BYTES}")
        self.trailers = _fields(lines)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection, None if there is none. Raises CutOff, BadRequest.

    The reader's limit bounds the head: `asyncio.start_server(…, limit=HEAD_MAX_BYTES)`.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise CutOff from error
        return None
    except asyncio.LimitOverrunError as error:
        raise BadRequest(f"a head of over {HEAD_MAX_BYTES} bytes") from error
    first, *lines = head[:-4].split(b"\r\n")
    parts = first.decode("latin-1").split(" ")
    if len(parts) != 3 or parts[2] != "HTTP/1.1":
        raise BadRequest(f"the request line is {first[:80]!r}; METHOD path HTTP/1.1 is wanted")
    return Request(parts[0], parts[1], _fields(lines), reader)


def _fields(lines: list[bytes]) -> dict[str, str]:
    fields = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest(f"a header reads {line[:80]!r}; Name: value is wanted")
        fields[name.lower()] = value.strip()
    return fields


def _number(text: bytes, radix: int) -> int:
    try:
        number = int(text.split(b";")[0], radix)
    except ValueError:
        number = -1
    if number < 0:
        raise BadRequest(f"a length reads {text[:80]!r}; a number to the base {radix} is wanted")
    return number
