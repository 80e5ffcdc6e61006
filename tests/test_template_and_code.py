"""template.yaml and the code beneath it say the same."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest

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
print(json.dumps({"read": read, "callable": callable(module.handler), "routes": sorted(getattr(module, "ROUTES", ()))}))
"""


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
