"""Obeys TwiML: asks for a document, does its verbs from top to bottom, asks for the next."""

import asyncio
from collections.abc import Callable
from urllib.parse import urljoin

from local.twilio import twiml
from local.twilio.clock import Clock, abandon
from local.twilio.gather import Collector, Input
from local.twilio.log import CallError, CallFault, Request
from local.twilio.player import Player
from local.twilio.webhooks import Identity, Webhooks

APPLICATION_ERROR = "We are sorry, an application error has occurred. Goodbye."
XML_TYPES = ("application/xml", "text/xml", "text/html")  # Twilio reads TwiML in all three


class Reply:
    """The verbs of a document, and the URL it came from, which its relative URLs start from."""

    def __init__(self, url: str, verbs: tuple[twiml.Verb, ...]) -> None:
        self.url, self.verbs = url, verbs


class Interpreter:
    """Conducts one call. `player` is None until the call is answered; `pick_up` makes it."""

    def __init__(
        self,
        identity: Identity,
        webhooks: Webhooks,
        clock: Clock,
        pick_up: Callable[[], Player],
        log: list[Request],
        errors: list[CallError],
    ) -> None:
        self.status = "ringing"
        self.player: Player | None = None
        self._identity = identity
        self._webhooks = webhooks
        self._clock = clock
        self._pick_up = pick_up
        self._log = log
        self._errors = errors
        self._inputs: asyncio.Queue[Input] | None = None

    async def conduct(self, kind: str, method: str, url: str) -> str:
        """Obey the TwiML at `url`, and what that leads to, to its end. Why it ended: `twiml`, `rejected` or `error`."""
        try:
            reply: Reply | None = await self._ask(kind, method, url)
            while reply is not None:
                player = self.player or await self._answer(reply)
                if player is None:
                    return "rejected"
                reply = await self._obey(reply, player)
        except CallFault as fault:
            self._errors.append(fault.entry(self._clock.time()))
            await self._answered().speak(APPLICATION_ERROR)
            return "error"
        return "twiml"

    def hear(self, heard: Input) -> bool:
        """The caller pressed a key or spoke; whether anyone listens."""
        if self._inputs is None:
            return False
        self._inputs.put_nowait(heard)
        return True

    async def report(self, url: str, more: dict[str, str]) -> None:
        """Send the status callback."""
        await self._send("status", url, self._identity.form(self.status, more))

    async def tell(self, kind: str, url: str, more: dict[str, str]) -> None:
        """Send a callback that carries nothing but whose call it is, and `more`."""
        identity = {"AccountSid": self._identity.account_sid, "CallSid": self._identity.call_sid}
        await self._send(kind, url, identity | more)

    async def _send(self, kind: str, url: str, form: dict[str, str]) -> None:
        try:
            await self._webhooks.send(kind, "POST", url, form, self._log)
        except CallFault as fault:
            self._errors.append(fault.entry(self._clock.time()))

    async def _ask(self, kind: str, method: str, url: str, more: dict[str, str] | None = None) -> Reply:
        if self.player is not None:
            self.player.line.mark(self._clock.time(), f"asked.{kind}", url)
        form = self._identity.form(self.status, more or {})
        request, body = await self._webhooks.send(kind, method, url, form, self._log)
        request.twiml = body.decode(errors="replace")
        content_type = request.answer_headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() not in XML_TYPES:
            raise CallFault(12300, f"Content-Type is {content_type!r}; {XML_TYPES[0]!r} is right", url)
        try:
            document = twiml.read(body)
        except CallFault as fault:
            raise CallFault(fault.code, fault.message, url) from fault
        now = self._clock.time()
        self._errors.extend(CallError(now, problem.code, problem.message, url) for problem in document.problems)
        return Reply(url, document.verbs)

    def _answered(self) -> Player:
        if self.player is None:
            self.player = self._pick_up()
            self.status = "in-progress"
        return self.player

    async def _answer(self, reply: Reply) -> Player | None:
        """Answer the call, unless it is rejected. A pause at the very beginning is rung through."""
        match reply.verbs[:1]:
            case (twiml.Reject() as reject,):
                self.status = "busy" if reject.reason == "busy" else "no-answer"
                return None
            case (twiml.Pause() as pause,):
                await self._clock.sleep_until(self._clock.time() + pause.length_s)
                reply.verbs = reply.verbs[1:]
        return self._answered()

    async def _obey(self, reply: Reply, player: Player) -> Reply | None:
        """Do the verbs of a document; the document to go on with, or None when the call is over."""
        for verb in reply.verbs:
            match verb:
                case twiml.Redirect():
                    return await self._ask("redirect", verb.method, urljoin(reply.url, verb.url))
                case twiml.Gather():
                    form = await self._gather(verb, reply.url, player)
                    if form is not None:
                        return await self._ask("gather", verb.method, urljoin(reply.url, verb.action), form)
                case twiml.Hangup() | twiml.Reject():
                    return None
                case _:
                    await player.sound(verb, reply.url)
        return None

    async def _gather(self, gather: twiml.Gather, url: str, player: Player) -> dict[str, str] | None:
        """What the caller pressed or said, as the action is told it; None if it was nothing."""
        collector = Collector(gather)
        self._inputs = asyncio.Queue()
        prompting = asyncio.ensure_future(player.prompts(gather.prompts, url))
        listening = asyncio.ensure_future(self._listen(self._inputs, collector, prompting))
        try:
            await asyncio.wait({prompting})
            if not prompting.cancelled():
                prompting.result()
            prompts_ended_at = self._clock.time()
            while not listening.done():
                deadline = collector.deadline(prompts_ended_at)
                if deadline <= self._clock.time():
                    break
                alarm = asyncio.ensure_future(self._clock.sleep_until(deadline))
                try:
                    await asyncio.wait({listening, alarm}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await abandon(alarm)
        finally:
            self._inputs = None
            await abandon(prompting, listening)
        return collector.form()

    async def _listen(
        self, inputs: "asyncio.Queue[Input]", collector: Collector, prompting: "asyncio.Future[None]"
    ) -> None:
        """Take inputs until there are enough. The first stops the prompts."""
        while not collector.finished:
            heard = await inputs.get()
            if collector.interrupts(heard):
                prompting.cancel()
            if collector.takes(heard):
                collector.take(heard)
