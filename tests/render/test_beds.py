"""Uploads become beds or say why not; a call changes from one to the other where nothing is disturbed."""

import io
import shutil
import wave
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest

from duckline import shipped
from duckline.bed import Playlist
from duckline.errors import Conflict, Malformed, NotFound, Unavailable
from duckline.records import BedRecord
from duckline.schedule import end
from duckline.sound.bedmaking import make_bed
from duckline.stores import NotReached
from duckline.timeline import FRAME_BYTES
from local.simulation.cloud import Faults
from render.beds import FADE_FRAMES, UPLOAD_GOOD_FOR_S, UPLOAD_MOST_BYTES, BedChange, BedRoom
from render.speaking import GUARD_FRAMES

SID = "CA" + "0123456789abcdef" * 2


class Uploads:
    """The bucket's part for uploads, as a dictionary of files."""

    def __init__(self):
        self.files = {}
        self.down = False

    def form(self, key, most_bytes, good_for_s):
        return {"url": "https://bucket.example.com/", "fields": {"key": key}, "limits": (most_bytes, good_for_s)}

    def fetch(self, key, to):
        if self.down:
            raise NotReached("500 Internal Error")
        shutil.copy(self.files[key], to)


@pytest.fixture
def uploads():
    return Uploads()


@pytest.fixture
def room(bench, uploads):
    return BedRoom(bench.beds, bench.sounds, uploads, make_bed, bench.events, bench.clock)


@pytest.fixture
def file(tmp_path):
    def write(body: bytes):
        path = tmp_path / "upload"
        path.write_bytes(body)
        return path

    return write


# -- uploads --------------------------------------------------------------------------------------


def test_a_new_bed_waits_for_its_upload(room):
    form = room.upload("jazz", "u1")
    assert form["fields"]["key"] == "uploads/jazz/u1"
    assert form["limits"] == (UPLOAD_MOST_BYTES, UPLOAD_GOOD_FOR_S)
    record = room.record("jazz")
    assert (record.state, record.version, record.reason) == ("rendering", "", "waiting for the upload")


def test_asking_for_another_upload_changes_nothing_about_the_bed_that_is_there(room, bench):
    before = bench.beds.get("calm")
    room.upload("calm", "u1")
    assert bench.beds.get("calm") == before


def test_music_becomes_a_bed(room, bench, uploads, songs):
    uploads.files["uploads/jazz/u1"] = songs["warm"]
    room.render("uploads/jazz/u1")
    record = room.record("jazz")
    assert (record.state, record.seconds, record.reason) == ("ready", 6, "")
    assert record.version == bench.playlists["warm"].version  # the same music is the same bed
    assert record.level_dbov == pytest.approx(-28, abs=1)
    [event] = bench.events.messages
    assert (event["type"], event["bed"], event["version"], event["seconds"]) == ("bed.ready", "jazz", record.version, 6)


class Sounds:
    """The bench's bucket, which `before` each object is stored."""

    def __init__(self, sounds, before):
        self.sounds, self.before = sounds, before

    def put(self, key, body, **how):
        self.before(key)
        self.sounds.put(key, body, **how)


def test_segments_are_stored_side_by_side(room, bench, uploads, songs):
    both = Barrier(2, timeout=30)  # neither gets past before the other has come
    room.sounds = Sounds(bench.sounds, lambda key: both.wait() if key.endswith(".ulaw") else None)
    uploads.files["uploads/jazz/u1"] = songs["warm"]
    room.render("uploads/jazz/u1")
    assert len(bench.playlists["warm"].segments) == 2
    assert room.record("jazz").state == "ready"


def test_a_segment_that_cannot_be_stored_leaves_no_playlist_and_the_work_comes_again(room, bench, uploads, songs):
    stored = []

    def before(key):
        if key.endswith("00001.ulaw"):
            raise NotReached("500 Internal Error")
        stored.append(key)

    room.sounds = Sounds(bench.sounds, before)
    uploads.files["uploads/jazz/u1"] = songs["warm"]
    with pytest.raises(NotReached):
        room.render("uploads/jazz/u1")
    assert [key for key in stored if not key.endswith(".ulaw")] == []
    assert bench.events.messages == []


