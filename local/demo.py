"""`make demo`: one simulated call over real music, three speeches, and a report of what the caller heard.

Music comes out of a compressed file and goes the way of everybody's uploads; speech comes from a synthesiser and from
an audio file of one's own. What the report says is measured: in the recording, and by the times at which bytes arrived.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np

from duckline.bed import Playlist
from duckline.envelope import Ducking
from duckline.records import SpeechRecord
from duckline.sound import mulaw
from duckline.sound.decode import decode
from duckline.sound.speech import from_bytes, make_ready
from duckline.stores.s3 import S3Sounds
from local import music
from local.aws import StartError
from local.beds import BedFailed, make_bed
from local.ear import listen
from local.ear.report import build_report, judge, table
from local.function_process import PROJECT
from local.intrinsics import TemplateError
from local.lambda_service import Report
from local.music.encoding import encode
from local.picture import draw_call
from local.stack import STATE, Stack
from local.template import SettingError
from local.twilio import Call, RealClock, Recording, SimulatedTwilio
from render.engines import choose
from render.engines.espeak import EspeakEngine
from render.studio import Studio

OUT = PROJECT / "out"
MOOD = "calm"
BED = "hold"
TEXTS = (
    "Thank you for calling. Your order has left the warehouse.",
    "It will be with you tomorrow before noon.",
)
OWN_WORDS = "Good news! I have found a table for two, at eight o'clock."
OWN_VOICE = "en-gb-x-rp"
MUSIC_FIRST_S = 3.0
MUSIC_BETWEEN_S = 2.5
MUSIC_LAST_S = 3.0
GIVES_UP_AFTER_S = 60.0  # by then every speech is over, or the report shows that it was not heard
STOPS_WITHIN_S = 5.0  # after that a stream that goes on is a fault that the report shows


@dataclass
class Asked:
    """A speech as it was asked for: when, on the recording's clock, and its text, or its sound if it came as sound."""

    speech_id: str
    requested_at_s: float
    said: str | np.ndarray


@dataclass
class Story:
    """What happened in the demo, for the report. Times are the simulator's clock."""

    asked: list[Asked] = field(default_factory=list)
    functions_ended: list[tuple[str, float]] = field(default_factory=list)
    cold_starts: list[tuple[str, float]] = field(default_factory=list)

    def reported(self, report: Report) -> None:
        if report.what == "end":
            self.functions_ended.append((report.function, time.monotonic()))
        if report.what == "cold_start":
            self.cold_starts.append((report.function, report.ms))


def tell(line: str) -> None:
    print(f"· {line}", flush=True)


async def demo(environ: Mapping[str, str]) -> list[str]:
    """Runs it all; answers with the faults that the report shows."""
    STATE.mkdir(exist_ok=True)
    OUT.mkdir(exist_ok=True)
    song, own_audio, own_pcm = await asyncio.to_thread(_material, environ)
    story = Story()
    stack = Stack(environ=environ, settings={"DefaultBed": BED}, tell=tell, on_report=story.reported)
    async with stack, SimulatedTwilio(stack.twilio_auth_token, clock=RealClock()) as twilio:
        bed = await make_bed(stack.base_url, stack.api_key, BED, song, tell)
        tell(f"the bed: {bed['seconds']:.0f} s, {bed['level_dbov']:.1f} dBov")
        loop = await asyncio.to_thread(_loop, stack, BED)
        call = await twilio.place_call(f"{stack.base_url}/voice", f"{stack.base_url}/voice/status")
        await call.answered()
        tell("the call is answered; this is real time now")
        async with aiohttp.ClientSession(stack.base_url, headers={"Authorization": f"Bearer {stack.api_key}"}) as api:
            await _conversation(api, call, story, own_audio, own_pcm)
        tell("hanging up")
        await call.hang_up()
        stopped_at = await _stream_stopped(story, len(call.windows))
        recording = call.recording()
        spoken = await asyncio.to_thread(_spoken, stack, story)
    return _told(call, recording, story, loop, spoken, stopped_at)


async def _conversation(
    api: aiohttp.ClientSession, call: Call, story: Story, own_audio: Path, own_pcm: np.ndarray
) -> None:
    await _heard_music(call)
    await asyncio.sleep(MUSIC_FIRST_S)
    asking = []
    for text in TEXTS:
        asking.append(asyncio.create_task(_say(api, call, story, {"json": {"text": text}}, text)))
        await asyncio.sleep(0.1)  # the second is asked for while the first is still being made
    first, second = await asyncio.gather(*asking)
    tell(f"two speeches asked for; the first is heard in {first / 1000:.1f} s, the second in {second / 1000:.1f} s")
    await _finished(api, call, story)
    await asyncio.sleep(MUSIC_BETWEEN_S)
    upload = {"data": own_audio.read_bytes(), "headers": {"Content-Type": "audio/ogg"}}
    third = await _say(api, call, story, upload, own_pcm)
    tell(f"an audio file as the third, heard in {third / 1000:.1f} s")
    await _finished(api, call, story)
    await asyncio.sleep(MUSIC_LAST_S)


async def _heard_music(call: Call) -> None:
    while not (call.windows and call.windows[0].started_at):
        await asyncio.sleep(0.05)


async def _say(api: aiohttp.ClientSession, call: Call, story: Story, request: dict, said: str | np.ndarray) -> int:
    """Asks for one speech; answers with the milliseconds until it starts."""
    requested_at_s = time.monotonic() - call.answered_at
    async with api.post(f"/calls/{call.call_sid}/speeches", **request) as answer:
        told = await answer.json()
        if answer.status != 201:
            raise RuntimeError(f"a speech was refused: {answer.status} {told}")
    story.asked.append(Asked(told["speech_id"], requested_at_s, said))
    return told["starts_in_ms"]


