"""What only a bucket can do. What every store of sound has to do is in test_stores.py."""

import base64
import io
import json

import pytest
import requests
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from duckline.stores import NotReached
from duckline.stores.s3 import S3Sounds, S3Uploads

KEY, MOST_BYTES = "uploads/calm/1", 250_000_000
URL = "https://sounds.s3.amazonaws.com/"


@pytest.fixture(scope="module")
def s3(aws):
    client = aws("s3")
    client.create_bucket(Bucket="sounds")
    return client


@pytest.fixture
def uploads(s3):
    return S3Uploads(s3, "sounds")


class Line:
    """A client by which nothing comes through but `error`."""

    def __init__(self, error: Exception):
        self.error = error

    def _fail(self, *args, **kwargs):
        raise self.error

    get_object = put_object = download_file = _fail


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "told by the test"}}, "GetObject")


@pytest.mark.parametrize(
    "error",
    [
        refused("SlowDown"),
        refused("InternalError"),
        refused("ServiceUnavailable"),
        refused("AccessDenied"),
        refused("NoSuchBucket"),
        ReadTimeoutError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
    ],
)
def test_silence_and_refusals_are_not_reached_and_name_the_object(error, tmp_path):
    sounds, uploads = S3Sounds(Line(error), "sounds"), S3Uploads(Line(error), "sounds")
    for operation in (
        lambda: sounds.get("clips/CA1/a.ulaw"),
        lambda: sounds.put("clips/CA1/a.ulaw", b"sound"),
        lambda: uploads.fetch("clips/CA1/a.ulaw", tmp_path / "a"),
    ):
        with pytest.raises(NotReached, match=r"(GET|PUT) clips/CA1/a\.ulaw: "):
            operation()


def test_an_object_that_breaks_off_is_not_reached(s3):
    with Stubber(s3) as stubber:
        body = StreamingBody(io.BytesIO(b"so"), content_length=5)
        stubber.add_response("get_object", {"Body": body, "ContentLength": 5})
        with pytest.raises(NotReached, match="2 read, but total bytes expected is 5"):
            S3Sounds(s3, "sounds").get("clips/CA1/a.ulaw")


def test_a_sound_has_the_type_that_it_was_given(s3):
    sounds = S3Sounds(s3, "sounds")
    sounds.put("beds/v1/plain.wav", b"RIFF", content_type="audio/wav")
    sounds.put("beds/v1/00000.ulaw", b"\xff")
    assert s3.head_object(Bucket="sounds", Key="beds/v1/plain.wav")["ContentType"] == "audio/wav"
    assert s3.head_object(Bucket="sounds", Key="beds/v1/00000.ulaw")["ContentType"] == "application/octet-stream"


# -- uploads --------------------------------------------------------------------------------------


def test_what_is_uploaded_by_the_form_can_be_fetched(uploads, tmp_path, posted):
    form = uploads.form(KEY, MOST_BYTES, 900)
    assert posted(form, b"a song") == 204
    uploads.fetch(KEY, tmp_path / "song")
    assert (tmp_path / "song").read_bytes() == b"a song"


@pytest.fixture
def posted(aws):
    """Posts a file as a browser would, to moto, and answers with the status."""

    def post(form: dict, file: bytes) -> int:
        return requests.post(form["url"], data=form["fields"], files={"file": file}, timeout=60).status_code

    return post


def test_the_form_is_good_for_one_object_of_limited_size_for_a_limited_time(uploads):
    form = uploads.form(KEY, MOST_BYTES, 900)
    policy = json.loads(base64.b64decode(form["fields"]["policy"]))
    assert ["content-length-range", 1, MOST_BYTES] in policy["conditions"]
    assert {"key": KEY} in policy["conditions"]
    assert {"bucket": "sounds"} in policy["conditions"]
    assert form["fields"]["key"] == KEY
    assert "signature" in form["fields"] or "x-amz-signature" in form["fields"]


@pytest.mark.parametrize("good_for_s", [60, 900])
def test_the_form_is_good_for_as_long_as_it_was_asked_for(uploads, good_for_s):
    def expiry(seconds: int) -> str:
        return json.loads(base64.b64decode(uploads.form(KEY, MOST_BYTES, seconds)["fields"]["policy"]))["expiration"]

    assert expiry(0) < expiry(good_for_s) < expiry(good_for_s + 100)


def test_an_upload_that_is_not_there_is_not_reached(uploads, tmp_path):
    with pytest.raises(NotReached, match=r"GET uploads/none: .*Not Found"):
        uploads.fetch("uploads/none", tmp_path / "song")
    assert list(tmp_path.iterdir()) == []


class Reset(io.BytesIO):
    """A body whose connection is reset."""

    def read(self, *args) -> bytes:
        raise ConnectionResetError("reset by the test")


def test_an_upload_whose_connection_is_reset_again_and_again_is_not_reached(s3, tmp_path):
    with Stubber(s3) as stubber:
        stubber.add_response("head_object", {"ContentLength": 5, "ETag": '"a"'})
        for _ in range(5):
            stubber.add_response("get_object", {"Body": Reset(), "ContentLength": 5}, None)
        with pytest.raises(NotReached, match="GET uploads/calm/1"):
            S3Uploads(s3, "sounds").fetch(KEY, tmp_path / "song")
