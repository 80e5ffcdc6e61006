"""What a call-minute costs: everything a simulated hour asks AWS for, counted, times FACTS' prices.

Beside it a Fargate task that holds Twilio Media Streams sockets and mixes by itself, which must run whether anybody
calls or not.
"""

import math
from dataclasses import dataclass

from benchmarks.report import Report, Row
from benchmarks.virtual import SID, VirtualCall
from duckline.stores.call_item import item_of
from duckline.timeline import SAMPLE_RATE_HZ
from local.template import Template

TITLE = "What a call-minute costs on AWS (counted in virtual time × the prices of FACTS; arm64, us-east-1)"

# US dollars (FACTS, "Prices"; D: documented by AWS)
GB_SECOND = 0.0000133334
TABLE_WRITE, TABLE_READ = 0.625e-6, 0.125e-6
BUCKET_GET, BUCKET_PUT = 0.0004 / 1000, 0.005 / 1000
EGRESS_GB = 0.09
# AWS's price list for Fargate on arm64; not in FACTS. A load balancer, logs and a second task for safety come on top.
VCPU_HOUR, GB_HOUR = 0.03238, 0.00356
TASK_VCPU, TASK_GB = 2, 4
# Of 2 vCPU. What one process of this stack's stream code carries on two cores is measured by `crowd`; a task that mixes
# for itself, in numpy and behind TLS, carries fewer. The ratio at any other number is easily had: it is linear.
CALLS_A_TASK = 200
MEDIA_STREAMS_GROWTH = 4 / 3  # Media Streams carries µ-law as base64 in JSON

AROUND_A_CHUNK_BYTES = 40  # its size in hexadecimal, two line ends, and what TLS adds to a record
SPEECH_S = 3.0
CONCURRENT = (1, 10, 100, 1000)


@dataclass(frozen=True)
class Bill:
    """What one call came to: requests by kind, seconds and gigabytes, and dollars a minute by service."""

    minutes: float
    requests: dict[str, float]
    dollars: dict[str, float]
    largest_item_bytes: int

    @property
    def a_minute(self) -> float:
        return sum(self.dollars.values()) / self.minutes


def run(report: Report) -> None:
    hour = bill(60, speeches_a_minute=2)
    for name, dollars in hour.dollars.items():
        part = dollars / hour.minutes
        report.add(Row(f"an hour, two speeches a minute: {name}", 1e6 * part, unit="$ a million minutes"))
    report.add(Row("  all of it", 1e6 * hour.a_minute, unit="$ a million minutes"))
    for concurrent in CONCURRENT:
        task = fargate_a_minute(concurrent)
        note = f"{math.ceil(concurrent / CALLS_A_TASK)} task(s) of {TASK_VCPU} vCPU, busy the whole hour"
        report.add(
            Row(
                f"{concurrent:,} calls at once, all the time",
                1e6 * hour.a_minute,
                1e6 * task,
                "$ a million minutes",
                note=note,
                against="Fargate",
            )
        )
    grown = {
        f"{minutes} min, {rate:g} a minute": bill(minutes, rate)
        for minutes, rate in ((5, 2), (20, 2), (20, 0), (20, 8))
    }
    for name, one in grown.items():
        row = Row(
            f"a call of {name}", 1e6 * one.a_minute, 1e6 * hour.a_minute, "$ a million minutes", against="the hour"
        )
        report.add(row)
    report.extra["costs"] = {
        "hour": {"requests": hour.requests, "dollars": hour.dollars, "a_minute": hour.a_minute},
        "grown": {name: one.a_minute for name, one in grown.items()},
        "fargate": {concurrent: fargate_a_minute(concurrent) for concurrent in (1, 3, 10, 30, 100, 300, 1000)},
    }
    report.remark(f"the call's item had at most {hour.largest_item_bytes} bytes: every write is one unit up to 1,024")
    report.remark(
        "not in FACTS and left out on Duckline's side: invocations ($0.20 a million), API Gateway, SQS, EventBridge, "
        "logs, Polly; on Fargate's: load balancer, logs, Polly, and Twilio's price for Media Streams"
    )


def fargate_a_minute(concurrent: int) -> float:
    """Dollars for a minute of one call, its egress too, when so many hold their sockets at once, all the time."""
    tasks = math.ceil(concurrent / CALLS_A_TASK)
    sent_gb = 60 * SAMPLE_RATE_HZ * MEDIA_STREAMS_GROWTH / 1e9
    return tasks * (TASK_VCPU * VCPU_HOUR + TASK_GB * GB_HOUR) / 60 / concurrent + sent_gb * EGRESS_GB


def bill(minutes: float, speeches_a_minute: float, seed: int = 3) -> Bill:
    """One call of that length, with a speech every so often, and what it asked for."""
    call = VirtualCall(seed)
    largest = 0

    def measured(who: str, before: object, after: object) -> None:
        nonlocal largest
        largest = max(largest, _size(after))

    call.cloud.watchers.append(measured)
    call.place()
    until_ms = minutes * 60_000
    while call.world.time_ms < until_ms:
        if speeches_a_minute and until_ms - call.world.time_ms > 10_000:
            call.do(lambda: call.speak(SPEECH_S))
            call.run_for(call.rng.uniform(0.5, 1.5) * 60_000 / speeches_a_minute)
        else:
            call.run_for(min(10_000, until_ms - call.world.time_ms))
    if call.late_ms:
        raise RuntimeError(f"the stream was {call.late_ms:.0f} ms late in virtual time")
    return _billed(call, call.world.time_ms / 60_000, largest)


def _billed(call: VirtualCall, minutes: float, largest: int) -> Bill:
    asked = call.cloud.asked
    sent = sum(len(sound) for fetch in call.line.fetches for _, sound in fetch.arrivals)
    chunks = sum(len(fetch.arrivals) for fetch in call.line.fetches)
    gigabytes = (sent + chunks * AROUND_A_CHUNK_BYTES) / 1e9
    memory = _memory_gb()
    seconds = {"stream": minutes * 60, **{name: ms / 1000 for name, ms in call.account.ms.items()}}
    functions = ("stream", "render", "voice")
    dollars = {f"Lambda, {name}": seconds.get(name, 0) * memory[name] * GB_SECOND for name in functions}
    dollars |= {
        "DynamoDB": asked["table writes"] * TABLE_WRITE + asked["table reads"] * TABLE_READ,
        "S3": asked["bucket gets"] * BUCKET_GET + asked["bucket puts"] * BUCKET_PUT,
        "egress": gigabytes * EGRESS_GB,
    }
    requests = {**asked, **{f"invocations of {name}": n for name, n in call.account.invocations.items()}}
    return Bill(minutes, {**requests, "gigabytes sent": gigabytes}, dollars, largest)


def _memory_gb() -> dict[str, float]:
    template = Template.read(environ={}, overrides={"TwilioAuthToken": "0" * 32})
    return {f.handler.split(".")[0]: f.memory_mb / 1024 for f in template.functions.values()}


def _size(call: object) -> int:
    """Bytes of the item as DynamoDB counts them: names and values."""

    def bytes_of(value: dict) -> int:
        ((kind, content),) = value.items()
        if kind == "M":
            return 3 + sum(len(name) + 1 + bytes_of(inner) for name, inner in content.items())
        return 1 if kind == "BOOL" else len(str(content).encode()) if kind == "S" else len(str(content)) // 2 + 2

    return sum(len(name) + bytes_of(value) for name, value in item_of(call).items()) + len("pkskCALL") + len(SID)
