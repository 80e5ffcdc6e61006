"""What points Twilio's own client at the stand-in."""

from typing import Any

from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response

TWILIO = "https://api.twilio.com"


class Redirected(TwilioHttpClient):
    """Sends what is for Twilio's REST API to `base_url` instead."""

    def __init__(self, base_url: str) -> None:
        super().__init__(timeout=30)
        self.base_url = base_url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        if not url.startswith(TWILIO):
            raise ValueError(f"{url} is not Twilio's REST API; {TWILIO}/… would be right")
        return super().request(method, self.base_url + url.removeprefix(TWILIO), *args, **kwargs)
