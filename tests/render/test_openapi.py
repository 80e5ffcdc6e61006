"""The description of the API: valid, whole, and its limits those of the code."""

import re
import tomllib

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from duckline.errors import Malformed, Unspeakable
from duckline.script import check_ssml, check_text
from local.function_process import PROJECT
from local.template import Template
from render.limits import KEY_MOST_CHARS
from render.openapi import VERSION, description

DESCRIPTION = description()
SCHEMAS = DESCRIPTION["components"]["schemas"]


def operations():
    for path, item in DESCRIPTION["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield f"{method.upper()} {path}", operation, item.get("parameters", [])


def fits(schema, value):
    return Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).is_valid(value)


def references(part):
    if isinstance(part, dict):
        for key, value in part.items():
            yield from [value] if key == "$ref" else references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_it_is_valid_openapi():
    validate(DESCRIPTION, cls=OpenAPIV31SpecValidator)


def test_its_routes_lead_to_render_in_the_template():
    template = Template.read(overrides={"TwilioAuthToken": "0" * 32})
    led = {route.key for route in template.functions["RenderFunction"].routes}
    assert {route for route, _, _ in operations()} <= led


def test_its_version_is_the_projects():
    assert tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == VERSION


def test_every_part_of_it_is_used():
    used = set(references(DESCRIPTION))
    kept = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "parameters") for name in DESCRIPTION["components"][kind]
    }
    assert used == kept


def test_an_operation_has_a_name_of_its_own_and_the_parameters_of_its_path():
    assert len({operation["operationId"] for _, operation, _ in operations()}) == len(list(operations()))
    for route, _, parameters in operations():
        named = {reference["$ref"].rpartition("/")[2] for reference in parameters}
        assert named == set(re.findall(r"\{(\w+)\}", route)), route


def test_every_operation_wants_the_key_and_may_find_a_service_down():
    assert DESCRIPTION["security"] == [{"key": []}]
    for route, operation, _ in operations():
        assert {"401", "503"} <= set(operation["responses"]), route
        assert "Retry-After" in operation["responses"]["503"]["headers"]


def test_every_error_is_a_problem():
    for route, operation, _ in operations():
        for status, response in operation["responses"].items():
            assert list(response["content"]) == [
                "application/json" if status[0] == "2" else "application/problem+json"
            ], route


def test_every_example_fits_its_schema():
    for _, operation, _ in operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for example in content.get("examples", {}).values():
                assert fits(content["schema"], example["value"])
    for name, schema in SCHEMAS.items():
        for example in schema.get("examples", []):
            assert fits(schema, example), name


@pytest.mark.parametrize(
    ("body", "is_right"),
    [
        ({"text": "Hello"}, True),
        ({"text": "Hello", "voice": "Joanna"}, True),
        ({"ssml": "<speak>Hello</speak>"}, True),
        ({"text": "Hello", "ssml": "<speak>Hello</speak>"}, False),
        ({}, False),
        ({"text": 5}, False),
        ({"text": ""}, False),
        ({"text": "Hello", "voice": 5}, False),
    ],
)
def test_words_are_described_as_they_are_taken(body, is_right):
    assert fits(SCHEMAS["Words"], body) is is_right


@pytest.mark.parametrize(
    ("check", "limit", "text_of"),
    [
        (check_text, "text_characters", lambda length: "x" * length),
        (
            check_ssml,
            "ssml_characters",
            lambda length: "<speak>Hi" + "<p/>" * 1000 + " " * (length - 4017) + "</speak>",
        ),
        (check_ssml, "ssml_break_seconds", lambda seconds: f"<speak>Hi <break time='{seconds}s'/></speak>"),
    ],
)
def test_a_limit_is_the_last_that_is_taken(check, limit, text_of):
    most = DESCRIPTION["x-limits"][limit]
    assert check(text_of(most))
    with pytest.raises((Malformed, Unspeakable)):
        check(text_of(most + 1))


def test_the_same_limits_stand_in_the_schemas():
    limits = DESCRIPTION["x-limits"]
    text, ssml = (option["properties"] for option in SCHEMAS["Words"]["oneOf"])
    assert text["text"]["maxLength"] == limits["text_characters"]
    assert ssml["ssml"]["maxLength"] == limits["ssml_characters"]
    key = DESCRIPTION["components"]["parameters"]["idempotencyKey"]["schema"]
    assert key["maxLength"] == limits["idempotency_key_characters"] == KEY_MOST_CHARS
