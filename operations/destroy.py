"""`make destroy`: empties the stack's bucket, deletes the stack, and asks before either.

CloudFormation refuses to delete a bucket that holds anything. The bucket and the key of `sam deploy` itself, the stack
aws-sam-cli-managed-default, serve other projects too and stay.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import boto3
from botocore.exceptions import ClientError, WaiterError

from operations.deployment import STATE, CannotGoOn, Deployment, configured_stack, run

AT_ONCE = 1000  # keys that one DeleteObjects takes
GIVES_UP_AFTER = {"Delay": 5, "MaxAttempts": 360}  # half an hour; a function's network may take that long to go


def destroy(
    deployment: Deployment, s3: Any, ask: Callable[[str], str] = input, tell: Callable[[str], None] = print
) -> None:
    """Raises CannotGoOn if there is no stack, if the answer is not its name, or if CloudFormation fails."""
    bucket = deployment.outputs()["BucketName"]
    tell(f"The stack {deployment.name}, with all calls, beds, secrets and logs, and its bucket {bucket}:")
    tell(f"{_count(s3, bucket)} objects. Nothing of it can be brought back.")
    for file in sorted(STATE.glob("number-*.json")):
        number = "+" + file.stem.removeprefix("number-")
        tell(f"{number} may still point at it: make connect NUMBER={number} UNDO=1 puts that back")
    if ask(f"Type {deployment.name} to destroy it: ").strip() != deployment.name:
        raise CannotGoOn("nothing was destroyed")
    tell(f"{empty(s3, bucket)} objects deleted; now the stack, which takes some minutes")
    deployment.cloudformation.delete_stack(StackName=deployment.name)
    waiter = deployment.cloudformation.get_waiter("stack_delete_complete")
    try:
        waiter.wait(StackName=deployment.name, WaiterConfig=GIVES_UP_AFTER)
    except WaiterError as error:
        raise CannotGoOn(
            f"the stack was not deleted: {error}. If a call has stored sound meanwhile, make destroy again"
        ) from error
    tell(f"{deployment.name} is gone")


def empty(s3: Any, bucket: str) -> int:
    """Deletes every object, of every version if the bucket keeps them; answers with how many those were."""
    deleted = 0
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=AT_ONCE)
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if not found:
            return deleted
        keys = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        if refused := answer.get("Errors", []):
            raise CannotGoOn(f"{len(refused)} objects of {bucket} stay, the first because: {refused[0]['Message']}")
        deleted += len(keys)


def _count(s3: Any, bucket: str) -> int:
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return sum(page["KeyCount"] for page in pages)
    except ClientError as error:
        raise CannotGoOn(f"the bucket {bucket} cannot be read: {error}") from error


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make destroy", description=__doc__)
    parser.add_argument("--stack", default=configured_stack())
    asked = parser.parse_args(arguments)
    return run(lambda: destroy(Deployment(boto3.client("cloudformation"), asked.stack), boto3.client("s3")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
