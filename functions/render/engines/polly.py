"""Amazon Polly: https://docs.aws.amazon.com/polly/latest/dg/API_SynthesizeSpeech.html"""

import random
import time
from collections.abc import Callable
from contextlib import closing
from functools import cached_property
from typing import Any

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

from duckline.errors import Malformed, Unavailable, Unspeakable
from render.engines import unknown_voice

VOICES_URL = "https://docs.aws.amazon.com/polly/latest/dg/available-voices.html"
RATE_HZ = 16000  # the most that Polly gives as PCM; the way down to the telephone's 8 kHz is ours
PREFERENCE = ("neural", "standard", "generative", "long-form")  # by sound first, then by quota
ATTEMPTS = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 2.0
PATIENCE_S = 10.0  # after which nothing is tried again: API Gateway gives a request 30 s in all

_TRY_AGAIN = {"ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "ServiceFailureException"}


class PollyEngine:
    """Speaks through `client`, boto3's for Polly, as `voice` where a request names none.

    A voice that Polly has for several of its engines speaks with the first of `preference`. What fails for a quota, in
    the service or on the way there is tried again, `attempts` times in all, after waits of full jitter: anything from
    nothing to a bound that doubles from 0.1 s to 2 s, so that many who were refused together do not come back together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    name = "polly"

    def __init__(
        self,
        client: Any,
        *,
        voice: str = "Joanna",
        preference: tuple[str, ...] = PREFERENCE,
        attempts: int = ATTEMPTS,
        uniform: Callable[[float, float], float] = random.uniform,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._voice = voice
        self._preference = preference
        self._attempts = attempts
        self._uniform = uniform
        self._sleep, self._clock = sleep, clock

    def check_voice(self, voice: str | None) -> str:
        voice = voice or self._voice
        if voice not in self._voices:
            raise unknown_voice(voice, self._voices, "Polly", VOICES_URL)
        return voice

    def synthesise(self, text: str, *, voice: str | None = None, ssml: bool = False) -> tuple[np.ndarray, int]:
        voice = self.check_voice(voice)
        sound = self._with_patience(lambda: self._synthesise(text, voice, "ssml" if ssml else "text"))
        pcm = np.frombuffer(sound, "<i2", count=len(sound) // 2)
        if not pcm.any():
            raise Unspeakable(f"Polly made no sound of {text[:40]!r}: {len(sound)} bytes of silence as {voice}")
        return pcm.astype(np.float32) / np.float32(32768), RATE_HZ

    @cached_property
    def _voices(self) -> dict[str, str]:
        """Polly's engine for each voice: asked once, as voices come and go between regions and years."""
        return self._with_patience(self._describe_voices)

    def _describe_voices(self) -> dict[str, str]:
        voices: dict[str, str] = {}
        page: dict[str, str] = {}
        while True:
            answer = self._client.describe_voices(**page)
            for voice in answer["Voices"]:
                supported = [engine for engine in self._preference if engine in voice["SupportedEngines"]]
                if supported:
                    voices[voice["Id"]] = supported[0]
            if not answer.get("NextToken"):
                return voices
            page = {"NextToken": answer["NextToken"]}

    def _synthesise(self, text: str, voice: str, text_type: str) -> bytes:
        answer = self._client.synthesize_speech(
            Text=text,
            TextType=text_type,
            VoiceId=voice,
            Engine=self._voices[voice],
            OutputFormat="pcm",
            SampleRate=str(RATE_HZ),
        )
        with closing(answer["AudioStream"]) as stream:
            return stream.read()

    def _with_patience(self, ask: Callable[[], Any]) -> Any:
        begun_s, attempt, bound_s = self._clock(), 1, FIRST_WAIT_S
        while True:
            try:
                return ask()
            except (ClientError, BotoCoreError) as error:
                reason = _what_may_pass(error)
                if attempt == self._attempts or self._clock() - begun_s > PATIENCE_S:
                    raise Unavailable(f"Polly cannot be had: {reason}, {attempt} times") from error
            self._sleep(self._uniform(0, bound_s))
            attempt, bound_s = attempt + 1, min(2 * bound_s, LONGEST_WAIT_S)


def _what_may_pass(error: ClientError | BotoCoreError) -> str:
    """What went wrong, if it may go well the next time; otherwise raises what it means for the one who asked."""
    if isinstance(error, BotoCoreError):
        return type(error).__name__
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == "InvalidSsmlException":
        raise Malformed(f"Polly refuses the SSML: {message}; neural voices know fewer tags than others") from error
    if code == "TextLengthExceededException":
        raise Unspeakable(f"too long for Polly, which takes 3000 characters, tags not counted: {message}") from error
    if code in _TRY_AGAIN or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return code
    raise Unavailable(f"Polly refuses this deployment: {code}") from error
