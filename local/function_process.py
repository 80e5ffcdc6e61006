"""A function's process: started with the environment that Lambda gives it, asked for its exit, killed as a whole.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
"""

import asyncio
import importlib.util
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from local.runtime_api import RuntimeApi

PROJECT = Path(__file__).resolve().parent.parent
BOOTSTRAP = PROJECT / "functions" / "stream" / "bootstrap"
LOG_LINE_BYTES = 1024 * 1024
LAST_WORDS_LIMIT_S = 1.0
ACCOUNT = "123456789012"

OrdinaryRuntime = Literal["awslambdaric", "plain"]


@dataclass(frozen=True)
class FunctionSpec:
    """A function as the template has it.

    `runtime_command` is `streaming` for the project's loop, started by its bootstrap, and `ordinary` for the managed
    runtime. `task_root` stands for /var/task; `paths` follow it on the import path, as layers do.
    """

    name: str
    handler: str
    runtime_command: Literal["streaming", "ordinary"]
    environment: Mapping[str, str]
    timeout_s: float
    memory_mb: int
    task_root: Path
    paths: tuple[Path, ...] = ()


def ordinary_runtime() -> OrdinaryRuntime:
    """AWS's own runtime where it is installed: on Linux. Its extension module is not built for macOS."""
    return "awslambdaric" if importlib.util.find_spec("runtime_client") else "plain"


def function_arn(name: str, region: str) -> str:
    return f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"


def environment(spec: FunctionSpec, *, api: str, region: str, scratch: Path, number: int) -> dict[str, str]:
    """All variables of a function's process: Lambda's own and the template's, nothing of the developer's."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(str(path) for path in (spec.task_root, *spec.paths)),
        "HOME": str(scratch),  # where boto3 would look for the developer's profile
        "TMPDIR": str(scratch),
        "LANG": "en_US.UTF-8",
        "TZ": "UTC",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{version}",
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"local/{number}",
        **spec.environment,
        "LAMBDA_TASK_ROOT": str(spec.task_root),
        "_HANDLER": spec.handler,
        "AWS_LAMBDA_RUNTIME_API": api,
    }


def command(spec: FunctionSpec, ordinary: OrdinaryRuntime) -> list[str]:
    if spec.runtime_command == "streaming":
        return [str(BOOTSTRAP)]
    if ordinary == "awslambdaric":
        return [sys.executable, "-m", "awslambdaric", spec.handler]
    return [sys.executable, "-P", "-u", str(PROJECT / "local" / "plain_runtime.py")]


class FunctionProcess:
    """One execution environment. `exited` is done, with the exit status, when the process is gone."""

    def __init__(
        self,
        process: Process,
        api: RuntimeApi,
        pipe: asyncio.ReadTransport,
        prints: asyncio.StreamReader,
        on_line: Callable[[str], None],
    ):
        self.api, self.pid = api, process.pid
        self._process, self._pipe, self._prints, self._on_line = process, pipe, prints, on_line
        self.exited: asyncio.Task[int] = asyncio.create_task(self._run())

    @classmethod
    async def start(
        cls,
        spec: FunctionSpec,
        *,
        ordinary: OrdinaryRuntime,
        region: str,
        scratch: Path,
        number: int,
        on_line: Callable[[str], None],
    ) -> "FunctionProcess":
        """Start a process; `on_line` is given what it prints. Raises OSError if it cannot be started."""
        api = RuntimeApi(function_arn(spec.name, region))
        await api.start()
        scratch.mkdir(parents=True)
        # A pipe of our own: asyncio's would have `wait` wait for whatever the process leaves behind with its end of it.
        prints, out = os.pipe()
        reader = asyncio.StreamReader(LOG_LINE_BYTES)
        try:
            process = await asyncio.create_subprocess_exec(
                *command(spec, ordinary),
                env=environment(spec, api=api.address, region=region, scratch=scratch, number=number),
                cwd=spec.task_root,
                stdin=DEVNULL,
                stdout=out,
                stderr=STDOUT,
                start_new_session=True,  # Ctrl-C is the stack's; and what the function starts is killed with it
            )
        except OSError:
            os.close(prints)
            await api.stop()
            raise
        finally:
            os.close(out)
        loop = asyncio.get_running_loop()
        pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(prints, "rb", 0))
        return cls(process, api, pipe, reader, on_line)

    async def _run(self) -> int:
        """Hand on what the process prints, until it is gone with all that it started."""
        printing = asyncio.create_task(self._hand_on())
        status = await self._process.wait()
        self._signal(signal.SIGKILL)
        await asyncio.wait({printing}, timeout=LAST_WORDS_LIMIT_S)  # a child in a session of its own may hold the pipe
        printing.cancel()
        self._pipe.close()
        await self.api.stop()
        return status

    async def _hand_on(self) -> None:
        while line := await self._line():
            self._on_line(line.rstrip("\n"))

    async def _line(self) -> str:
        try:
            return (await self._prints.readline()).decode(errors="replace")
        except ValueError:
            return f"(a line of over {LOG_LINE_BYTES} bytes is left out)"

    def terminate(self) -> None:
        """Ask it to end."""
        if not self.exited.done():
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and all that it started, at once."""
        if not self.exited.done():
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # all have ended by themselves
            return
