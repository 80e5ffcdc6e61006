"""A built function under AWS's own runtime interface emulator, the binary inside the PyPI package `aws-sam-cli`.

The emulator checks the Runtime API's protocol and keeps a streamed body until its end. So it shows whether what was
built starts and answers, and not when its bytes leave; `local.lambda_service` is for that. It runs on Linux alone.
"""

import http.client
import importlib.metadata
import json
import os
import platform
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local.function_process import PROJECT

START_LIMIT_S = 20.0
ANSWER_LIMIT_S = 60.0
STOP_LIMIT_S = 5.0
INVOCATIONS = "/2015-03-31/functions/function/invocations"
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
# What Lambda's image has beside the packages that build.mk leaves out: its runtime, and what that needs.
RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")


class EmulatorFailed(Exception):
    """The emulator did not start; the message has what it printed."""


def binary(root: Path = PROJECT / ".venv" / "sam") -> Path | None:
    """The emulator for this machine; None where there is none (it is a program for Linux)."""
    if sys.platform != "linux":
        return None
    found = root.glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{MACHINES[platform.machine()]}")
    return next(found, None)


class Image:
    """What stands for Lambda's image: a Python without packages of its own, and the folder of those that AWS brings.

    The packages are links to those of this Python, so that what an artifact lacks is missed here as it would be there.
    """

    def __init__(self, home: Path) -> None:
        self.programs, self.packages = home / "bin", home / "runtime"
        self.programs.mkdir()
        self.packages.mkdir()
        python = self.programs / "python3"
        python.write_text(f'#!/bin/sh\nexec {sys._base_executable} -S "$@"\n', encoding="ascii")
        python.chmod(0o755)
        for name in (*runtime_has(), *RUNTIME):
            self._link(importlib.metadata.distribution(name))

    def _link(self, package: importlib.metadata.Distribution) -> None:
        for top in {file.parts[0] for file in package.files or () if file.parts[0] != ".."}:
            (self.packages / top).symlink_to(Path(package.locate_file(top)))


def runtime_has() -> list[str]:
    """The packages that build.mk leaves to the managed runtime."""
    (line,) = re.findall(r"^RUNTIME_HAS := (.+)$", (PROJECT / "build.mk").read_text(encoding="utf-8"), re.MULTILINE)
    return line.split()


class Emulator:
    """One function. Use as a context manager. `lines` are what emulator and function have printed."""

    def __init__(
        self,
        image: Image,
        artifact: Path,
        handler: str,
        environment: Mapping[str, str],
        *,
        command: Sequence[str],
        paths: Sequence[Path] = (),
        timeout_s: int = 900,
        memory_mb: int = 256,
    ) -> None:
        """`command` is what Lambda's image would start; `paths` follow the artifact on the import path, like layers."""
        self.port, own_api = _free_port(), _free_port()
        self.lines: list[str] = []
        self._command = [
            *(str(binary()), "--runtime-interface-emulator-address", f"127.0.0.1:{self.port}"),
            *("--runtime-api-address", f"127.0.0.1:{own_api}", *command, handler),
        ]
        self._artifact = artifact
        self._environment = {
            "PATH": f"{image.programs}:/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join(map(str, (artifact, *paths, image.packages))),
            "PYTHONDONTWRITEBYTECODE": "1",  # the artifact stays as it was built
            "HOME": str(image.programs.parent),
            "LAMBDA_TASK_ROOT": str(artifact),
            "LAMBDA_RUNTIME_DIR": str(image.packages),
            "AWS_LAMBDA_FUNCTION_NAME": artifact.name,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_s),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "_HANDLER": handler,
            **environment,
        }

    def __enter__(self) -> "Emulator":
        self._process = subprocess.Popen(
            self._command,
            cwd=self._artifact,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        give_up_at = time.monotonic() + START_LIMIT_S
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                self.__exit__()
                raise EmulatorFailed(f"{self._artifact.name} did not start:\n" + "\n".join(self.lines))
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reading.join()
        self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def invoke(self, event: Any) -> bytes:
        """What the function answered, as Lambda would be given it: JSON, or prelude, eight NULs and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_LIMIT_S)
        try:
            connection.request("POST", INVOCATIONS, json.dumps(event), {"Content-Type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True
