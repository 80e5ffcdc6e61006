"""template.yaml and the code beneath it say the same."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from duckline.envelope import Ducking
from duckline.meter import NAMESPACE, UNITS
from local.function_process import PROJECT
from local.intrinsics import load
from local.template import PATH, Template

TOKEN = "0123456789abcdef" * 2
FUNCTIONS = ("VoiceFunction", "RenderFunction", "StreamFunction")
# What CONTRACT.md promises, and no more.
ROUTES = {
    "VoiceFunction": {"POST /voice", "POST /voice/next", "POST /voice/status", "POST /voice/input"},
    "RenderFunction": {
        "GET /calls",
        "POST /calls",
        "GET /calls/{sid}",
        "DELETE /calls/{sid}",
        "POST /calls/{sid}/speeches",
        "GET /calls/{sid}/speeches/{id}",
        "DELETE /calls/{sid}/speeches/{id}",
        "DELETE /calls/{sid}/speeches",
        "PUT /calls/{sid}/bed",
        "GET /beds",
        "GET /beds/{name}",
        "POST /beds/{name}",
        "GET /openapi.json",
    },
    "StreamFunction": set(),
}
# Loads an entry module as Lambda does, and tells which of the settings it looked at.
SPY = """
import importlib, json, os, sys
from collections.abc import MutableMapping

class Spied(MutableMapping):
    def __init__(self, real):
        self.real, self.read = real, set()
    def __getitem__(self, name):
        self.read.add(name)
        return self.real[name]
    def __setitem__(self, name, value):
        self.real[name] = value
    def __delitem__(self, name):
        del self.real[name]
    def __iter__(self):
        return iter(self.real)
    def __len__(self):
        return len(self.real)
    def copy(self):
        return dict(self.real)

os.environ = spied = Spied(os.environ)
module = importlib.import_module(sys.argv[1])
read = sorted(name for name in spied.read if name.startswith("DUCKLINE_"))
files = sorted(getattr(module, "__file__", None) or "" for name, module in sys.modules.items())
routes = sorted(getattr(module, "ROUTES", ()))
print(json.dumps({"read": read, "callable": callable(module.handler), "routes": routes, "files": files}))
"""


# What an action is called in boto3, by method or as the name of an operation that is paged or signed.
CALLED = {
    "dynamodb:BatchGetItem": {"batch_get_item"},
    "dynamodb:GetItem": {"get_item"},
    "dynamodb:PutItem": {"put_item"},
    "dynamodb:Query": {"query"},
    "dynamodb:UpdateItem": {"update_item"},
    "events:PutEvents": {"put_events"},
    "polly:DescribeVoices": {"describe_voices"},
    "polly:SynthesizeSpeech": {"synthesize_speech"},
    "s3:GetObject": {"get_object", "download_file"},
    "s3:PutObject": {"put_object", "generate_presigned_post"},
    "secretsmanager:GetSecretValue": {"get_secret_value"},
    "sqs:ChangeMessageVisibility": {"change_message_visibility"},
    "sqs:SendMessage": {"send_message"},
}
# What nothing calls by its name, and is granted all the same.
UNCALLED = {"s3:ListBucket"}  # without it an object that is not there is answered 403
# What is in a module that a function loads, for others.
FOR_OTHERS = {
    # Work is taken by render.
    "VoiceFunction": {"sqs:ChangeMessageVisibility"},
    "RenderFunction": set(),
    # A call is created by voice, a speech and a bed are kept and listed by render, sound is stored by render.
    "StreamFunction": {"dynamodb:PutItem", "dynamodb:Query", "s3:PutObject", "sqs:ChangeMessageVisibility"},
}


@cache
def document() -> dict[str, Any]:
    return load(PATH.read_text(encoding="utf-8"))


def template(**settings: Any) -> Template:
    return Template.read(overrides={"TwilioAuthToken": TOKEN, **settings})


def environment(name: str, **settings: Any) -> dict[str, str]:
    """A function's environment, with addresses for the resources that it names."""
    made = {
        logical_id: {"Ref": f"http://local/{logical_id}", "Arn": f"arn:aws:local:::{logical_id}"}
        for logical_id in [*document()["Resources"], "Outside"]
    }
    made["StreamFunctionUrl"] = {"FunctionUrl": "https://stream.example.com/"}
    described = template(**settings)
    return described.environment(described.functions[name], made)


