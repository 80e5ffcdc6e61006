"""What many calls at once ask of each service, beside its quota: the figures of docs/scale.md.

`python -m benchmarks.scale` counts what one call asks for in virtual time, multiplies, and says for each decade which
quota is met first. Quotas are AWS's and Twilio's own, each with its page; those that can be raised say so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.costs import Bill, bill

DECADES = (1, 10, 100, 1_000, 10_000, 100_000)
CALL_MINUTES = 5.0  # how long a call lasts, for what happens once a call
SPEECHES_A_MINUTE = 2.0
SURGE_S = 60  # all callers at once: an advertisement, an outage
RENDER_S = 0.6  # of a render for one speech: what the API's request takes


@dataclass(frozen=True)
class Quota:
    """`usual` is what an account has in us-east-1 without asking; `raised` whether AWS raises it on request."""

    name: str
    usual: float
    unit: str
    raised: Literal["yes", "no", "by itself"]
    page: str


AWS = "docs.aws.amazon.com"
LAMBDA = f"{AWS}/lambda/latest/dg/gettingstarted-limits.html"
TABLE = f"{AWS}/amazondynamodb/latest/developerguide/ServiceQuotas.html"
ITEM = f"{AWS}/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
BUCKET = f"{AWS}/AmazonS3/latest/userguide/optimizing-performance.html"
GATEWAY = f"{AWS}/apigateway/latest/developerguide/limits.html"
QUOTAS = {
    "concurrency": Quota("Lambda: executions at once", 1_000, "", "yes", LAMBDA),
    "surge": Quota("Lambda: the same, all ringing within a minute", 1_000, "", "no", LAMBDA),
    "scaling": Quota("Lambda: new executions of a function in 10 s", 1_000, "", "no", LAMBDA),
    "writes": Quota("DynamoDB: writes a second, table", 40_000, "/s", "yes", TABLE),
    "fresh": Quota("DynamoDB: writes a second, table never warmed", 4_000, "/s", "by itself", "FACTS"),
    "partition": Quota("DynamoDB: writes a second to one item", 1_000, "/s", "no", ITEM),
    "gets": Quota("S3: GETs a second under one prefix", 5_500, "/s", "by itself", BUCKET),
    "puts": Quota("S3: PUTs a second under one prefix", 3_500, "/s", "by itself", BUCKET),
    "api": Quota("API Gateway: requests a second, account", 10_000, "/s", "yes", GATEWAY),
    "polly": Quota("Polly: neural requests a second", 8, "/s", "yes", "FACTS"),
    "standard": Quota("Polly: standard requests a second", 80, "/s", "yes", "FACTS"),
    "cps": Quota("Twilio: outbound calls begun a second", 1, "/s", "yes", "twilio.com → CPS"),
}  # fmt: skip


def main() -> None:
    one, idle = bill(CALL_MINUTES, SPEECHES_A_MINUTE), bill(CALL_MINUTES, 0)
    for name, counted in (("silent", idle), ("two speeches a minute", one)):
        print(f"one call, {name}: " + ", ".join(f"{v:.2f} {k}" for k, v in rates(counted).items()))
    print()
    for calls in DECADES:
        print(f"{calls:,} calls at once")
        for key, asked in sorted(load(one, calls).items(), key=lambda entry: -entry[1] / QUOTAS[entry[0]].usual):
            quota = QUOTAS[key]
            mark = "✗" if asked > quota.usual else " "
            print(f"  {mark} {quota.name:48} {asked:>12,.1f} of {quota.usual:>8,.0f}  ({asked / quota.usual:.1%})")
    print("\nwhere each is met")
    for at, name in sorted((met(one, key), quota.name.strip()) for key, quota in QUOTAS.items()):
        print(f"  {at:>12,.0f} calls  {name}" if at < float("inf") else f"         never  {name}")


def rates(counted: Bill) -> Mapping[str, float]:
    """Requests a second of one call, by kind."""
    names = ("table writes", "table reads", "bucket gets", "bucket puts")
    return {name: counted.requests.get(name, 0) / counted.minutes / 60 for name in names} | {
        "kilobytes sent": counted.requests["gigabytes sent"] * 1e6 / counted.minutes / 60
    }


def load(counted: Bill, calls: float) -> dict[str, float]:
    """What `calls` calls at once ask of each quota, if they come and go evenly."""
    a_second = rates(counted)
    begun = calls / (CALL_MINUTES * 60)
    speeches = calls * SPEECHES_A_MINUTE / 60
    writes = calls * a_second["table writes"]
    return {
        "concurrency": calls + speeches * RENDER_S,
        "surge": calls / SURGE_S * 10,
        "scaling": 10 * begun,
        "writes": writes,
        "fresh": writes,
        "partition": a_second["table writes"],  # a call is an item of its own, whatever their number
        # The beds' objects are the streams'; a call's clips have a prefix of their own.
        "gets": calls * a_second["bucket gets"],
        "puts": calls * a_second["bucket puts"],
        "api": speeches + 2 * begun,
        "polly": speeches,
        "standard": speeches,
        "cps": begun,
    }


def met(counted: Bill, key: str) -> float:
    """The number of calls at once at which a quota is met."""
    one = load(counted, 1)[key]
    return QUOTAS[key].usual / one if load(counted, 2)[key] > one else float("inf")


if __name__ == "__main__":
    main()
