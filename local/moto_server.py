"""moto's server as a process: AWS's stand-in for the local stack, on a free port of the loopback.

Prints its port once it takes connections. Ends when its standard input does, so that it cannot outlive who started it.
"""

import logging
import signal
import sys
import threading
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class Handler(MotoRequestHandler):
    # A response goes out in several small writes; Nagle's algorithm would hold the last one back.
    disable_nagle_algorithm = True


class OneWriteAtATime:
    """moto checks a condition of DynamoDB and then writes, in two steps: side by side, two writers would both win."""

    def __init__(self, application: Any) -> None:
        self.application, self.lock = application, threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            return self.application(environ, start_response)
        with self.lock:
            return list(self.application(environ, start_response))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stack, which then closes standard input
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line per request
    application = OneWriteAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
