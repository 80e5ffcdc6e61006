"""The studio: words to ready speech, and ready speech over music to clips. All the sound that render makes."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from duckline import shipped
from duckline.bed import Playlist
from duckline.berth import Berth
from duckline.call import BedSpan, Call, bed_at, heard_before
from duckline.envelope import FADE_OUT_FRAMES, Ducking
from duckline.errors import Unavailable
from duckline.records import SpeechRecord
from duckline.script import parts
from duckline.sound import mulaw
from duckline.sound.decode import decode
from duckline.sound.mix import Scratch, crossfade, depth_over, gain_curve, mix_clip
from duckline.sound.mix import Voice as Sounding
from duckline.sound.speech import Ready, from_bytes, make_ready, to_bytes
from duckline.stores import Sounds
from duckline.timeline import FRAME_BYTES, FRAME_SAMPLES, FRAMES_PER_SECOND
from render.engines import Engine
from render.pauses import frames_to_a_pause
from render.speaking import Voice

KEPT_BYTES = 60_000_000  # of playlists, segments, ready speech and clips, from call to call
WARM_FRAMES = 10 * FRAMES_PER_SECOND  # of music are fetched while the words are made
READY_FORM = "2"  # part of a ready speech's name: raise it when what is made of the same words changes


class Studio:
    """`render.speaking.Studio` for real: an engine that speaks, a bucket that keeps, numpy that mixes."""

    def __init__(self, sounds: Sounds, engine: Engine, ducking: Ducking) -> None:
        self.sounds, self.engine, self.ducking = sounds, engine, ducking
        self.kept: OrderedDict[str, bytes] = OrderedDict()
        self.scratch = Scratch()  # clips are mixed by one thread; the background only fetches

    # -- speech ---------------------------------------------------------------------------------------

    def lines(self, record: SpeechRecord) -> list[str]:
        return parts(record.text) if record.text else [record.ssml]

    def voice(self, record: SpeechRecord, line: str) -> Voice:
        key, ready = self._ready(record, line)
        return Voice(key, 0, len(ready.pcm) // FRAME_SAMPLES, ready.level_dbov)

    def fitting(self, voice: Voice, longest_frames: int) -> Voice:
        return replace(voice, frames=frames_to_a_pause(self._pcm(voice), longest_frames))

    def _ready(self, record: SpeechRecord, line: str) -> tuple[str, Ready]:
        """Speech made ready: out of the bucket if the same was made before."""
        said = record.audio_key
        if not said:
            voice = self.engine.check_voice(record.voice or None)
            said = "\n".join((self.engine.name, voice, "ssml" if record.ssml else "text", line))
        digest = hashlib.sha256("\n".join((READY_FORM, said)).encode()).hexdigest()
        key = f"voices/{digest[:32]}.pcm"
        kept = self._object(key)
        if kept is not None:
            return key, from_bytes(kept)
        if record.audio_key:
            body = self.sounds.get(record.audio_key)
            if body is None:
                raise Unavailable(f"the audio of speech {record.speech_id} is not in the bucket")
            audio = decode(body)
            ready = make_ready(audio.pcm, audio.rate_hz)
        else:
            pcm, rate_hz = self.engine.synthesise(line, voice=record.voice or None, ssml=bool(record.ssml))
            ready = make_ready(pcm, rate_hz)
        body = to_bytes(ready)
        self.sounds.put(key, body)
        self._keep(key, body)
        return key, ready

    def depth(self, call: Call, voice: Voice) -> Callable[[int], float]:
        def depth_at(frame: int) -> float:
            bed_dbov = self._playlist(bed_at(call, frame).version).level_dbov
            return depth_over(self.music(call, frame, voice.frames), voice.level_dbov, bed_dbov, self.ducking)

        return depth_at

    # -- clips ----------------------------------------------------------------------------------------

    def clip(self, call: Call, place: Berth, voice: Voice | None, cut_at: int | None = None) -> str:
        duck = place.duck
        sounding = self._cut_off(call, cut_at) if cut_at is not None else []
        if voice is not None:
            sounding.append(Sounding(self._pcm(voice), place.voice_at))
        body = mix_clip(self.music(call, duck.start, duck.end - duck.start), duck, sounding, self.scratch)
        clip = hashlib.sha256(body + repr(place).encode()).hexdigest()[:10]
        key = f"clips/{call.call_sid}/{clip}.ulaw"
        if key not in self.kept:
            self.sounds.put(key, body)
            self._keep(key, body)
        return clip

    def _cut_off(self, call: Call, cut_at: int) -> list[Sounding]:
        """Whatever sounds over the music at frame `cut_at`, fading out from there.

        It is what the clip that is heard then holds beyond the music, which is known to the bit.
        """
        part = heard_before(call, cut_at)
        if part is None:
            return []
        frames = min(FADE_OUT_FRAMES, part.duck.end - cut_at)
        body = self._whole(f"clips/{call.call_sid}/{part.clip}.ulaw")
        first = (cut_at - part.start) * FRAME_BYTES
        heard = mulaw.decode(body[first : first + frames * FRAME_BYTES])
        beneath = self.music(call, cut_at, frames) * gain_curve(part.duck, cut_at, frames)
        return [Sounding(heard - beneath, cut_at, fade_at=cut_at)]

    def fade(self, call: Call, span: BedSpan) -> str:
        """Mixes and stores the clip in which `span`, the last bed of `call`, takes over; answers with its id."""
        body = mulaw.encode(self._fading(call, span))
        clip = hashlib.sha256(body + repr(span).encode()).hexdigest()[:10]
        self.sounds.put(f"clips/{call.call_sid}/{clip}.ulaw", body)
        return clip

    def _pcm(self, voice: Voice) -> np.ndarray:
        ready = from_bytes(self._object(voice.key))
        return ready.pcm[voice.first * FRAME_SAMPLES : (voice.first + voice.frames) * FRAME_SAMPLES]

    def music(self, call: Call, first: int, frames: int) -> np.ndarray:
        """The music of `frames` frames as it is without any speech (float32): the bed, or the fade between two."""
        pieces = []
        end = first + frames
        while first < end:
            span = bed_at(call, first)
            later = [other.start for other in call.beds if other.start > first]
            fade_end = span.start + span.fade_frames
            until = min([end, *later, *([fade_end] if first < fade_end else [])])
            if first < fade_end:
                pieces.append(self._fading(call, span)[_samples(first - span.start) : _samples(until - span.start)])
            else:
                pieces.append(self._bed(span, first, until - first))
            first = until
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _fading(self, call: Call, span: BedSpan) -> np.ndarray:
        before = bed_at(call, span.start - 1)
        return crossfade(self._bed(before, span.start, span.fade_frames), self._bed(span, span.start, span.fade_frames))

    def _bed(self, span: BedSpan, first: int, frames: int) -> np.ndarray:
        position = first - span.origin
        if span.version == shipped.VERSION:
            return mulaw.decode(shipped.frames(position, frames))
        playlist = self._playlist(span.version)
        pieces = []
        for piece in playlist.slices(position, frames):
            body = self._whole(playlist.segments[piece.segment].key)
            pieces.append(body[piece.first * FRAME_BYTES : (piece.first + piece.frames) * FRAME_BYTES])
        return mulaw.decode(b"".join(pieces))

    def warm(self, call: Call) -> None:
        self.music(call, call.sealed, WARM_FRAMES)

    # -- the bucket -----------------------------------------------------------------------------------

    def _playlist(self, version: str) -> Playlist:
        if version == shipped.VERSION:
            return shipped.playlist()
        return Playlist.from_json(self._whole(f"beds/{version}/playlist.json"))

    def _whole(self, key: str) -> bytes:
        body = self._object(key)
        if body is None:
            raise Unavailable(f"{key} is not in the bucket")
        return body

    def _object(self, key: str) -> bytes | None:
        if key not in self.kept:
            body = self.sounds.get(key)
            if body is None:
                return None
            self._keep(key, body)
        self.kept.move_to_end(key)
        return self.kept[key]

    def _keep(self, key: str, body: bytes) -> None:
        self.kept[key] = body
        while sum(map(len, self.kept.values())) > KEPT_BYTES:
            self.kept.popitem(last=False)


def _samples(frames: int) -> int:
    return frames * FRAME_SAMPLES
