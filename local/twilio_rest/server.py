"""The stand-in's front door: credentials, forms, routes, errors in Twilio's form."""

import json
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import parse_qs

from aiohttp import web

from local.twilio import SimulatedTwilio
from local.twilio_rest.account import Account, Handler, Refusal
from local.twilio_rest.calls import Calls
from local.twilio_rest.incoming_numbers import IncomingNumbers
from local.twilio_rest.recordings import Recordings

PREFIX = "/2010-04-01/Accounts/{account}"


class TwilioRest:
    """`async with TwilioRest(twilio, auth_token) as rest`: Twilio's REST API at `rest.url`.

    `numbers` are the account's own, each with its webhooks (`voice_url`, `status_callback`); a call to one of them
    rings at its `voice_url`. `routes` adds to what is served: `"GET /Balance.json"` and what answers it, the answer
    being JSON or a response.
    """

    def __init__(
        self,
        twilio: SimulatedTwilio,
        auth_token: str,
        *,
        numbers: Mapping[str, Mapping[str, Any]] | None = None,
        routes: Mapping[str, Handler] | None = None,
    ) -> None:
        self.account = Account(twilio.account_sid, auth_token, {n: dict(v) for n, v in (numbers or {}).items()})
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        "Method, path and form of all that came in."
        self.refusals: list[Refusal] = []
        "The next requests are answered with these, one each."
        calls = Calls(twilio, self.account)
        recordings = Recordings(calls, self.account)
        numbers_routes = IncomingNumbers(self.account).routes
        self._routes: dict[str, Handler] = {**calls.routes, **recordings.routes, **numbers_routes, **(routes or {})}

    async def __aenter__(self) -> Self:
        application = web.Application()
        for route, handler in self._routes.items():
            method, _, path = route.partition(" ")
            application.router.add_route(method, PREFIX + path, self._answering(handler))
        application.router.add_route("*", "/{path:.*}", self._answering(_unknown))
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _answering(self, handler: Handler) -> Any:
        async def answer(request: web.Request) -> web.StreamResponse:
            form = parse_qs((await request.read()).decode(), keep_blank_values=True)
            self.requests.append((request.method, request.path, form))
            try:
                if self.refusals:
                    raise self.refusals.pop(0)
                self.account.let_in(request.headers.get("Authorization", ""))
                if request.match_info.get("account", self.account.sid) != self.account.sid:
                    raise _not_found(request)
                answered = handler(request, form)
                made = await answered if hasattr(answered, "__await__") else answered
            except Refusal as refusal:
                return refusal.response()
            if isinstance(made, web.StreamResponse):
                return made
            status = {"POST": 201 if request.path.endswith("/Calls.json") else 200, "DELETE": 204}
            code = status.get(request.method, 200)
            return web.Response(
                status=code, text="" if code == 204 else json.dumps(made), content_type="application/json"
            )

        return answer


def _unknown(request: web.Request, form: Mapping[str, list[str]]) -> None:
    raise _not_found(request)


def _not_found(request: web.Request) -> Refusal:
    return Refusal(404, 20404, f"The requested resource {request.path} was not found")
