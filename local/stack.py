"""The whole of Duckline on one machine: `make dev`, and what the demo and the tests stand on.

The template's functions run unchanged in processes of their own; moto's server stands for AWS, the gateway for the
HTTP API and the function URL.
"""

import asyncio
import errno
import json
import logging
import os
import secrets
import signal
import socket
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from duckline.stores.dynamodb import DynamoCalls
from local.aws import Aws, StartError
from local.beds import BedFailed, make_bed
from local.console import Console
from local.function_process import PROJECT, FunctionSpec
from local.gateway import Gateway
from local.intrinsics import TemplateError
from local.lambda_service import LambdaService, Report
from local.queues import QueuePoller
from local.template import Function, SettingError, Template

STATE = PROJECT / ".local"
DEFAULT_PORT = 8080
AT_ONCE = 4  # requests that one function serves side by side; on AWS there is a processor for each
BED = "yours"  # the name of the bed that is made of the file BED names
# Where one machine differs from AWS: its Play is known to play while it loads, and Polly is not to be had.
LOCAL_SETTINGS = {"Delivery": "stream", "SpeechEngine": "espeak"}


class Stack:
    """Use as `async with Stack(port=0) as stack`: all runs inside, and nothing is left of it afterwards.

    `port` 0 takes a free one. `settings` are parameters of the template by name, `environ` the environment in which
    they are looked up first (`DUCKLINE_WINDOW_SECONDS`). `tell` is given a line for each step of the start, `on_log` a
    function's name and a line that it printed, `on_report` what Lambda reports. `functions` is the folder of the code.

    Raises SettingError or TemplateError, before anything is started, and StartError.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        settings: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        functions: Path = PROJECT / "functions",
        tell: Callable[[str], None] = lambda line: None,
        on_log: Callable[[str, str], None] = lambda function, line: None,
        on_report: Callable[[Report], None] = lambda report: None,
    ) -> None:
        self._port, self._settings, self._environ = port, settings or {}, environ or {}
        self._functions = functions
        self._tell, self._on_log, self._on_report = tell, on_log, on_report
        self._running = AsyncExitStack()
        self._rooms: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self._listening: socket.socket | None = None
        self.aws = Aws()
        self.base_url = self.api_key = ""
        self.template: Template
        self.lambda_service: LambdaService
        self.resources: dict[str, Mapping[str, str]] = {}

    def prepare(self) -> None:
        """Take the port and read the template: all that may be refused, before anything is started."""
        self._listening = _listen(self._port)
        self.base_url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        own = {"PublicUrl": self.base_url, "TwilioAuthToken": secrets.token_hex(16)}
        try:
            self.template = Template.read(environ=self._environ, overrides={**LOCAL_SETTINGS, **own, **self._settings})
        except (SettingError, TemplateError):
            self._listening.close()
            raise

    async def __aenter__(self) -> "Stack":
        if self._listening is None:
            self.prepare()
        try:
            await self._start()
        except BaseException:
            await self._running.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    @property
    def twilio_auth_token(self) -> str:
        return self.template.parameters["TwilioAuthToken"]

    @property
    def bed(self) -> str:
        """The bed that a call gets when none is asked for."""
        return self.template.parameters["DefaultBed"]

    def state(self) -> dict[str, str]:
        """What stack.json tells those who want to use this stack."""
        return {
            "voice_url": f"{self.base_url}/voice",
            "status_url": f"{self.base_url}/voice/status",
            "api_url": self.base_url,
            "api_key": self.api_key,
            "twilio_auth_token": self.twilio_auth_token,
            "bed": self.bed,
            "console_url": f"{self.base_url}/console",
        }

    def _console_facts(self) -> dict[str, Any]:
        """What the console's page is told: all but the token, which only its simulated Twilio needs."""
        told = {name: value for name, value in self.state().items() if name != "twilio_auth_token"}
        return {**told, "lead_seconds": float(self.template.parameters["LeadSeconds"])}

    async def _start(self) -> None:
        self._running.callback(self._listening.close)
        self._tell("starting AWS's stand-in (moto)")
        self._running.push_async_callback(self.aws.stop)
        await self.aws.start()
        self._tell("making table, bucket, queues and secrets")
        self.resources = {
            **await asyncio.to_thread(self.aws.create, self.template),
            # As on AWS, a function URL ends in a slash.
            "StreamFunctionUrl": {"FunctionUrl": f"{self.base_url}/"},
        }
        key = await asyncio.to_thread(
            self.aws.client("secretsmanager").get_secret_value, SecretId=self.resources["ApiKey"]["Ref"]
        )
        self.api_key = key["SecretString"]

        self._tell("putting up the functions and the gateway")
        functions = self.template.functions.values()
        self.lambda_service = LambdaService(
            [self._spec(function) for function in functions], on_log=self._on_log, on_report=self._on_report
        )
        self._running.push_async_callback(self.lambda_service.stop)
        (stream,) = (function.logical_id for function in functions if function.url_mode)
        calls = DynamoCalls(self.aws.client("dynamodb"), self.resources["Table"]["Ref"])
        console = Console(self._console_facts(), self.twilio_auth_token, calls)
        self._running.push_async_callback(console.close)
        gateway = Gateway(
            {route: function.logical_id for function in functions for route in function.routes},
            stream,
            invoke=self._invoke,
            invoke_streaming=self.lambda_service.invoke_streaming,
            mount=console.mount,
        )
        self._running.push_async_callback(gateway.stop)
        await gateway.start(self._listening)
        for function in functions:
            self._poll(function)

    async def _invoke(self, function: str, event: dict[str, Any]) -> Any:
        """One request's invocation, once there is room: a process for each of many would take this machine's time."""
        async with self._rooms[function]:
            return await self.lambda_service.invoke(function, event)

    def _spec(self, function: Function) -> FunctionSpec:
        return FunctionSpec(
            name=function.logical_id,
            handler=function.handler,
            runtime_command="streaming" if function.own_loop else "ordinary",
            environment={**self.template.environment(function, self.resources), **self.aws.environment},
            timeout_s=function.timeout_s,
            memory_mb=function.memory_mb,
            task_root=self._functions,
            paths=(PROJECT / "layers" / "audio",),
        )

    def _poll(self, function: Function) -> None:
        async def invoke(event: dict[str, Any]) -> Any:
            return await self.lambda_service.invoke(function.logical_id, event)

        for source in function.queues:
            queue = self.resources[source.queue]
            # Longer than SQS holds a request open; no retries, the poller asks again by itself.
            sqs = self.aws.client("sqs", read_timeout=30, retries={"total_max_attempts": 1})
            poller = QueuePoller(source, url=queue["Ref"], arn=queue["Arn"], sqs=sqs, invoke=invoke)
            self._running.push_async_callback(poller.stop)
            poller.start()