def test_a_bed_is_whole_when_its_name_begins_to_mean_it(room, bench, uploads, songs):
    uploads.files["uploads/jazz/u1"] = songs["warm"]
    missing = []

    def keep(record):
        if record.version:
            playlist = Playlist.from_json(bench.sounds.get(f"beds/{record.version}/playlist.json"))
            missing.extend(s.key for s in playlist.segments if s.key not in bench.sounds.objects)
        bench.beds.records[record.name] = record

    room.beds = replace_keep(bench.beds, keep)
    room.render("uploads/jazz/u1")
    assert missing == []
    assert bench.beds.get("jazz").state == "ready"


def replace_keep(beds, keep):
    class Watched:
        get, all = beds.get, beds.all

    Watched.keep = staticmethod(keep)
    return Watched()


def test_one_pass_of_the_bed_is_there_as_a_plain_file(room, bench, uploads, songs):
    uploads.files["uploads/jazz/u1"] = songs["warm"]
    room.render("uploads/jazz/u1")
    body = bench.sounds.get(f"beds/{room.record('jazz').version}/plain.wav")
    assert len(body) == 58 + 300 * FRAME_BYTES
    assert body[58:] == bench.bed("warm", 0, 300)


def silence() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(np.zeros(80_000, "<i2").tobytes())
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the file is empty: send MP3, OGG"),
        (b"Dear Sir or Madam, please find my music attached.", "the file begins with b'Dear Sir or '"),
        (silence(), "is silent from beginning to end"),
        (silence()[:40], "damaged or cut short"),
        (bytes(range(256)) * 40, "the file begins with"),
    ],
    ids=["empty", "a letter", "silence", "cut short", "junk"],
)
def test_a_file_that_is_no_music_fails_with_the_reason_and_the_old_bed_stays(room, bench, uploads, file, body, reason):
    old = bench.beds.get("calm")
    uploads.files["uploads/calm/u1"] = file(body)
    room.render("uploads/calm/u1")
    record = room.record("calm")
    assert record.state == "failed"
    assert reason in record.reason
    assert (record.version, record.seconds, record.level_dbov) == (old.version, old.seconds, old.level_dbov)
    [event] = bench.events.messages
    assert (event["type"], event["bed"], event["reason"]) == ("bed.failed", "calm", record.reason)


def test_a_bed_that_failed_is_put_right_by_the_next_upload(room, bench, uploads, file, songs):
    uploads.files["uploads/calm/u1"] = file(b"nothing")
    room.render("uploads/calm/u1")
    uploads.files["uploads/calm/u2"] = songs["warm"]
    room.render("uploads/calm/u2")
    record = room.record("calm")
    assert (record.state, record.version, record.reason) == ("ready", bench.playlists["warm"].version, "")


def test_while_a_bed_is_made_anew_the_old_one_is_in_use(room, bench, uploads, songs):
    seen = []

    def making(sources, write):
        seen.append(bench.beds.get("calm"))
        return make_bed(sources, write)

    room.make_bed = making
    uploads.files["uploads/calm/u1"] = songs["warm"]
    room.render("uploads/calm/u1")
    [during] = seen
    assert (during.state, during.version) == ("rendering", bench.playlists["calm"].version)


def test_an_upload_that_cannot_be_fetched_is_tried_again_by_the_queue(room, bench, uploads):
    uploads.down = True
    with pytest.raises(NotReached):
        room.render("uploads/calm/u1")
    assert bench.beds.get("calm").version
    assert bench.events.messages == []


@pytest.mark.parametrize("name", ["", "Calm", "a b", "-a", "a" * 64, "../x", "ä", "a/b", "a\n"])
def test_a_name_that_is_none_is_refused(room, name):
    with pytest.raises(Malformed, match=r"is no bed's name; up to 63 of a-z, 0-9 and - would be right"):
        room.record(name)
    with pytest.raises(Malformed):
        room.upload(name, "u1")


def test_a_bed_that_nobody_knows_is_not_found(room):
    with pytest.raises(NotFound, match="there is no bed jazz; POST /beds/jazz tells where to upload one"):
        room.record("jazz")


# -- the change of a call's bed -------------------------------------------------------------------


@pytest.fixture
def change(bench):
    return BedChange(bench.calls, bench.beds, bench.studio.fade)


