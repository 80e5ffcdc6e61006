"""The bucket is emptied, the stack deleted, and only after its name was typed; on moto's CloudFormation and S3."""

import json

import boto3
import pytest
from moto import mock_aws

from operations import destroy as module
from operations.deployment import CannotGoOn, Deployment, configured_stack, run
from operations.destroy import destroy, empty

TEMPLATE = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
    "Outputs": {"BucketName": {"Value": {"Ref": "Bucket"}}},
}


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


@pytest.fixture
def s3(aws):
    return boto3.client("s3")


@pytest.fixture
def deployment(aws):
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName="duckline", TemplateBody=json.dumps(TEMPLATE))
    return Deployment(cloudformation, "duckline")


def bucket_of(deployment):
    return deployment.outputs()["BucketName"]


def fill(s3, bucket, objects):
    for number in range(objects):
        s3.put_object(Bucket=bucket, Key=f"clips/{number}", Body=b"sound")


def test_the_stack_and_all_that_it_keeps_are_gone(deployment, s3, monkeypatch, tmp_path):
    (tmp_path / "number-14155550100.json").write_text("{}")
    monkeypatch.setattr(module, "STATE", tmp_path)
    bucket, told = bucket_of(deployment), []
    fill(s3, bucket, 3)
    destroy(deployment, s3, ask=lambda question: "duckline", tell=told.append)
    assert deployment.describe() is None
    assert bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]
    assert any("3 objects" in line for line in told)
    assert any("+14155550100 may still point at it" in line for line in told)


@pytest.mark.parametrize("answer", ["", "y", "duckline2"])
def test_any_other_answer_than_its_name_destroys_nothing(deployment, s3, answer):
    fill(s3, bucket_of(deployment), 2)
    with pytest.raises(CannotGoOn, match="nothing was destroyed"):
        destroy(deployment, s3, ask=lambda question: answer, tell=lambda line: None)
    assert s3.list_objects_v2(Bucket=bucket_of(deployment))["KeyCount"] == 2


def test_a_bucket_of_many_objects_and_versions_is_emptied(deployment, s3, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 4)
    bucket = bucket_of(deployment)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    fill(s3, bucket, 6)
    fill(s3, bucket, 3)
    s3.delete_object(Bucket=bucket, Key="clips/1")
    assert empty(s3, bucket) == 10
    versions = s3.list_object_versions(Bucket=bucket)
    assert "Versions" not in versions
    assert "DeleteMarkers" not in versions


def test_a_stack_that_is_not_there_is_told_with_what_would_help(aws, s3, capsys):
    nowhere = Deployment(boto3.client("cloudformation"), "nowhere")
    assert run(lambda: destroy(nowhere, s3)) == 1
    assert capsys.readouterr().err == (
        "there is no stack nowhere in us-east-1; make deploy makes it, STACK=… names another\n"
    )


def test_the_commands_go_to_the_stack_that_sam_deploys():
    assert configured_stack() == "duckline"
