"""moto's services in this process, with the table as template.yaml describes it."""

from itertools import count

import boto3
import pytest
from moto import mock_aws

from local.template import Template

REGION = "us-east-1"


@pytest.fixture(scope="module")
def aws():
    """Makes clients of moto's services."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with mock_aws():
            yield lambda service: boto3.client(service, region_name=REGION)


@pytest.fixture(scope="module")
def dynamodb(aws):
    return aws("dynamodb")


@pytest.fixture(scope="module")
def new_table(dynamodb):
    """Makes an empty table and answers with its name."""
    described = Template.read(overrides={"TwilioAuthToken": "0" * 32}).resources["Table"].properties
    kept = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes", "LocalSecondaryIndexes")
    numbers = count()

    def made() -> str:
        name = f"calls-{next(numbers)}"
        dynamodb.create_table(TableName=name, **{key: described[key] for key in kept})
        return name

    return made


@pytest.fixture
def table_name(new_table):
    return new_table()