def test_a_change_begins_behind_the_seal(change, bench):
    call, span = change.change(SID, "warm")
    assert span == bench.call.beds[-1] == call.beds[-1]
    assert span.start == span.origin == bench.call.sealed + GUARD_FRAMES
    assert (span.name, span.fade_frames) == ("warm", FADE_FRAMES)
    assert len(bench.sounds.get(f"clips/{SID}/{span.fade}.ulaw")) == FADE_FRAMES * FRAME_BYTES


def test_a_change_waits_for_the_last_speech_that_has_its_place(change, bench):
    bench.speak("sp_1", "2 s one")
    bench.speak("sp_2", "1 s two")
    before = bench.call.speeches
    _, span = change.change(SID, "warm")
    assert span.start == max(part.end for part in bench.call.parts)
    assert bench.call.speeches == before


def test_the_bed_that_plays_already_goes_on(change, bench):
    before = bench.call
    assert change.change(SID, "calm") == (before, before.beds[-1])
    assert bench.call == before


def test_a_change_there_and_back_leads_through_both_fades(change, bench):
    change.change(SID, "warm")
    bench.seal(300)
    _, span = change.change(SID, "calm")
    assert [bed.name for bed in bench.call.beds][-2:] == ["warm", "calm"]
    assert span.start >= 300
    heard, first = bench.heard(span.start - 50, span.start), span.start - 50
    warm = bench.call.beds[-2]
    assert heard == bench.bed("warm", first - warm.origin, 50)


def test_a_change_that_nobody_has_heard_of_yet_is_replaced_by_the_next(change, bench):
    bench.speak("sp_1", "10 s one")
    change.change(SID, "warm")
    assert [bed.name for bed in bench.call.beds] == ["calm", "warm"]
    bench.beds.keep(BedRecord("shipped", "ready", version=shipped.VERSION))
    change.change(SID, "shipped")
    assert [bed.name for bed in bench.call.beds] == ["calm", "shipped"]


def test_the_bed_that_ships_can_always_be_had(change, bench):
    _, span = change.change(SID, "shipped")
    assert span.version == shipped.VERSION


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("jazz", NotFound, "the bed 'jazz' does not exist; GET /beds lists those there are"),
        ("soon", NotFound, "the bed 'soon' is not ready"),
        ("No Name", Malformed, "'No Name' is no bed's name"),
    ],
)
def test_a_bed_that_is_not_to_be_had_changes_nothing(change, bench, name, error, said):
    bench.beds.keep(BedRecord("soon", "rendering"))
    before = bench.call
    with pytest.raises(error, match=said):
        change.change(SID, name)
    assert bench.call == before


def test_a_bed_that_failed_but_was_there_before_can_be_chosen(change, bench):
    bench.beds.keep(replace(bench.beds.get("warm"), state="failed", reason="the file is empty"))
    _, span = change.change(SID, "warm")
    assert span.version == bench.playlists["warm"].version


def test_a_call_that_is_over_or_unknown_keeps_its_bed(change, bench):
    with pytest.raises(NotFound, match="there is no call CA9"):
        change.change("CA" + "9" * 32, "warm")
    bench.calls.write(bench.call, end(bench.call, now_ms=1, reason="completed"))
    with pytest.raises(Conflict, match="is over: completed"):
        change.change(SID, "warm")


def test_a_bed_whose_sound_is_gone_is_unavailable_and_changes_nothing(change, bench):
    del bench.sounds.objects[bench.playlists["warm"].segments[0].key]
    before = bench.call
    with pytest.raises(Unavailable):
        change.change(SID, "warm")
    assert bench.call == before


def test_a_change_that_loses_the_race_is_made_further_on(desk_with):
    desk = desk_with(faults=Faults(unanswered=0.2))
    changes = [
        desk.request(
            lambda speaking: BedChange(speaking.calls, desk.cloud.beds, speaking.studio.fade).change(SID, "warm")
        )
        for _ in range(3)
    ]
    desk.speak("sp_1", "60")
    desk.run(3000)
    assert all(change.task.done() for change in changes)
    spans = [span for span in desk.call.beds if span.name == "warm"]
    assert len(spans) == 1  # three requests, and answers that were lost: one change
