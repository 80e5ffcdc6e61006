"""`make deploy`: `sam deploy`, with the one question that it must ask: the Twilio auth token, at the first deployment.

`sam deploy --guided` would ask for every parameter and, for every route, whether it may be public. What is not given
here (PARAMETERS="Delivery=stream LeadSeconds=0.45") keeps its value, or takes the template's default at first.
"""

import argparse
import getpass
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import boto3

from operations.deployment import PROJECT, CannotGoOn, Deployment, configured_stack, run

SAM = PROJECT / ".venv" / "sam" / "bin" / "sam"
TOKEN = re.compile(r"[0-9a-f]{32}")


def parameters(
    deployment: Deployment, given: str, architecture: str, environ: Mapping[str, str], ask: Callable[[str], str]
) -> dict[str, str]:
    """What the deployment is told. Raises CannotGoOn for what is no parameter, or no token."""
    told = {"Architecture": architecture}
    for item in given.split():
        name, equals, value = item.partition("=")
        if not equals or not name.isalnum():
            raise CannotGoOn(f'PARAMETERS has "{item}"; Name=value would be right, such as Delivery=stream')
        told[name] = value
    if "TwilioAuthToken" not in told and deployment.describe() is None:
        told["TwilioAuthToken"] = (environ.get("TWILIO_AUTH_TOKEN") or ask("Twilio auth token (not shown): ")).strip()
    if "TwilioAuthToken" in told and not TOKEN.fullmatch(told["TwilioAuthToken"]):
        raise CannotGoOn("that is no auth token: it has 32 hexadecimal digits, and the Twilio console shows it")
    return told


def deploy(told: Mapping[str, str], stack: str, sam: Path = SAM) -> None:
    """Runs sam. The parameters go by a file that only its owner can read: a command line can be seen by all."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "parameters.yaml"
        file.touch(mode=0o600)
        file.write_text(json.dumps(dict(told)), encoding="utf-8")  # JSON is YAML too
        environ = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
        command = [str(sam), "deploy", "--stack-name", stack, "--parameter-overrides", f"file://{file}"]
        if status := subprocess.run(command, cwd=PROJECT, env=environ, check=False).returncode:
            raise CannotGoOn(f"sam deploy ended with status {status}")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make deploy", description=__doc__)
    parser.add_argument("--stack", default=configured_stack())
    parser.add_argument("--architecture", default="arm64")
    parser.add_argument("--parameters", default="")
    asked = parser.parse_args(arguments)

    def deploy_it() -> None:
        deployment = Deployment(boto3.client("cloudformation"), asked.stack)
        told = parameters(deployment, asked.parameters, asked.architecture, os.environ, getpass.getpass)
        deploy(told, asked.stack)

    return run(deploy_it)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
