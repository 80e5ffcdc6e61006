"""The deployed stack as CloudFormation knows it, and how a command of the Makefile says that it cannot go on."""

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

PROJECT = Path(__file__).resolve().parent.parent
CONFIG = PROJECT / "samconfig.toml"
STATE = PROJECT / ".local"


class CannotGoOn(Exception):
    """A command cannot do what it was asked; the message says why, and what would help."""


def configured_stack(config: Path = CONFIG) -> str:
    """The stack's name as samconfig.toml has it."""
    return tomllib.loads(config.read_text(encoding="utf-8"))["default"]["global"]["parameters"]["stack_name"]


class Deployment:
    """One stack, by its name."""

    def __init__(self, cloudformation: Any, name: str) -> None:
        self.cloudformation, self.name = cloudformation, name

    def describe(self) -> dict[str, Any] | None:
        """The stack; None if there is none, or only the beginning of one that was never made."""
        try:
            (stack,) = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else stack

    def outputs(self) -> dict[str, str]:
        """What template.yaml puts out. Raises CannotGoOn where nothing is deployed."""
        stack = self.describe()
        if stack is None:
            where = self.cloudformation.meta.region_name
            raise CannotGoOn(f"there is no stack {self.name} in {where}; make deploy makes it, STACK=… names another")
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def run(command: Callable[[], None]) -> int:
    """A command's exit status; what it cannot do, or AWS will not, is one line and no stack trace."""
    try:
        command()
    except (CannotGoOn, BotoCoreError, ClientError) as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
