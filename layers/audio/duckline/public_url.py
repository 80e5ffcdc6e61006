"""The address under which the HTTP API was asked (payload format 2.0)."""

from collections.abc import Mapping
from typing import Any


def base_url(event: Mapping[str, Any], route: str) -> str:
    """What stands before `route` in the request's URL.

    A stage other than $default stands in the path, whether the gateway left it there or not.
    """
    context = event["requestContext"]
    prefix = event["rawPath"].removesuffix(route)
    if not prefix and context["stage"] != "$default":
        prefix = f"/{context['stage']}"
    return f"https://{context['domainName']}{prefix}"
