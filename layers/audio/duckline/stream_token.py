"""The token in a stream's URL: which window of which call it opens, until when, signed.

Twilio sends nothing with the fetch of a `<Play>` but the URL itself, and does not sign it. So the URL says whose music
it is, and the signature in it is all that keeps strangers out.

A token is `<fields>.<signature>`, both base64url: the fields are a version, the epoch, the second of expiry and the
call's sid, the signature the first 16 bytes of their HMAC-SHA256 (RFC 2104, section 5: half the output is the least).
"""

import base64
import hashlib
import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from duckline.errors import Forbidden

Key = bytes | str

VERSION = 1
KEY_MIN_BYTES = 16  # a key that can be guessed is none
SID_MAX_BYTES = 64  # Twilio's have 34
TOKEN_MAX_CHARS = 160  # the longest sid's token has 126

_FIELDS = struct.Struct(">BIQ")  # version, epoch, expiry
_PURPOSE = b"duckline stream\n"  # the key signs nothing else in the same form
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Token:
    """What a token lets its bearer fetch: the window `epoch` of a call."""

    call_sid: str
    epoch: int


def issue(key: Key, call_sid: str, epoch: int, expires_at_s: int) -> str:
    """A token for one window that is good until `expires_at_s` (Unix time), signed with `key`.

    The same arguments give the same token. Raises ValueError for a key too short to be one and for a sid too long.
    """
    if len(_bytes(key)) < KEY_MIN_BYTES:
        raise ValueError(f"the stream's key has {len(_bytes(key))} bytes; at least {KEY_MIN_BYTES} would be right")
    sid = call_sid.encode()
    if not 0 < len(sid) <= SID_MAX_BYTES:
        raise ValueError(f"a call's sid of {len(sid)} bytes; 1 to {SID_MAX_BYTES} would be right")
    fields = _base64url(_FIELDS.pack(VERSION, epoch, expires_at_s) + sid)
    return f"{fields}.{_signature(key, fields)}"


def read(keys: Key | Iterable[Key], token: str, now_s: float) -> Token:
    """What `token` is for, if one of `keys` signed it and it is still good at `now_s` (Unix time).

    Nothing in it is looked at before its signature is known to be right. Raises Forbidden.
    """
    fields, dot, signature = token[: TOKEN_MAX_CHARS + 1].partition(".")
    if not (fields and dot and signature) or len(token) > TOKEN_MAX_CHARS or not token.isascii():
        raise Forbidden("this is no stream token; the URL is to be taken from the TwiML as it stands")
    keys = [keys] if isinstance(keys, Key) else list(keys)
    # Every key is tried to the end: the time it takes says nothing.
    matches = [hmac.compare_digest(signature, _signature(key, fields)) for key in keys]
    if not any(matches):
        raise Forbidden("this stream token was not signed here")
    signed = base64.urlsafe_b64decode(fields + "=" * (-len(fields) % 4))
    version, epoch, expires_at_s = _FIELDS.unpack_from(signed)
    if version != VERSION:
        raise Forbidden(f"this stream token is of version {version}; {VERSION} would be right")
    if now_s >= expires_at_s:
        raise Forbidden(f"this stream token expired {now_s - expires_at_s:.0f} s ago; /voice/next gives a new one")
    return Token(signed[_FIELDS.size :].decode(), epoch)


def _signature(key: Key, fields: str) -> str:
    digest = hmac.digest(_bytes(key), _PURPOSE + fields.encode(), hashlib.sha256)
    return _base64url(digest[:_SIGNATURE_BYTES])


def _bytes(key: Key) -> bytes:
    return key.encode() if isinstance(key, str) else key


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
