"""CloudFormation's intrinsic functions as the local stack carries them out."""

import pytest

from local.intrinsics import Scope, TemplateError, load, references

SCOPE = Scope(
    parameters={"Name": "calm", "AWS::Region": "us-east-1", "Count": "0"},
    attributes={"Queue": {"Ref": "http://queue", "Arn": "arn:queue"}},
    conditions={"Counted": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Count"}, 0]}]}, "Calm": {"Fn::Equals": ["a", "a"]}},
)


def resolved(text: str):
    return SCOPE.resolve(load(f"value: {text}")["value"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!Ref Name", "calm"),
        ("!Ref Queue", "http://queue"),
        ("!GetAtt Queue.Arn", "arn:queue"),
        ("!GetAtt [Queue, Arn]", "arn:queue"),
        ("!Sub ${AWS::Region}/${Queue.Arn}/${Name}", "us-east-1/arn:queue/calm"),
        ("!Sub ['${Mine}-${Name}', {Mine: !Ref Queue}]", "http://queue-calm"),
        ("!Sub ${!Name}", "${Name}"),
        ("!If [Counted, 1, 2]", 2),
        ("!If [Calm, 1, 2]", 1),
        ("!Join ['-', [a, !Ref Name]]", "a-calm"),
        ("!Select [1, [a, !Ref Name]]", "calm"),
        ("!Select [2, !Split ['/', 'a/b/c']]", "c"),
        ("!And [{Condition: Calm}, !Not [{Condition: Counted}]]", True),
        ("!Or [{Condition: Counted}, !Equals [1, 2]]", False),
        ("{Ref: Name}", "calm"),
        ("{'Fn::GetAtt': [Queue, Arn]}", "arn:queue"),
        ("[a, !Ref 'AWS::NoValue', b]", ["a", "b"]),
        ("{a: !If [Counted, 1, !Ref 'AWS::NoValue'], b: 2}", {"b": 2}),
    ],
)
def test_an_intrinsic_function_is_carried_out(text, value):
    assert resolved(text) == value


def test_an_unknown_tag_is_refused_with_its_name_and_line():
    with pytest.raises(TemplateError, match=r"line 2: !ImportValue is not understood.*!GetAtt"):
        load("a: 1\nb: !ImportValue other")


def test_an_unknown_function_in_its_long_form_is_refused_by_name():
    with pytest.raises(TemplateError, match=r"Fn::Transform is not understood"):
        resolved("{'Fn::Transform': x}")


@pytest.mark.parametrize(("text", "named"), [("!Ref Bucket", "Bucket"), ("!GetAtt Queue.Url", r"Queue\.Url")])
def test_what_does_not_exist_is_named(text, named):
    with pytest.raises(TemplateError, match=named):
        resolved(text)


def test_a_condition_that_does_not_exist_is_named():
    with pytest.raises(TemplateError, match="no condition Unheard"):
        resolved("!If [Unheard, 1, 2]")


def test_what_is_not_a_template_is_refused():
    with pytest.raises(TemplateError, match="not YAML"):
        load("a: [")
    with pytest.raises(TemplateError, match="this is list"):
        load("- a")


def test_references_are_found_in_every_form():
    value = load("a: [!Ref A, !GetAtt B.Arn, !Sub '${C}/${D.Arn}/${!E}', !Sub ['${F}${G}', {F: !Ref H}]]")
    assert references(value) == {"A", "B", "C", "D", "G", "H"}
