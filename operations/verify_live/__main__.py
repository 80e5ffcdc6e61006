"""`make verify-live`: measures the deployed stack; with NUMBER and OTHER it also places one real call.

Twilio's credentials are its usual variables, TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN. With LOCAL=1 the stack of
`make dev` is measured, part one alone.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence

import boto3
import numpy as np

from duckline.delivery import Finding
from duckline.sound.speech import make_ready
from duckline.stores.findings import DynamoFindings
from operations.connect import Numbers, client_of, wanted
from operations.deployment import CONFIG, STATE, CannotGoOn, Deployment, configured_stack, run
from operations.verify_live import advice, call_check, stream_check
from operations.verify_live.call_check import CallCheck
from operations.verify_live.stream_check import StreamCheck
from operations.verify_live.target import Refused, Target
from render.engines.espeak import EspeakEngine

SENTENCES = ("Your call is important to us, and somebody will be with you soon.", "You are the next caller in line.")
COST = (
    "One call of about 40 seconds between two of your numbers, recorded: two call legs (some 2 cents in the US), a "
    "recording minute (a quarter of a cent), and the stack's own seconds. The number's webhooks are changed for as "
    "long and put back; the recording is deleted."
)


def rows_of_stream(seen: StreamCheck) -> list[tuple[str, str]]:
    over = "not within 10 s" if seen.ended_after_s is None else f"{seen.ended_after_s:.2f} s"
    return [
        ("first byte, perhaps cold", f"{seen.cold.first_byte_s * 1000:.0f} ms"),
        ("first byte, warm", f"{seen.warm.first_byte_s * 1000:.0f} ms"),
        ("longest pause between chunks", f"{seen.cold.longest_pause_s * 1000:.0f} ms"),
        ("least cushion of a player", f"{seen.cold.least_cushion_s * 1000:.0f} ms"),
        ("reads of the body", str(len(seen.cold.arrivals))),
        ("the call is over after its callback", over),
        ("after a broken connection the next window", "plays" if seen.resumed else "does NOT play"),
    ]


def rows_of_call(seen: CallCheck) -> list[tuple[str, str]]:
    heard = seen.heard
    over = "not within 15 s" if seen.stopped_after_s is None else f"{seen.stopped_after_s:.2f} s"
    starts = "never" if heard.starts_at_s is None else f"after {heard.starts_at_s:.2f} s of the recording"
    rows = [("music begins", starts), ("gaps", _gaps(heard.gaps)), ("clicks", str(len(heard.clicks)))]
    for speech in heard.speeches:
        latency_s = seen.latency_s(speech.speech_id)
        told = "not heard" if latency_s is None else f"{latency_s:.1f} s after its request, {speech.heard:.0%} of it"
        rows.append((f"speech {speech.speech_id}", told))
    return [*rows, ("the stack knew of the hang-up after", over)]


def _gaps(gaps: Iterable) -> str:
    return ", ".join(f"{gap.duration_s * 1000:.0f} ms at {gap.at_s:.1f} s" for gap in gaps) or "none"


def table(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def spoken() -> dict[str, np.ndarray]:
    """Two speeches as int16 at 8 kHz, made ready as the stack makes them."""
    engine = EspeakEngine()
    made = [make_ready(*engine.synthesise(words)).pcm for words in SENTENCES]
    return {f"number {number}": _int16(pcm) for number, pcm in enumerate(made, start=1)}


def _int16(pcm: np.ndarray) -> np.ndarray:
    return pcm if pcm.dtype == np.int16 else np.clip(np.rint(pcm * 32_767), -32_768, 32_767).astype(np.int16)


def deployed(stack: str, auth_token: str) -> tuple[Target, dict[str, str]]:
    """The stack as a target, and its outputs. Raises CannotGoOn."""
    cloudformation = boto3.client("cloudformation")
    outputs = Deployment(cloudformation, stack).outputs()
    secrets = boto3.client("secretsmanager")
    secret = {
        name: cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=name)["StackResourceDetail"]
        for name in ("ApiKey", "TwilioToken")
    }
    value = {
        name: secrets.get_secret_value(SecretId=found["PhysicalResourceId"])["SecretString"].strip()
        for name, found in secret.items()
    }
    target = Target(
        outputs["VoiceUrl"],
        outputs["StatusUrl"],
        outputs["ApiUrl"],
        value["ApiKey"],
        auth_token or value["TwilioToken"],
    )
    return target, outputs


def found_out(stack: str) -> tuple[str, str]:
    """The deployment's setting, and what `auto` has found: mode and evidence, or nothing."""
    cloudformation = boto3.client("cloudformation")
    described = Deployment(cloudformation, stack).describe() or {}
    given = {item["ParameterKey"]: item["ParameterValue"] for item in described.get("Parameters", [])}
    detail = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId="Table")["StackResourceDetail"]
    finding: Finding | None = DynamoFindings(boto3.client("dynamodb"), detail["PhysicalResourceId"]).get()
    return given.get("Delivery", "auto"), "" if finding is None else f"{finding.mode}: {finding.evidence}"


