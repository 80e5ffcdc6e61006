"""template.yaml as the local stack reads it: functions with their routes, and the resources beneath them.

Nothing that the template says is said a second time in local/: the gateway takes its routes from here, the small
Lambda its environments and timeouts, the stand-ins for AWS their tables, queues and indexes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from local.intrinsics import Scope, TemplateError, load

PREFIX = "DUCKLINE_"
ALIKE = 0.85  # of difflib's ratio, the prefix included: one letter of ten wrong, left out or added
PATH = Path(__file__).parent.parent / "template.yaml"
PSEUDO_PARAMETERS = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "duckline",
    "AWS::URLSuffix": "amazonaws.com",
}


class SettingError(Exception):
    """A setting has a value that its parameter does not allow; the message quotes it and says what would be right."""


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path template of the HTTP API, such as `GET /calls/{sid}`."""

    method: str
    path: str

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class QueueSource:
    """A queue (its logical id) whose messages invoke a function, at most `max_concurrency` batches at once."""

    queue: str
    batch_size: int
    max_concurrency: int
    reports_failures: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function. `environment` is unresolved; `url_mode` is None, BUFFERED or RESPONSE_STREAM."""

    logical_id: str
    handler: str
    runtime: str
    timeout_s: int
    memory_mb: int
    environment: Mapping[str, Any]
    routes: tuple[Route, ...]
    queues: tuple[QueueSource, ...]
    url_mode: str | None

    @property
    def own_loop(self) -> bool:
        """Whether the function brings a runtime loop of its own in place of the managed one."""
        return "AWS_LAMBDA_EXEC_WRAPPER" in self.environment


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as the template has it, `properties` unresolved."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]


class Template:
    """The template under one choice of settings."""

    def __init__(
        self, text: str, *, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
    ) -> None:
        """`environ` may set parameters (`DUCKLINE_WINDOW_SECONDS`), and is asked before `overrides`
        (`{"WindowSeconds": 20}`) and the parameters' defaults. A blank variable counts as none.

        Raises TemplateError for what cannot be understood and SettingError for a value that is not allowed.
        """
        document = load(text)
        declared = document.get("Parameters", {})
        if unknown := set(overrides or ()) - set(declared):
            raise SettingError(f"no setting {', '.join(sorted(unknown))}; there are {', '.join(declared)}")
        for name in sorted(environ or ()):
            if right := _meant(name, [variable(parameter) for parameter in declared]):
                raise SettingError(f"{name} is no setting; {right} would be right")
        self.parameters = {
            name: _parameter(name, declaration, environ or {}, overrides or {})
            for name, declaration in declared.items()
        }
        self._conditions = document.get("Conditions", {})
        self.resources = {
            logical_id: Resource(logical_id, body["Type"], body.get("Properties", {}))
            for logical_id, body in document.get("Resources", {}).items()
        }
        shared = document.get("Globals", {}).get("Function", {})
        self.functions = {
            resource.logical_id: self._function(resource, shared)
            for resource in self.resources.values()
            if resource.type == "AWS::Serverless::Function"
        }

    @classmethod
    def read(cls, path: Path = PATH, **settings: Any) -> "Template":
        return cls(path.read_text(encoding="utf-8"), **settings)

    def resolve(self, value: Any, attributes: Mapping[str, Mapping[str, str]] | None = None) -> Any:
        """`value` of this template with its intrinsic functions carried out; `attributes` as in `Scope`."""
        return Scope({**PSEUDO_PARAMETERS, **self.parameters}, attributes or {}, self._conditions).resolve(value)

    def environment(self, function: Function, attributes: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """The environment variables of `function`."""
        return {name: str(value) for name, value in self.resolve(function.environment, attributes).items()}

    def _function(self, resource: Resource, shared: Mapping[str, Any]) -> Function:
        properties = {**shared, **resource.properties}
        environment = {
            **shared.get("Environment", {}).get("Variables", {}),
            **resource.properties.get("Environment", {}).get("Variables", {}),
        }
        events = properties.get("Events", {})
        url = properties.get("FunctionUrlConfig")
        return Function(
            logical_id=resource.logical_id,
            handler=properties["Handler"],
            runtime=properties["Runtime"],
            timeout_s=int(self.resolve(properties.get("Timeout", 3))),
            memory_mb=int(self.resolve(properties.get("MemorySize", 128))),
            environment=environment,
            routes=tuple(_route(event["Properties"]) for event in events.values() if event["Type"] == "HttpApi"),
            queues=tuple(_queue(event["Properties"]) for event in events.values() if event["Type"] == "SQS"),
            url_mode=url.get("InvokeMode", "BUFFERED") if url else None,
        )


def variable(parameter: str) -> str:
    """The environment variable that sets `parameter`: WindowSeconds by DUCKLINE_WINDOW_SECONDS."""
    return PREFIX + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", parameter).upper()


def _route(properties: Mapping[str, Any]) -> Route:
    return Route(properties["Method"].upper(), properties["Path"])


def _queue(properties: Mapping[str, Any]) -> QueueSource:
    understood = {"Queue", "BatchSize", "FunctionResponseTypes", "ScalingConfig"}
    if unknown := set(properties) - understood:
        raise TemplateError(f"an SQS event source with {', '.join(sorted(unknown))} is not understood here")
    source = properties["Queue"]
    if not isinstance(source, dict) or set(source) != {"Fn::GetAtt"}:
        raise TemplateError(f"a queue as an event source is named by !GetAtt of its Arn, not by {source!r}")
    return QueueSource(
        queue=source["Fn::GetAtt"][0],
        batch_size=int(properties.get("BatchSize", 10)),
        max_concurrency=int(properties.get("ScalingConfig", {}).get("MaximumConcurrency", 1000)),
        reports_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
    )


def _meant(name: str, known: Sequence[str]) -> str | None:
    """The setting that a variable like `DUCKLINE_WINDOW` or `DUCKLINE_DELIVRY` was to be.

    None for a setting as it should be, and for what is like none of them: programs of the user's own have theirs.
    """
    if not name.startswith(PREFIX) or name in known:
        return None
    said = name.removeprefix(PREFIX)
    for right in known:  # half of its words: DUCKLINE_WINDOW, DUCKLINE_BED
        if (said and right.startswith(f"{name}_")) or right.endswith(f"_{said}"):
            return right
    return next(iter(get_close_matches(name, known, n=1, cutoff=ALIKE)), None)


def _parameter(
    name: str, declaration: Mapping[str, Any], environ: Mapping[str, str], overrides: Mapping[str, Any]
) -> str:
    if environ.get(variable(name), "").strip():
        label, value = variable(name), environ[variable(name)].strip()
    elif name in overrides:
        label, value = name, str(overrides[name])
    elif "Default" in declaration:
        label, value = name, str(declaration["Default"])
    else:
        raise SettingError(f"{variable(name)} is not set. {declaration.get('Description', '')}".strip())
    if wrong := _objection(value, declaration):
        shown = "what came" if declaration.get("NoEcho") else f'"{value}"'
        raise SettingError(f"{label}: {shown} {wrong}")
    return value


def _objection(value: str, declaration: Mapping[str, Any]) -> str | None:
    """What is wrong with a parameter's value and what would be right, or None."""
    allowed = [str(item) for item in declaration.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return f"is not one of {', '.join(allowed)}"
    if declaration["Type"] == "Number":
        least, most = float(declaration.get("MinValue", "-inf")), float(declaration.get("MaxValue", "inf"))
        try:
            inside = least <= float(value) <= most
        except ValueError:
            return f"is not a number; {least:g} to {most:g} would be right"
        if not inside:
            return f"is out of bounds; {least:g} to {most:g} would be right"
    pattern = declaration.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, value):
        if "ConstraintDescription" in declaration:
            return f"is wrong; {declaration['ConstraintDescription']} would be right"
        return f"does not match {pattern}"
    return None
