"""template.yaml as the local stack reads it."""

import pytest

from local.intrinsics import TemplateError
from local.template import QueueSource, Route, SettingError, Template, variable

TOKEN = "0123456789abcdef" * 2
TEXT = """
Parameters:
  WindowSeconds: {Type: Number, Default: 840, MinValue: 5, MaxValue: 840}
  Delivery: {Type: String, Default: auto, AllowedValues: [auto, stream]}
  Secret: {Type: String, Default: abc, NoEcho: true, AllowedPattern: "^[a-c]+$", ConstraintDescription: a few of a to c}
Globals:
  Function:
    Runtime: python3.13
    Environment: {Variables: {WINDOW: !Ref WindowSeconds, SHARED: "1"}}
Resources:
  Queue: {Type: AWS::SQS::Queue}
  Render:
    Type: AWS::Serverless::Function
    Properties:
      Handler: render.handler.handler
      Timeout: 300
      Environment: {Variables: {QUEUE: !Ref Queue, SHARED: "2"}}
      Events:
        Show: {Type: HttpApi, Properties: {Method: get, Path: "/calls/{sid}"}}
        Work:
          Type: SQS
          Properties:
            Queue: !GetAtt Queue.Arn
            BatchSize: 3
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {MaximumConcurrency: 4}
  Stream:
    Type: AWS::Serverless::Function
    Properties:
      Handler: stream.handler.handler
      Environment: {Variables: {AWS_LAMBDA_EXEC_WRAPPER: /var/task/stream/bootstrap}}
      FunctionUrlConfig: {AuthType: NONE, InvokeMode: RESPONSE_STREAM}
"""


def test_a_function_has_its_routes_queues_and_limits():
    render = Template(TEXT).functions["Render"]
    assert render.handler == "render.handler.handler"
    assert (render.timeout_s, render.memory_mb) == (300, 128)
    assert render.routes == (Route("GET", "/calls/{sid}"),)
    assert render.queues == (QueueSource("Queue", batch_size=3, max_concurrency=4, reports_failures=True),)
    assert render.url_mode is None
    assert not render.own_loop


def test_a_function_with_a_wrapper_has_a_loop_of_its_own():
    stream = Template(TEXT).functions["Stream"]
    assert stream.own_loop
    assert stream.url_mode == "RESPONSE_STREAM"


def test_an_environment_is_the_globals_and_over_them_the_functions_own():
    template = Template(TEXT)
    environment = template.environment(template.functions["Render"], {"Queue": {"Ref": "http://queue"}})
    assert environment == {"WINDOW": "840", "SHARED": "2", "QUEUE": "http://queue"}


def test_a_variable_goes_before_an_override_and_an_override_before_the_default():
    def window(**settings):
        return Template(TEXT, **settings).parameters["WindowSeconds"]

    assert window() == "840"
    assert window(overrides={"WindowSeconds": 20}) == "20"
    assert window(overrides={"WindowSeconds": 20}, environ={"DUCKLINE_WINDOW_SECONDS": "30"}) == "30"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WINDOW_SECONDS", "5000", 'DUCKLINE_WINDOW_SECONDS: "5000" is out of bounds; 5 to 840 would be right'),
        ("WINDOW_SECONDS", "4.9", 'DUCKLINE_WINDOW_SECONDS: "4.9" is out of bounds; 5 to 840 would be right'),
        ("WINDOW_SECONDS", "nan", 'DUCKLINE_WINDOW_SECONDS: "nan" is out of bounds; 5 to 840 would be right'),
        ("WINDOW_SECONDS", "long", 'DUCKLINE_WINDOW_SECONDS: "long" is not a number; 5 to 840 would be right'),
        ("DELIVERY", "slow", 'DUCKLINE_DELIVERY: "slow" is not one of auto, stream'),
        ("SECRET", "xyz", "DUCKLINE_SECRET: what came is wrong; a few of a to c would be right"),
    ],
)
def test_a_wrong_value_is_quoted_with_what_would_be_right(name, value, message):
    with pytest.raises(SettingError) as error:
        Template(TEXT, environ={f"DUCKLINE_{name}": value})
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("DUCKLINE_WINDOW_SECOND", "DUCKLINE_WINDOW_SECONDS"),
        ("DUCKLINE_WINDOWSECONDS", "DUCKLINE_WINDOW_SECONDS"),
        ("DUCKLINE_WINDOW", "DUCKLINE_WINDOW_SECONDS"),
        ("DUCKLINE_SECONDS", "DUCKLINE_WINDOW_SECONDS"),
        ("DUCKLINE_DELIVRY", "DUCKLINE_DELIVERY"),
    ],
)
def test_a_variable_that_was_to_be_a_setting_is_refused_with_the_right_name(name, right):
    with pytest.raises(SettingError) as error:
        Template(TEXT, environ={name: "20"})
    assert str(error.value) == f"{name} is no setting; {right} would be right"


@pytest.mark.parametrize("name", ["DUCKLINE_API", "DUCKLINE_KEY", "DUCKLINE_CALL_SID", "WINDOW_SECONDS", "DUCKLINE_"])
def test_variables_of_other_programs_are_let_be(name):
    assert Template(TEXT, environ={name: "20"}).parameters["WindowSeconds"] == "840"
    assert Template.read(overrides={"TwilioAuthToken": TOKEN}, environ={name: "20"})


def test_a_secret_value_is_not_quoted():
    with pytest.raises(SettingError) as error:
        Template(TEXT, overrides={"Secret": "hush-hush"})
    assert "hush" not in str(error.value)


def test_a_setting_that_does_not_exist_is_named():
    with pytest.raises(SettingError, match="no setting Windowseconds; there are WindowSeconds, Delivery"):
        Template(TEXT, overrides={"Windowseconds": 20})


def test_a_parameter_without_a_value_says_which_variable_sets_it():
    with pytest.raises(SettingError, match=r"DUCKLINE_TWILIO_AUTH_TOKEN is not set\. The auth token"):
        Template.read()


def test_an_event_source_with_an_option_that_is_not_understood_is_refused():
    with pytest.raises(TemplateError, match="MaximumBatchingWindowInSeconds is not understood"):
        Template(TEXT.replace("BatchSize: 3", "MaximumBatchingWindowInSeconds: 5"))


def test_the_name_of_a_parameters_variable():
    assert variable("TwilioAuthToken") == "DUCKLINE_TWILIO_AUTH_TOKEN"
    assert variable("Voice") == "DUCKLINE_VOICE"


def test_the_projects_own_template_is_understood_as_a_whole():
    template = Template.read(overrides={"TwilioAuthToken": TOKEN})
    assert list(template.functions) == ["VoiceFunction", "RenderFunction", "StreamFunction"]
    stream = template.functions["StreamFunction"]
    assert (stream.timeout_s, stream.url_mode, stream.own_loop) == (900, "RESPONSE_STREAM", True)
