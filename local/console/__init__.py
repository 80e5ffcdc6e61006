"""The console of `make dev`: a page that calls through the simulated Twilio, listens live, and speaks into the call.

`routes` is what the gateway mounts at /console, `guard` keeps strangers out, `listening` sends one page what its call
comes to, made readable by `scene` and `twilio_log`. `page/` is served as it lies there: HTML, CSS and ES modules.

The page asks Duckline's API itself, with the key, as any other application would; only what a telephone does goes
through here.
"""

from local.console.routes import Console

__all__ = ["Console"]