def _listen(port: int) -> socket.socket:
    """A socket on the loopback, taken before anything else is begun. Raises StartError."""
    try:
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} is in use by another program; PORT={port + 1} make dev would take another"
        else:
            reason = f"port {port} cannot be taken: {error.strerror}"
        raise StartError(reason) from error


def chosen_port(environ: Mapping[str, str]) -> int:
    """The PORT of the environment, 8080 if there is none. Raises SettingError."""
    text = environ.get("PORT", "") or str(DEFAULT_PORT)
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) <= 65535:
        raise SettingError(f'PORT: "{text}" is not a port; a number from 0 (any free one) to 65535 would be right')
    return int(text)


async def serve(environ: Mapping[str, str], state: Path) -> None:
    """`make dev`: the stack until Ctrl-C or SIGTERM. `stack.json` is there for as long as it is ready.

    Raises SettingError, TemplateError, StartError, and BedFailed if the file that BED names cannot become the music.
    """
    song = Path(environ["BED"]).expanduser() if environ.get("BED") else None
    if song and not song.is_file():
        raise SettingError(f'BED: "{song}" is no file; a song as MP3, OGG, FLAC, M4A or WAV would be right')
    stack = Stack(
        chosen_port(environ),
        settings={"DefaultBed": BED} if song else {},
        environ=environ,
        tell=_tell,
        on_log=_tell_log,
        on_report=_tell_report,
    )
    stack.prepare()
    ready = state / "stack.json"
    state.mkdir(exist_ok=True)
    ready.unlink(missing_ok=True)  # of a stack that was killed: who waits for the file waits for this one
    told = ""
    try:
        async with stack:
            if song:
                await make_bed(stack.base_url, stack.api_key, stack.bed, song, _tell)
            told = json.dumps(stack.state(), indent=2) + "\n"
            _write_private(ready, told)
            _tell_ready(stack.state(), ready)
            await asyncio.Event().wait()
    finally:
        if ready.exists() and ready.read_text(encoding="utf-8") == told:  # and not that of a stack on another port
            ready.unlink()


def _write_private(path: Path, text: str) -> None:
    """Write a file that others on this machine cannot read, and that is there only as a whole."""
    unfinished = path.with_suffix(".part")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def _tell(line: str) -> None:
    print(f"· {line}", flush=True)


def _tell_ready(state: Mapping[str, str], written_to: Path) -> None:
    print(
        f"\nDuckline is ready, until Ctrl-C.\n"
        f"  Twilio's webhook   POST {state['voice_url']}\n"
        f"  status callback    POST {state['status_url']}\n"
        f"  API                {state['api_url']}  (Authorization: Bearer {state['api_key']})\n"
        f"  console            {state['console_url']}\n"
        f"  all of this        {written_to}\n",
        flush=True,
    )


def _tell_log(function: str, line: str) -> None:
    print(f"{function}: {line}", flush=True)


def _tell_report(report: Report) -> None:
    if report.what == "cold_start":
        print(f"{report.function}: cold start, {report.ms:.0f} ms", flush=True)
    elif report.failed and report.what == "end":
        print(f"{report.function}: {report.failed} after {report.ms:.0f} ms", flush=True)


def main(state: Path = STATE) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    try:
        asyncio.run(_until_told(serve(os.environ, state)))
    except (SettingError, TemplateError, StartError, BedFailed) as error:
        print(f"the stack cannot start: {error}", file=sys.stderr)
        return 2
    return 0


async def _until_told(work: Any) -> None:
    """Run `work` until it ends or a signal asks for the end; a second signal does not disturb the clearing up."""
    task = asyncio.ensure_future(work)
    told = asyncio.Event()

    def stop() -> None:
        if not told.is_set():
            told.set()
            print("\n· stopping", flush=True)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not told.is_set():
            raise


if __name__ == "__main__":
    sys.exit(main())
