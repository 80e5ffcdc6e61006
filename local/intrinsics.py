"""CloudFormation's intrinsic functions, as many of them as template.yaml may use on the local stack.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
One that is not known here is an error that names it, never passed over.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

KNOWN = ("Ref", "GetAtt", "Sub", "If", "Equals", "Not", "And", "Or", "Join", "Select", "Split")
NO_VALUE = object()  # what !Ref AWS::NoValue stands for: the property is left out
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(Exception):
    """The template cannot be used on the local stack; the message says what in it, and what is understood."""


def load(text: str) -> dict[str, Any]:
    """The template as plain dicts and lists, the short forms (`!Ref Table`) written out (`{"Ref": "Table"}`)."""
    try:
        document = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with CloudFormation's tags
    except yaml.YAMLError as error:
        raise TemplateError(f"not YAML: {error}") from error
    if not isinstance(document, dict):
        raise TemplateError(f"a template is a mapping with Resources, this is {type(document).__name__}")
    return document


class _Loader(yaml.SafeLoader):
    pass


def _intrinsic(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    if name not in KNOWN:
        raise TemplateError(
            f"line {node.start_mark.line + 1}: !{name} is not understood here; what is: {_names('!', KNOWN)}"
        )
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {"Ref" if name == "Ref" else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def references(value: Any) -> set[str]:
    """The logical ids and parameters that `value` names."""
    if isinstance(value, list):
        return set().union(*map(references, value))
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, inner in value.items():
        if key == "Ref":
            found.add(inner)
        elif key == "Fn::GetAtt":
            found.add(inner[0])
        elif key == "Fn::Sub":
            text, variables = inner if isinstance(inner, list) else (inner, {})
            names = {name.split(".")[0] for escaped, name in _VARIABLE.findall(text) if not escaped}
            found |= (names - set(variables)) | references(variables)
        else:
            found |= references(inner)
    return found


@dataclass(frozen=True)
class Scope:
    """What names stand for.

    parameters: values of parameters and pseudo parameters (`AWS::Region`). attributes: of every resource, by its
    logical id, what `!GetAtt` gives by the attribute's name, and under `Ref` what `!Ref` gives. conditions: the
    template's Conditions, unresolved.
    """

    parameters: Mapping[str, str]
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self, value: Any) -> Any:
        """`value` with every intrinsic function carried out."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key,) = value
            if key == "Ref" or key.startswith("Fn::"):
                return self._carry_out(key.removeprefix("Fn::"), value[key])
        resolved = {key: self.resolve(inner) for key, inner in value.items()}
        return {key: inner for key, inner in resolved.items() if inner is not NO_VALUE}

    def holds(self, condition: str) -> bool:
        if condition not in self.conditions:
            raise TemplateError(f"no condition {condition}; there are {_names('', self.conditions)}")
        return bool(self.resolve(self.conditions[condition]))

    def _carry_out(self, name: str, argument: Any) -> Any:
        functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "GetAtt": lambda names: self._attribute(*names),
            "Sub": self._sub,
            "If": lambda choice: self.resolve(choice[1] if self.holds(choice[0]) else choice[2]),
            "Equals": lambda pair: len({str(self.resolve(item)) for item in pair}) == 1,
            "Not": lambda items: not self._truth(items[0]),
            "And": lambda items: all(map(self._truth, items)),
            "Or": lambda items: any(map(self._truth, items)),
            "Join": lambda pair: pair[0].join(map(str, self.resolve(pair[1]))),
            "Select": lambda pair: self.resolve(pair[1])[int(self.resolve(pair[0]))],
            "Split": lambda pair: self.resolve(pair[1]).split(pair[0]),
        }
        if name not in functions:
            raise TemplateError(f"Fn::{name} is not understood here; what is: {_names('Fn::', KNOWN)}")
        return functions[name](argument)

    def _truth(self, value: Any) -> bool:
        if isinstance(value, dict) and set(value) == {"Condition"}:
            return self.holds(value["Condition"])
        return bool(self.resolve(value))

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self.parameters:
            return self.parameters[name]
        return self._attribute(name, "Ref")

    def _attribute(self, logical_id: str, attribute: str) -> str:
        try:
            return self.attributes[logical_id][attribute]
        except KeyError:
            asked = logical_id if attribute == "Ref" else f"{logical_id}.{attribute}"
            raise TemplateError(f"{asked} is not to be had here; there are {_names('', self.attributes)}") from None

    def _sub(self, argument: Any) -> str:
        text, variables = argument if isinstance(argument, list) else (argument, {})

        def value_of(match: re.Match[str]) -> str:
            escaped, name = match.groups()
            if escaped:
                return "${" + name + "}"
            if name in variables:
                return str(self.resolve(variables[name]))
            if "." in name:
                return str(self._attribute(*name.split(".", 1)))
            return str(self._ref(name))

        return _VARIABLE.sub(value_of, text)


def _names(prefix: str, names: Any) -> str:
    return ", ".join(f"{prefix}{name}" for name in names) or "none"
