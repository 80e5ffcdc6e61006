"""What can be wrong with a request, each error with the HTTP status it is answered with (RFC 9457 titles).

A message quotes what came and says what would be right; it is shown to the one who asked.
"""


class DucklineError(Exception):
    """Something that was asked cannot be done."""

    status = 500
    title = "Internal error"


class Malformed(DucklineError):
    status = 400
    title = "Malformed request"


class Unauthorized(DucklineError):
    status = 401
    title = "Missing or wrong API key"


class Forbidden(DucklineError):
    status = 403
    title = "Not allowed"


class NotFound(DucklineError):
    status = 404
    title = "Not found"


class Conflict(DucklineError):
    status = 409
    title = "Too late"


class TooLarge(DucklineError):
    status = 413
    title = "Too large"


class UnreadableAudio(DucklineError):
    status = 415
    title = "Not audio that can be read"


class Unspeakable(DucklineError):
    status = 422
    title = "Cannot be spoken"


class KeyReused(DucklineError):
    status = 422
    title = "Idempotency-Key of another request"


class TooManyPending(DucklineError):
    status = 429
    title = "Too many pending"


class Unavailable(DucklineError):
    status = 503
    title = "Try again"


class SettingMissing(DucklineError):
    """A setting without which a function cannot start."""
