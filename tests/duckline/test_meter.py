"""What is measured reaches the log once, in CloudWatch's embedded metric format."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from aws_lambda_powertools import Metrics

from duckline.meter import NAMESPACE, UNITS, Meter


@pytest.fixture
def written(capsys):
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def meter():
    return Meter(Metrics(namespace=NAMESPACE, service="duckline"))


def test_what_an_invocation_measured_is_one_line(meter, written):
    meter("Windows")
    meter("LateMs", 12.5)
    meter("SpeechesFailed")
    meter("SpeechesFailed")
    meter.flush()
    [line] = written()
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"], line["service"]) == (NAMESPACE, [["service"]], "duckline")
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == {
        name: UNITS[name] for name in ("Windows", "LateMs", "SpeechesFailed")
    }
    assert (line["Windows"], line["LateMs"], line["SpeechesFailed"]) == ([1], [12.5], [1, 1])


def test_nothing_measured_is_nothing_written_and_nothing_is_written_twice(meter, written):
    meter.flush()
    assert written() == []
    meter("Windows")
    meter.flush()
    meter.flush()
    assert len(written()) == 1


def test_a_metric_that_no_dashboard_knows_is_refused(meter):
    with pytest.raises(ValueError, match=r"no metric 'Window'; Windows, ConcurrentCalls"):
        meter("Window")


def test_nothing_is_lost_that_other_threads_measure(meter, written):
    with ThreadPoolExecutor(8) as threads:
        for _ in range(90):
            threads.submit(meter, "SpeechesRescheduled")
    meter.flush()
    assert sum(sum(line["SpeechesRescheduled"]) for line in written()) == 90
