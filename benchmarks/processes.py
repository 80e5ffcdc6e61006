"""The functions as processes of their own on the local stack, measured from outside."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from duckline.bed import Playlist, Segment
from duckline.call import BedSpan, Call
from duckline.sound import mulaw
from duckline.stores.dynamodb import DynamoCalls
from duckline.stream_token import issue
from duckline.timeline import FRAME_BYTES, SEGMENT_FRAMES
from local.function_process import PROJECT, FunctionSpec
from local.lambda_service import LambdaService, Report
from local.stack import Stack

BED = "noise"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Bench:
    """A stack with a bed in its bucket, and specifications of functions to start on it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.calls = DynamoCalls(stack.aws.client("dynamodb"), stack.resources["Table"]["Ref"])
        secrets = stack.aws.client("secretsmanager")
        self.key = secrets.get_secret_value(SecretId=stack.resources["StreamKey"]["Ref"])["SecretString"]
        self._keep_bed()
        self._calls_made = 0

    def function(self, package: str) -> FunctionSpec:
        """The function of the template whose code is `package`."""
        (function,) = (f for f in self.stack.template.functions.values() if f.handler.startswith(f"{package}."))
        resources = self.stack.resources
        return FunctionSpec(
            name=package,
            handler=function.handler,
            runtime_command="streaming" if function.own_loop else "ordinary",
            environment={**self.stack.template.environment(function, resources), **self.stack.aws.environment},
            timeout_s=function.timeout_s,
            memory_mb=function.memory_mb,
            task_root=PROJECT / "functions",
            paths=(PROJECT / "layers" / "audio", PROJECT),
        )

    def bare(self, module: str, like: str) -> FunctionSpec:
        """A handler of `benchmarks.bare` in the environment of the function `like`."""
        return replace(self.function(like), name=f"bare {like}", handler=f"benchmarks.bare.{module}.handler")

    def call(self) -> str:
        """A call whose first window is open; its sid."""
        self._calls_made += 1
        sid = f"CA{self._calls_made:032x}"
        now_ms = time.time_ns() // 1_000_000
        bed = BedSpan(0, BED, BED)
        self.calls.create(Call(sid, (bed,), started_at_ms=now_ms, opening_at_ms=now_ms, window_until=42_000))
        return sid

    def fetch(self, sid: str) -> dict[str, Any]:
        """The event of Twilio's fetch of that window."""
        token = issue(self.key, sid, 1, int(time.time()) + 3600)
        http = {"method": "GET", "path": f"/stream/{token}.wav"}
        return {"rawPath": http["path"], "headers": {}, "requestContext": {"http": http, "requestId": "1"}}

    def _keep_bed(self) -> None:
        s3, bucket = self.stack.aws.client("s3"), self.stack.resources["Bucket"]["Ref"]
        noise = np.random.default_rng(1).standard_normal(5 * SEGMENT_FRAMES * FRAME_BYTES).astype(np.float32)
        body, size = mulaw.encode(0.04 * noise), SEGMENT_FRAMES * FRAME_BYTES
        segments = tuple(Segment(f"beds/{BED}/{number:05d}.ulaw", SEGMENT_FRAMES, "") for number in range(5))
        for number, segment in enumerate(segments):
            s3.put_object(Bucket=bucket, Key=segment.key, Body=body[number * size : (number + 1) * size])
        playlist = Playlist(BED, 5 * SEGMENT_FRAMES, -28.0, SEGMENT_FRAMES, segments)
        s3.put_object(Bucket=bucket, Key=f"beds/{BED}/playlist.json", Body=playlist.to_json().encode())


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    async with Stack(environ={}) as stack:
        yield Bench(stack)


@dataclass(slots=True)
class Reports:
    """What a small Lambda reports of one process."""

    init_ms: float = 0.0
    pid: int = 0

    def __call__(self, report: Report) -> None:
        if report.what == "cold_start":
            self.init_ms = report.ms
        if report.what == "start":
            self.pid = report.pid


@asynccontextmanager
async def alone(spec: FunctionSpec) -> AsyncIterator[tuple[LambdaService, Reports]]:
    """A Lambda with this function and no process yet, so that its first invocation is a cold one."""
    reports = Reports()
    async with LambdaService([spec], on_report=reports) as service:
        yield service, reports


def cpu_s(pid: int) -> float:
    """Seconds of processor that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_mb(pid: int) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
