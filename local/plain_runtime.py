"""An ordinary runtime for machines on which AWS's own has no extension module (macOS): an event in, JSON out.

The loop is the stream's; only the answer differs. Started as a file, so that the project's root need not be on the
function's import path; functions/ must be.
"""

import json
from collections.abc import Callable
from decimal import Decimal

from stream.runtime import Context, main, told
from stream.runtime_api import RuntimeApi


def answer(api: RuntimeApi, handler: Callable, event: bytes, context: Context) -> None:
    """Run one invocation, and answer with what it returned."""
    try:
        payload = json.dumps(handler(json.loads(event), context), default=_number).encode()
    except Exception as error:  # noqa: BLE001 - whatever a handler raises belongs to its invocation
        api.fail_invocation(context.aws_request_id, *told(error, context.aws_request_id))
        return
    path = f"/invocation/{context.aws_request_id}/response"
    api.call("POST", path, payload, {"Content-Type": "application/json"}, expected=202)


def _number(value: object) -> int | float:
    """DynamoDB's numbers, which awslambdaric writes too."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"the handler returned {value!r:.200}; only JSON can be returned")


if __name__ == "__main__":
    main(answer)
