"""A stand-in of Twilio's REST API on this machine, which the real `twilio` client talks to.

    async with SimulatedTwilio(auth_token) as twilio, TwilioRest(twilio, auth_token) as rest:
        client = Client(twilio.account_sid, auth_token, http_client=Redirected(rest.url))

It knows what this project asks of Twilio: calls placed, shown, ended; their recordings; a number's webhooks.
"""

from local.twilio_rest.account import Account, Refusal
from local.twilio_rest.client import Redirected
from local.twilio_rest.server import TwilioRest

__all__ = ["Account", "Redirected", "Refusal", "TwilioRest"]
