"""From what was measured to the settings that suit, and into samconfig.toml. Pure, but for the file."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from operations.verify_live.call_check import CallCheck
from operations.verify_live.stream_check import StreamCheck

USUAL_LEAD_S, LEAST_LEAD_S, MOST_LEAD_S = 1.0, 0.45, 5.0
JITTER_SPARE = 2.0  # a lead covers twice the longest pause that was seen
STEP_S = 0.26  # the stream's own step, which is no jitter
CUT_S = (13.0, 22.0)  # where a join shows that the request was cut at 15 s
STARTS_LATE_S = 1.5


@dataclass(frozen=True, slots=True)
class Advice:
    """Settings by their parameters' names, and why."""

    settings: Mapping[str, str]
    reasons: tuple[str, ...]


def of_stream(seen: StreamCheck) -> Advice:
    """The lead that the pauses between chunks ask for."""
    pause_s = max(seen.cold.longest_pause_s, seen.warm.longest_pause_s)
    lead_s = max(LEAST_LEAD_S, min(MOST_LEAD_S, round(JITTER_SPARE * max(pause_s, STEP_S), 2)))
    if seen.cold.least_cushion_s < 0:
        lead_s = max(lead_s, USUAL_LEAD_S)
    reason = f"chunks came with pauses of up to {pause_s * 1000:.0f} ms: a lead of {lead_s:g} s covers twice that"
    return Advice({"LeadSeconds": f"{lead_s:g}"}, (reason,))


def of_call(seen: CallCheck, delivery: str, finding: str = "") -> Advice:
    """The delivery that suits what the call was like under `delivery`; `finding` is what `auto` has found."""
    heard = seen.heard
    if heard.starts_at_s is None:
        if delivery in ("stream", "auto"):
            return Advice(
                {"Delivery": "burst"}, ("nothing was heard while the window was sent: it is downloaded first",)
            )
        return Advice({}, ("nothing was heard at all: see Twilio's debugger for what it made of the music",))
    if delivery == "auto":
        found = finding.partition(":")[0]
        if found:
            return Advice({"Delivery": found}, (f"auto has found {finding}",))
        return Advice({}, ("auto has found nothing yet; a longer call would show more",))
    cut = [gap for gap in heard.gaps if CUT_S[0] <= gap.at_s <= CUT_S[1]]
    if delivery == "stream" and cut:
        at = f"{cut[0].at_s:.1f} s"
        return Advice({"Delivery": "short"}, (f"the music broke off after {at}: a request is cut at 15 s",))
    if delivery == "stream":
        reasons = ["the music was heard while it was being sent, without a break"]
        if heard.starts_at_s > STARTS_LATE_S:
            lead_s = min(MOST_LEAD_S, round(USUAL_LEAD_S + heard.starts_at_s, 1))
            reasons.append(
                f"it began {heard.starts_at_s:.1f} s late: a start buffer, which a longer lead fills at once"
            )
            return Advice({"Delivery": "stream", "LeadSeconds": f"{lead_s:g}"}, tuple(reasons))
        return Advice({"Delivery": "stream"}, tuple(reasons))
    return Advice({"Delivery": delivery}, (f"{delivery} was heard",))


def written(config: str, settings: Mapping[str, str]) -> str:
    """samconfig.toml's text with these settings among `parameter_overrides` of [default.deploy.parameters]."""
    table = "[default.deploy.parameters]"
    parameters = tomllib.loads(config).get("default", {}).get("deploy", {}).get("parameters", {})
    kept = parameters.get("parameter_overrides", "")
    kept = kept.split() if isinstance(kept, str) else list(kept)
    merged = dict(item.partition("=")[::2] for item in kept) | dict(settings)
    line = 'parameter_overrides = "' + " ".join(f"{name}={value}" for name, value in merged.items()) + '"'
    if table not in config:
        return f"{config.rstrip()}\n\n{table}\n{line}\n"
    head, _, rest = config.partition(table)
    body, *others = re.split(r"(?m)^(?=\[)", rest, maxsplit=1)
    lines = [text for text in body.strip("\n").splitlines() if not text.startswith("parameter_overrides")]
    section = "\n".join([table, *lines, line])
    return f"{head}{section}\n" + (f"\n{others[0]}" if others else "")


def write(path: Path, settings: Mapping[str, str]) -> None:
    path.write_text(written(path.read_text(encoding="utf-8"), settings), encoding="utf-8")
