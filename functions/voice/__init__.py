"""voice: answers Twilio's webhooks with TwiML."""
