"""What Twilio is told to do, as TwiML.

Every answer but the last ends in a `<Redirect>`: a call without a verb left is hung up. URLs are absolute, so that a
stage or a custom domain stays in them.
"""

from twilio.twiml.voice_response import VoiceResponse

REST_S = 2
TROUBLE_S = 1  # long enough to be no tight loop, short enough to be forgiven


def music(stream_url: str, next_url: str) -> str:
    """The window behind `stream_url`, and then the next."""
    response = VoiceResponse()
    response.play(stream_url)
    return _going_on(response, next_url)


def heeding(stream_url: str, next_url: str, input_url: str, listens: str, pause_s: int) -> str:
    """The same, while `<Gather>` listens to the caller; what it hears ends the window and goes to `input_url`."""
    response = VoiceResponse()
    heard = {"input": listens, "action": input_url, "method": "POST", "timeout": pause_s}
    if "dtmf" in listens:
        heard["finish_on_key"] = ""  # every key is one that the application may want
    if "speech" in listens:
        heard["speech_timeout"] = pause_s
    response.gather(**heard).play(stream_url)
    return _going_on(response, next_url)


def rest(plain_url: str | None, again_url: str) -> str:
    """One pass of a plain copy of the bed, or two seconds of nothing if there is none; then another try."""
    response = VoiceResponse()
    if plain_url is None:
        response.pause(length=REST_S)
    else:
        response.play(plain_url)
    return _going_on(response, again_url)


def trouble(again_url: str) -> str:
    """A second of nothing, and another try: the line stays alive."""
    response = VoiceResponse()
    response.pause(length=TROUBLE_S)
    return _going_on(response, again_url)


def hangup() -> str:
    response = VoiceResponse()
    response.hangup()
    return str(response)


def _going_on(response: VoiceResponse, url: str) -> str:
    response.redirect(url, method="POST")
    return str(response)
