"""Who may use the console: a browser on this machine that has the console's own page open.

The page is handed the API's key, so a page from elsewhere must neither read it nor have the browser ask for it. The
socket is bound to the loopback; what is left are pages of other sites in the same browser, by a name of their own that
leads to 127.0.0.1 (DNS rebinding) or by a WebSocket, which browsers open across origins.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

NAMES = ("127.0.0.1", "localhost", "::1")

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        # Music is uploaded to the bucket's stand-in, which listens on a port of its own.
        "connect-src 'self' http://127.0.0.1:* ws://127.0.0.1:* ws://localhost:*; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def refusal(host: str, origin: str | None, remote: str | None) -> str:
    """Why a request is refused; empty if it is not.

    `host` and `origin` are the request's headers, `remote` the address it comes from.
    """
    name = urlsplit(f"//{host}").hostname or ""
    if name not in NAMES:
        return f"the console was asked for as {name[:80]!r}; 127.0.0.1 or localhost would be right"
    if origin is not None and urlsplit(origin).netloc != host:
        return f"the request comes from a page of {origin[:80]!r}; only the console's own page may ask"
    if remote is None or not ip_address(remote).is_loopback:
        return f"the request comes from {remote}; the console is for this machine alone"
    return ""
