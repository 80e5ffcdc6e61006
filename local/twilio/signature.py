"""X-Twilio-Signature, from Twilio's description of it (Usage, Security, "Validating signatures from Twilio").

Written apart from Twilio's own library, which the stack validates with: two that agree are worth more than one.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit


def signed_url(url: str) -> str:
    """The URL as it goes into the signature: no fragment, and for https no port."""
    parts = urlsplit(url)
    netloc = parts.netloc
    if parts.scheme == "https" and parts.port is not None:
        netloc = netloc.rpartition(":")[0]
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))


def sign(auth_token: str, url: str, form: Iterable[tuple[str, str]] = ()) -> str:
    """The signature of a request to `url` whose body carries the pairs of `form`; base64 of an HMAC-SHA1.

    Names go in alphabetical order, each followed by its value; a name that comes several times, by its different
    values in order.
    """
    text = signed_url(url) + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()
