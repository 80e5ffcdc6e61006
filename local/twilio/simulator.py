"""A Twilio account on this machine."""

import asyncio
from collections.abc import Mapping
from random import Random
from types import TracebackType
from typing import Self

from local.twilio.behaviours import Behaviour
from local.twilio.call import Call
from local.twilio.clock import Clock, RealClock
from local.twilio.loopback import require_loopback
from local.twilio.player import Synthesise
from local.twilio.webhooks import Identity, Webhooks

CALLED_NUMBER = "+15005550006"  # Twilio's magic number for tests


class SimulatedTwilio:
    """Places calls to an application on this machine and plays to their callers what it answers.

    It lives in the event loop that places its calls and takes little of it: a call does something only when a chunk
    comes or a verb ends. Whatever keeps that loop busy delays its requests, but makes no gap in a recording while it
    is shorter than the stream's lead less one chunk: see `local.twilio.playback` and `local.twilio.loopback`.

    Args:
        auth_token: the account's; what webhooks are signed with.
        account_sid: `AC` and 32 hexadecimal digits; one is made up if it is left out.
        clock: real unless a test brings a virtual one.
        behaviour: how media is fetched and played.
        synthesise: what `<Say>` sounds like, words to 8 kHz µ-law; left out, it is silence of about the right length.
        randomness: of sids and tokens.
    """

    def __init__(
        self,
        auth_token: str,
        *,
        account_sid: str | None = None,
        clock: Clock | None = None,
        behaviour: Behaviour | None = None,
        synthesise: Synthesise | None = None,
        randomness: Random | None = None,
    ) -> None:
        self._randomness = randomness or Random()
        self.account_sid = account_sid or self.new_sid("AC")
        self.calls: list[Call] = []
        self._clock = clock or RealClock()
        self._behaviour = behaviour or Behaviour()
        self._synthesise = synthesise
        self._webhooks = Webhooks(auth_token, self._clock, self._randomness, twice=self._behaviour.webhooks_twice)

    async def place_call(
        self,
        voice_url: str,
        status_url: str | None = None,
        *,
        from_: str = "+14155550100",
        to: str = CALLED_NUMBER,
        params: Mapping[str, str] | None = None,
        direction: str = "inbound",
        method: str = "POST",
    ) -> Call:
        """Ring: ask `voice_url` what to do, and go on from there in a task of the call's own.

        `params` are sent with every webhook beside the usual ones. NotLoopbackError if a URL leads off this machine.
        """
        for url in filter(None, (voice_url, status_url)):
            require_loopback(url)
        identity = Identity(self.new_sid("CA"), self.account_sid, from_, to, direction, dict(params or {}))
        call = Call(identity, self._webhooks, self._behaviour, self._clock, self._synthesise)
        call.start(voice_url, method, status_url)
        self.calls.append(call)
        return call

    async def close(self) -> None:
        """Drop the calls that still live, without a callback, and every connection."""
        await asyncio.gather(*(call.abandon() for call in self.calls))
        await self._webhooks.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def new_sid(self, prefix: str) -> str:
        return f"{prefix}{self._randomness.getrandbits(128):032x}"