def main(arguments: Sequence[str], ask: Callable[[str], str] = input, tell: Callable[[str], None] = print) -> int:
    parser = argparse.ArgumentParser(prog="make verify-live", description=__doc__)
    parser.add_argument("--stack", default=configured_stack())
    parser.add_argument("--local", action="store_true")
    parser.add_argument("--number", default="", help="one of your Twilio numbers, to be answered by the stack")
    parser.add_argument("--other", default="", help="another of them, which calls and records")
    parser.add_argument("--write", action="store_true", help="write what is advised into samconfig.toml")
    asked = parser.parse_args(arguments)

    def verify() -> None:
        settings: dict[str, str] = {}
        if asked.local:
            target = Target.of_stack_json(json.loads((STATE / "stack.json").read_text(encoding="utf-8")))
            outputs: dict[str, str] = {}
        else:
            target, outputs = deployed(asked.stack, "")
        tell("Part one: the stream, without a call")
        seen = stream_check.check(target)
        tell(table(rows_of_stream(seen)))
        _advise(advice.of_stream(seen), settings, tell)
        if asked.number and asked.other and not asked.local:
            _call(target, outputs, asked, settings, ask, tell)
        else:
            tell("Part two needs NUMBER=+1… and OTHER=+1…, two numbers of your Twilio account")
        told = " ".join(f"{name}={value}" for name, value in settings.items())
        tell(f'\nmake deploy PARAMETERS="{told}" uses these settings')
        if asked.write:
            advice.write(CONFIG, settings)
            tell(f"{CONFIG.name} has them")

    def guarded() -> None:
        try:
            verify()
        except (Refused, ConnectionError) as reason:
            raise CannotGoOn(str(reason)) from reason

    return run(guarded)


def _call(
    target: Target, outputs: dict[str, str], asked: argparse.Namespace, settings: dict[str, str], ask, tell
) -> None:
    tell(f"\nPart two: a call from {asked.other} to {asked.number}. {COST}")
    if ask("Type yes to place it: ").strip().lower() != "yes":
        raise CannotGoOn("no call was placed")
    client = client_of(os.environ)
    credentials = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
    seen = call_check.check(
        target,
        client,
        Numbers(client, STATE / "verify", tell=lambda line: None),
        stack_number=asked.number,
        other_number=asked.other,
        webhooks=wanted(outputs["VoiceUrl"], outputs["StatusUrl"], "shipped"),
        speeches=spoken(),
        media=call_check.media_of("https://api.twilio.com", credentials),
        tell=tell,
    )
    tell(table(rows_of_call(seen)))
    _advise(advice.of_call(seen, *found_out(asked.stack)), settings, tell)


def _advise(given: advice.Advice, settings: dict[str, str], tell: Callable[[str], None]) -> None:
    settings.update(given.settings)
    for reason in given.reasons:
        tell(f"→ {reason}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