def loaded(name: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The entry module of a function, loaded in a process of its own with these variables."""
    paths = [PROJECT / "functions", PROJECT / "layers" / "audio"]
    own = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
    }
    module = template().functions[name].handler.rpartition(".")[0]
    return subprocess.run(
        [sys.executable, "-c", SPY, module], env={**own, **variables}, capture_output=True, text=True, check=False
    )


@cache
def entry(name: str) -> dict[str, Any]:
    result = loaded(name, environment(name))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def statements(name: str) -> Iterator[dict[str, Any]]:
    for policy in document()["Resources"][name]["Properties"]["Policies"]:
        yield from policy["Statement"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_handler_of_a_function_is_there_and_starts_with_what_the_template_sets(name):
    assert entry(name)["callable"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_variable_that_a_function_reads_is_set_and_every_one_that_is_set_is_read(name):
    assert {key for key in environment(name) if key.startswith("DUCKLINE_")} == set(entry(name)["read"])


@pytest.mark.parametrize("bound", ["MinValue", "MaxValue"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_starts_at_the_bounds_that_the_template_allows(name, bound):
    at_bound = {
        key: parameter[bound]
        for key, parameter in document()["Parameters"].items()
        if parameter["Type"] == "Number" and bound in parameter
    }
    assert {"WindowSeconds", "LeadSeconds"} <= set(at_bound)
    result = loaded(name, environment(name, **at_bound))
    assert result.returncode == 0, result.stderr


def test_every_speech_engine_that_may_be_chosen_exists():
    from render.engines import ENGINES

    assert document()["Parameters"]["SpeechEngine"]["AllowedValues"] == list(ENGINES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_routes_are_those_of_the_contract(name):
    assert {route.key for route in template().functions[name].routes} == ROUTES[name]


def test_every_route_that_render_serves_leads_to_it():
    served = set(entry("RenderFunction")["routes"])
    assert served
    assert served <= ROUTES["RenderFunction"]


def test_the_file_that_takes_the_bootstraps_place_is_there_and_can_be_started():
    wrapper = template().functions["StreamFunction"].environment["AWS_LAMBDA_EXEC_WRAPPER"]
    file = PROJECT / "functions" / wrapper.removeprefix("/var/task/")
    assert os.access(file, os.X_OK)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_policy_names_its_actions_and_resources(name):
    for statement in statements(name):
        assert not [action for action in listed(statement["Action"]) if "*" in action]
        for resource in listed(statement["Resource"]):
            if resource == "*":  # Polly has no resource that could be named
                assert statement["Action"] == ["polly:SynthesizeSpeech", "polly:DescribeVoices"]
                assert "Condition" in statement
            elif "*" in str(resource):  # the objects under a prefix
                assert re.fullmatch(r"\$\{Bucket\.Arn\}/[a-z]+/\*", resource["Fn::Sub"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_granted_what_its_code_calls_and_nothing_else(name):
    own = [file for file in entry(name)["files"] if file.startswith(str(PROJECT)) and "/.venv/" not in file]
    text = "\n".join(Path(file).read_text(encoding="utf-8") for file in own)
    called = {action for action, names in CALLED.items() if re.search(rf"\b({'|'.join(sorted(names))})\b", text)}
    granted = {action for statement in statements(name) for action in listed(statement["Action"])}
    assert granted - UNCALLED == called - FOR_OTHERS[name]


def test_alarms_and_dashboard_name_the_metrics_that_are_measured():
    resources = document()["Resources"]
    alarms = [body["Properties"] for body in resources.values() if body["Type"] == "AWS::CloudWatch::Alarm"]
    own = [alarm for alarm in alarms if alarm["Namespace"] == NAMESPACE]
    assert {alarm["MetricName"] for alarm in own} == {"LateMs", "SpeechesFailed"}
    assert all(alarm["Dimensions"] == [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}] for alarm in own)
    board = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    shown = re.findall(rf'\["{NAMESPACE}", "(\w+)", "service", "\$\{{AWS::StackName\}}"', board)
    assert set(shown) == set(UNITS)
    variables = document()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


def test_the_ducking_that_may_be_chosen_is_the_one_that_the_code_allows():
    usual = Ducking()
    for name, (low, high) in Ducking.BOUNDS.items():
        parameter = document()["Parameters"]["Duck" + "".join(word.capitalize() for word in name.split("_"))]
        assert (parameter["MinValue"], parameter["MaxValue"]) == (low, high), name
        assert float(parameter["Default"]) == getattr(usual, name), name


@pytest.mark.parametrize("output", ["VoiceUrl", "StatusUrl"])
def test_what_twilio_is_to_be_told_is_the_address_that_voice_knows_itself_by(output):
    value = document()["Outputs"][output]["Value"]
    path = "/voice" if output == "VoiceUrl" else "/voice/status"
    made = {"Api": {"Ref": "a1b2"}}
    assert template().resolve(value, made) == f"https://a1b2.execute-api.us-east-1.amazonaws.com{path}"
    assert template(PublicUrl="https://calls.example.com").resolve(value, made) == f"https://calls.example.com{path}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_may_read_the_secrets_that_it_is_told_of_and_no_others(name):
    variables = template().functions[name].environment
    told = [value["Ref"] for key, value in variables.items() if key.endswith("_SECRET")]
    granted = [
        resource["Ref"]
        for statement in statements(name)
        if statement["Action"] == "secretsmanager:GetSecretValue"
        for resource in listed(statement["Resource"])
    ]
    assert sorted(told) == sorted(granted)


def test_a_window_ends_before_lambda_ends_its_stream():
    longest_s = document()["Parameters"]["WindowSeconds"]["MaxValue"]
    assert longest_s + 30 <= template().functions["StreamFunction"].timeout_s


def test_work_is_not_handed_out_again_while_it_is_being_done():
    queue = document()["Resources"]["WorkQueue"]["Properties"]
    assert queue["VisibilityTimeout"] > template().functions["RenderFunction"].timeout_s


def test_everything_that_make_is_to_build_has_its_target():
    targets = set(re.findall(r"^(build-\w+):", (PROJECT / "build.mk").read_text(encoding="utf-8"), re.MULTILINE))
    built = {
        f"build-{logical_id}"
        for logical_id, resource in document()["Resources"].items()
        if resource.get("Metadata", {}).get("BuildMethod") == "makefile"
    }
    assert targets == built


def test_every_parameter_is_described_and_bounded():
    for name, parameter in document()["Parameters"].items():
        assert parameter["Description"], name
        if parameter["Type"] == "Number":
            assert {"MinValue", "MaxValue"} <= set(parameter) or "AllowedValues" in parameter, name
        else:
            assert "AllowedValues" in parameter or "AllowedPattern" in parameter, name