async def _finished(api: aiohttp.ClientSession, call: Call, story: Story) -> None:
    give_up_at = time.monotonic() + GIVES_UP_AFTER_S
    while time.monotonic() < give_up_at:
        async with api.get(f"/calls/{call.call_sid}") as answer:
            speeches = (await answer.json())["speeches"]
        if len(speeches) >= len(story.asked) and all(s["state"] not in ("scheduled", "playing") for s in speeches):
            return
        await asyncio.sleep(0.25)


async def _stream_stopped(story: Story, windows: int) -> float | None:
    """When the function behind the last window ended; None if it did not."""
    give_up_at = time.monotonic() + STOPS_WITHIN_S
    while time.monotonic() < give_up_at:
        ended = [at for function, at in story.functions_ended if function == "StreamFunction"]
        if len(ended) >= windows:
            return ended[-1]
        await asyncio.sleep(0.02)
    return None


def _told(
    call: Call,
    recording: Recording,
    story: Story,
    loop: np.ndarray,
    spoken: Mapping[str, np.ndarray],
    stopped_at: float | None,
) -> list[str]:
    """Listens, writes what was heard into out/, prints it."""
    tell("listening to the recording")
    recording.save(OUT / "call.wav")
    heard = listen(recording.pcm, bed=loop, speeches=spoken)
    report = build_report(
        heard,
        requested_at_s={speech.speech_id: speech.requested_at_s for speech in story.asked},
        underruns=len(call.underruns),
        late_chunks=len(call.late_chunks),
        hung_up_at_s=call.hung_up_at - call.answered_at,
        stopped_at_s=None if stopped_at is None else stopped_at - call.answered_at,
    )
    (OUT / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    draw_call(OUT / "call.png", recording.pcm, heard, report)
    faults = judge(report)
    print(table(report))
    for function, ms in story.cold_starts:
        tell(f"cold start of {function}: {ms:.0f} ms")
    for error in call.errors:
        faults.append(f"Twilio's debugger would show: {error}")
    return faults


# -- the material -------------------------------------------------------------------------------------


def _material(environ: Mapping[str, str]) -> tuple[Path, Path, np.ndarray]:
    """The song, an audio file with a voice, and that voice as it should be heard."""
    song = Path(environ["BED"]).expanduser() if environ.get("BED") else STATE / f"{MOOD}.mp3"
    if environ.get("BED") and not song.is_file():
        raise BedFailed(f'BED: "{song}" is no file; a song as MP3, OGG, FLAC, M4A or WAV would be right')
    if not environ.get("BED") and not song.exists():
        tell(f"composing {MOOD!r} and encoding it as MP3")
        music.write_encoded(MOOD, song)
    own_audio = STATE / "own-voice.ogg"
    if not own_audio.exists():
        tell("recording an audio file with another voice")
        pcm, rate_hz = EspeakEngine().synthesise(OWN_WORDS, voice=OWN_VOICE)
        times = np.arange(int(len(pcm) * 44_100 / rate_hz)) * rate_hz / 44_100
        voice = np.interp(times, np.arange(len(pcm)), pcm).astype(np.float32)
        encode(np.stack([voice, voice], axis=1), own_audio)
    audio = decode(own_audio.read_bytes())
    return song, own_audio, make_ready(audio.pcm, audio.rate_hz).pcm


def _spoken(stack: Stack, story: Story) -> dict[str, np.ndarray]:
    """The sound of each speech as render made it, in the order in which they were asked for."""
    sounds = S3Sounds(stack.aws.client("s3"), stack.resources["Bucket"]["Ref"])
    chosen = stack.template.parameters
    engine = choose(str(chosen["SpeechEngine"]), voice=str(chosen["Voice"]) or None)
    studio = Studio(sounds, engine, Ducking())
    spoken = {}
    for asked in sorted(story.asked, key=lambda speech: speech.requested_at_s):
        pcm = asked.said
        if isinstance(pcm, str):
            voice = studio.voice(SpeechRecord("", asked.speech_id, text=pcm), pcm)
            pcm = from_bytes(sounds.get(voice.key)).pcm
        spoken[asked.speech_id] = pcm
    return spoken


def _loop(stack: Stack, name: str) -> np.ndarray:
    """The bed as it lies in the bucket: what the caller should hear."""
    bucket, s3 = stack.resources["Bucket"]["Ref"], stack.aws.client("s3")
    item = stack.aws.client("dynamodb").get_item(
        TableName=stack.resources["Table"]["Ref"], Key={"pk": {"S": "BED"}, "sk": {"S": name}}
    )["Item"]
    version = item["version"]["S"]

    def body(key: str) -> bytes:
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    playlist = Playlist.from_json(body(f"beds/{version}/playlist.json"))
    return mulaw.decode(b"".join(body(segment.key) for segment in playlist.segments))


def main() -> int:
    began = time.monotonic()
    try:
        faults = asyncio.run(demo(os.environ))
    except (BedFailed, SettingError, TemplateError, StartError) as error:
        print(f"the demo cannot run: {error}", file=sys.stderr)
        return 2
    for fault in faults:
        print(f"✗ {fault}")
    print(f"· out/call.wav, out/call.png, out/report.json, after {time.monotonic() - began:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
