"""Sockets that reach this machine only, and that know when their bytes came.

A simulator must never call out, so every connection it makes is checked where the address is final: at the socket.

When the event loop is late, bytes wait in the kernel and "when it was read" is not "when it came". Linux stamps what a
socket receives (SO_TIMESTAMPNS), so a busy machine does not make a chunk look late. Of several packets read in one go
the kernel gives the last one's stamp: never too early. Elsewhere the time of reading has to do.
"""

import ipaddress
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from local.twilio.clock import Clock

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
_TIMESPEC = struct.Struct("@ll")


class NotLoopbackError(ValueError):
    """An address that is not on this machine."""


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_loopback(url: str) -> str:
    """`url` itself. NotLoopbackError unless it is http(s) to this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not is_loopback(parts.hostname or ""):
        raise NotLoopbackError(
            f"{url!r} is not on this machine; the simulator never calls out: "
            "http://127.0.0.1:…, http://[::1]:… or http://localhost:… is right"
        )
    return url


class StampedSocket(socket.socket):
    """A socket whose `arrived_at` says, by `clock`, when what it read last had come."""

    clock: Clock
    arrived_at = 0.0
    longest_wait_s = 0.0  # that bytes lay in the kernel before they were read

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        data, ancillary, _, _ = self.recvmsg(bufsize, 64, flags)
        waited_s = 0.0
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = _TIMESPEC.unpack_from(content)
                waited_s = max(0.0, time.time() - seconds - nanoseconds / 1e9)
        self.longest_wait_s = max(self.longest_wait_s, waited_s)
        self.arrived_at = self.clock.ago(waited_s)
        return data


def socket_factory(clock: Clock, *, receive_buffer_bytes: int | None = None) -> Callable[[Any], StampedSocket]:
    """What makes an aiohttp connector's sockets: stamped, and NotLoopbackError for any other machine."""

    def make(address_info: tuple[int, int, int, str, tuple[Any, ...]]) -> StampedSocket:
        family, kind, protocol, _, address = address_info
        if not is_loopback(str(address[0])):
            raise NotLoopbackError(f"{address[0]} is not this machine; the simulator never calls out")
        made = StampedSocket(family, kind, protocol)
        made.clock = clock
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        if receive_buffer_bytes is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        return made

    return make
