"""AWS on one machine: moto's server, with the resources of template.yaml in it.

Table, bucket, queues, secrets and event rules are made as the template describes them. S3's events reach the work
queue by the template's own rule: moto delivers a bucket's notifications through EventBridge to SQS.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from local.intrinsics import TemplateError, references
from local.template import PSEUDO_PARAMETERS, Resource, Template

REGION = PSEUDO_PARAMETERS["AWS::Region"]
# What the template has beside those that are made here: the local stack itself stands for functions and API; what
# only watches or guards has nothing to do on one machine.
PASSED_OVER = {
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Logs::LogGroup",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Serverless::Function",
    "AWS::Serverless::HttpApi",
    "AWS::Serverless::LayerVersion",
}
# The user's own profiles and credentials are not to be read here.
NO_PROFILE = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}

Attributes = Mapping[str, str]


class StartError(Exception):
    """A part of the local stack did not come up."""


class Aws:
    """moto's server in a process of its own, and boto3 clients that talk to it and to nothing else."""

    def __init__(self) -> None:
        self.endpoint_url = ""
        self._process: asyncio.subprocess.Process | None = None
        self._session: boto3.session.Session | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What another process needs in its environment for its boto3 to talk to this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **NO_PROFILE,
        }

    async def start(self) -> None:
        """Start the server; returns when it takes connections. Raises StartError if it does not come up."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.moto_server",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**_without_aws(os.environ), **NO_PROFILE},
            start_new_session=True,  # Ctrl-C in the terminal is the stack's to handle
        )
        line = await self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise StartError(f"moto's server ended before it was ready, with exit status {await self._process.wait()}")
        self.endpoint_url = f"http://127.0.0.1:{int(line)}"

    async def stop(self) -> None:
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.kill()  # it holds nothing that is worth keeping
        await self._process.wait()
        # Closes the pipe of standard input; without this, its transport is left to the garbage collector.
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def client(self, service: str, **config: Any) -> Any:
        """A boto3 client of this server. `config`: fields of botocore's Config."""
        if self._session is None:
            self._session = boto3.session.Session(
                aws_access_key_id="local",
                aws_secret_access_key="local",  # noqa: S106 - moto takes any
                region_name=REGION,
                # In this process AWS_PROFILE may be set all the same.
                botocore_session=botocore.session.Session(
                    session_vars={
                        "profile": (None, None, None, None),
                        "config_file": (None, None, os.devnull, None),
                        "credentials_file": (None, None, os.devnull, None),
                    }
                ),
            )
        return self._session.client(service, endpoint_url=self.endpoint_url, config=Config(proxies={}, **config))

    def create(self, template: Template) -> dict[str, Attributes]:
        """Make the template's resources; answers what `!Ref` (under `Ref`) and `!GetAtt` give for each. Blocking.

        Raises TemplateError for a type of resource that is neither made here nor known to be of no use here.
        """
        makers: dict[str, Callable[[str, Any], dict[str, str]]] = {
            "AWS::DynamoDB::Table": self._table,
            "AWS::Events::Rule": self._rule,
            "AWS::S3::Bucket": self._bucket,
            "AWS::SQS::Queue": self._queue,
            "AWS::SecretsManager::Secret": self._secret,
        }
        made: dict[str, Attributes] = {}
        for resource in _in_order(template.resources, set(makers)):
            properties = template.resolve(dict(resource.properties), made)
            made[resource.logical_id] = makers[resource.type](_physical_name(resource.logical_id), properties)
        return made

    def _table(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        dynamodb = self.client("dynamodb")
        # CloudFormation's names of these properties are those of CreateTable.
        keys = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes", "LocalSecondaryIndexes")
        created = dynamodb.create_table(TableName=name, **{key: properties[key] for key in keys if key in properties})
        if expiry := properties.get("TimeToLiveSpecification"):
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
        return {"Ref": name, "Arn": created["TableDescription"]["TableArn"]}

    def _bucket(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        s3 = self.client("s3")
        s3.create_bucket(Bucket=name)
        notifications = properties.get("NotificationConfiguration", {})
        if notifications.get("EventBridgeConfiguration", {}).get("EventBridgeEnabled"):
            s3.put_bucket_notification_configuration(
                Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )
        return {"Ref": name, "Arn": f"arn:aws:s3:::{name}"}

    def _queue(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        sqs = self.client("sqs")
        attributes = {
            key: str(properties[key])
            for key in ("VisibilityTimeout", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "DelaySeconds")
            if key in properties
        }
        if redrive := properties.get("RedrivePolicy"):
            attributes["RedrivePolicy"] = json.dumps(redrive)
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return {"Ref": url, "Arn": arn, "QueueName": name}

    def _secret(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        secrets = self.client("secretsmanager")
        value = properties.get("SecretString")
        if value is None:
            value = secrets.get_random_password(**properties["GenerateSecretString"])["RandomPassword"]
        arn = secrets.create_secret(Name=name, SecretString=value)["ARN"]
        return {"Ref": arn, "Id": arn}

    def _rule(self, name: str, properties: dict[str, Any]) -> dict[str, str]:
        events = self.client("events")
        arn = events.put_rule(Name=name, EventPattern=json.dumps(properties["EventPattern"]))["RuleArn"]
        targets = [{"Id": target["Id"], "Arn": target["Arn"]} for target in properties["Targets"]]
        events.put_targets(Rule=name, Targets=targets)
        return {"Ref": name, "Arn": arn}


def _in_order(resources: Mapping[str, Resource], makeable: set[str]) -> list[Resource]:
    """The resources to make, each after those that it names."""
    if unknown := {resource.type for resource in resources.values()} - makeable - PASSED_OVER:
        raise TemplateError(
            f"the local stack does not know {', '.join(sorted(unknown))}: "
            "have local/aws.py make it, or list it there as passed over"
        )
    chosen = {name: resource for name, resource in resources.items() if resource.type in makeable}
    graph = {name: references(dict(resource.properties)) & set(chosen) for name, resource in chosen.items()}
    return [chosen[name] for name in TopologicalSorter(graph).static_order()]


def _without_aws(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith("AWS_")}


def _physical_name(logical_id: str) -> str:
    return "duckline-" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", logical_id).lower()
