"""A simulated Twilio that doubts: signs its requests, obeys TwiML, plays in real time, records what the caller hears.

    async with SimulatedTwilio(auth_token) as twilio:
        call = await twilio.place_call(voice_url, status_url)
        ...
        await call.hang_up()
        call.recording().save(Path("call.wav"))

A call's way through the modules: `simulator` places it, `call` lives it, `interpreter` obeys its `twiml`, `player` lets
it hear; a `<Play>` is a `window` that `media` fetches, `playback` times and `line` records.
"""

from local.twilio.behaviours import CUTS_AT_15_S, DOWNLOADS_FIRST, PLAYS_WHILE_DOWNLOADING, Behaviour
from local.twilio.call import Call
from local.twilio.clock import Clock, RealClock, VirtualClock
from local.twilio.line import Mark, Recording
from local.twilio.log import CallError, Request
from local.twilio.loopback import NotLoopbackError
from local.twilio.playback import LateChunk
from local.twilio.signature import sign
from local.twilio.simulator import SimulatedTwilio
from local.twilio.window import Arrival, Join, Window

__all__ = [
    "CUTS_AT_15_S",
    "DOWNLOADS_FIRST",
    "PLAYS_WHILE_DOWNLOADING",
    "Arrival",
    "Behaviour",
    "Call",
    "CallError",
    "Clock",
    "Join",
    "LateChunk",
    "Mark",
    "NotLoopbackError",
    "RealClock",
    "Recording",
    "Request",
    "SimulatedTwilio",
    "VirtualClock",
    "Window",
    "sign",
]
